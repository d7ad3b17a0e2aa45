"""The benchmarks: what tallybook promises about time and memory, measured against what it replaces."""
