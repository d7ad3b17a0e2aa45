"""tallybook keeps the daily books of LLM API traffic."""

__version__ = "0.1.0"
