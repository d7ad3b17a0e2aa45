"""Our own log database: one DuckDB file, held by one process."""
