"""The benchmarks: what tallybook promises about time and memory, measured against what it replaces."""

import warnings

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")  # of no use to a PostgreSQL in our own folder
