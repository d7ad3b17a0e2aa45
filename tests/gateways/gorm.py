"""The tables that GORM makes of a Go gateway's model, with each database's own types and every index."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from databases import Database

TYPES = {
    "sqlite": {
        "id": "integer PRIMARY KEY AUTOINCREMENT",
        "number": "integer",
        "count": "integer DEFAULT 0",
        "name": "text DEFAULT ''",
        "indexed text": "text",
        "text": "text",
        "flag": "numeric",
        "json": "JSON",
        "time": "datetime",
        "float": "real",
    },
    "postgresql": {
        "id": "bigserial PRIMARY KEY",
        "number": "bigint",
        "count": "bigint DEFAULT 0",
        "name": "text DEFAULT ''",
        "indexed text": "text",
        "text": "text",
        "flag": "boolean",
        "json": "json",
        "time": "timestamptz",
        "float": "decimal",
    },
    "mysql": {
        "id": "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "number": "bigint DEFAULT NULL",
        "count": "bigint DEFAULT 0",
        "name": "varchar(191) DEFAULT ''",
        "indexed text": "varchar(191) DEFAULT NULL",
        "text": "longtext",
        "flag": "tinyint(1) DEFAULT NULL",
        "json": "json DEFAULT NULL",
    },
}
"""By what the model says of a field; MySQL cannot index a longtext, so what is indexed is a varchar there."""

Log = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A model's columns in order, each with its kind or, where it is the same everywhere, its type.

    `indexes` are the columns of each index, by name. `usual` is a row as the gateway writes it most often.
    """

    name: str
    columns: Mapping[str, str]
    usual: Log
    indexes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def create(self, database: Database) -> None:
        """Makes the table and its indexes, as the gateway's first start does."""
        types = TYPES[database.family]
        columns = [f"{quoted(database, name)} {types.get(kind, kind)}" for name, kind in self.columns.items()]
        database.run(f"CREATE TABLE {self.name} ({', '.join(columns)})")
        for index, names in self.indexes.items():
            database.run(f"CREATE INDEX {index} ON {self.name} ({', '.join(quoted(database, name) for name in names)})")

    def insert(self, database: Database, logs: Sequence[Log]) -> None:
        """Writes the rows in order, as the usual one but for what is given, ids counted from 1."""
        rows = [{"id": number, **self.usual, **log} for number, log in enumerate(logs, 1)]
        database.fill(self.name, [tuple(row[name] for name in self.columns) for row in rows])


def quoted(database: Database, name: str) -> str:
    """The name as the database wants it, for some are words of SQL."""
    return f"`{name}`" if database.family == "mysql" else f'"{name}"'


def written(database: Database, *logs: Log) -> list[Log]:
    """The logs with Go's times as the drivers write them: SQLite keeps the nanoseconds, PostgreSQL cuts them off."""
    if database.family == "sqlite":
        return list(logs)
    return [
        {name: _NANOSECONDS.sub(r"\1", value) if isinstance(value, str) else value for name, value in log.items()}
        for log in logs
    ]


_NANOSECONDS = re.compile(r"(?<=:\d\d)(\.\d{6})\d+")
