"""The engines in which log records lie: how each runs the aggregate, and what it tells of a table."""
