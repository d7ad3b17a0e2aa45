"""tallybook keeps the daily books of LLM API traffic."""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())
