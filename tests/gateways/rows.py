"""Rows for tables that are made by SQL of their own: each names the columns it fills, the others have their defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from databases import Database


def put(database: Database, table: str, *rows: Mapping[str, Any]) -> None:
    """Writes the rows into a table of PostgreSQL or ClickHouse, one statement each."""
    for row in rows:
        columns = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(_literal(database, value) for value in row.values())
        database.run(f"INSERT INTO {table} ({columns}) VALUES ({values})")


def _literal(database: Database, value: Any) -> str:
    clickhouse = database.family == "clickhouse"
    if value is None:
        return "NULL"
    if isinstance(value, datetime) and clickhouse:
        return f"toDateTime64('{value:%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"
    if isinstance(value, dict) and clickhouse:
        return f"map({', '.join(_literal(database, part) for pair in value.items() for part in pair)})"
    if isinstance(value, dict):
        return _quoted(json.dumps(value))
    return _quoted(str(value)) if isinstance(value, str | datetime) else str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
