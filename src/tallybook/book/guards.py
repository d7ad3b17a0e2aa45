"""Guards: triggers by which the book's database itself refuses to change what was written, whoever asks it.

They stop mistakes, and everybody whom the database lets read and insert and no more. Whoever owns the database can take
them down; that is why `verify` asks for them, and why the heads of the chain belong elsewhere, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tallybook.book.engine import CHAIN_LOCK
from tallybook.book.schema import metadata

_CLOSED = "a closed day is never changed; post an adjustment instead"

REASONS = {
    "book": "a book has one identity, for good",
    "closings": _CLOSED,
    "daily_stats": _CLOSED,
    "daily_slices": _CLOSED,
    "daily_histograms": _CLOSED,
    "adjustments": "an adjustment is never changed; post another one",
    "prunings": "the note that a day was pruned is never changed",
}
"""What the database says to who would change a row of the table."""

GUARDED = tuple(REASONS)

REFUSING_FUNCTION = "tallybook_refuse"
"""What triggers call in PostgreSQL; it lies in the schema of the tables."""


@dataclass(frozen=True)
class _Rule:
    """Which row is refused, and why; `{new}` stands for the row, and `{schema}` before each table for its schema."""

    condition: str
    reason: str


_OUT_OF_SEQUENCE = _Rule(
    "{new}.seq <> 1 + (SELECT coalesce(max(seq), 0) FROM (SELECT max(seq) AS seq FROM {schema}closings "
    "UNION ALL SELECT max(seq) FROM {schema}adjustments) AS heads)",
    "seq must be the next of the sequence that closings and adjustments share",
)
_INSERT_RULES = {
    "book": _Rule("EXISTS (SELECT 1 FROM {schema}book)", REASONS["book"]),
    "closings": _OUT_OF_SEQUENCE,
    "adjustments": _OUT_OF_SEQUENCE,
}


@dataclass(frozen=True)
class _Guard:
    """A trigger: its table, the statement that it refuses, how it is put up, and what the catalog then tells of it."""

    table: str
    statement: str
    made_by: tuple[str, ...]
    stands_as: tuple[Any, ...]

    @property
    def place(self) -> tuple[str, str]:
        return self.table, _name(self.table, self.statement)


@dataclass(frozen=True)
class _Guards:
    """Those of one kind of database, what is made before them, and the query that tells which stand, and as what."""

    first: tuple[str, ...]
    each: tuple[_Guard, ...]
    standing: str


def raise_guards(connection: sa.Connection) -> None:
    """Puts every guard up anew, within the connection's transaction; twice is the same as once.

    A table that a book on its way to this version does not have yet is left to the migration that makes it.
    """
    guards = _GUARDS[connection.dialect.name]
    tables = sa.inspect(connection)
    present = [table for table in GUARDED if tables.has_table(table)]
    making = [statement for guard in guards.each if guard.table in present for statement in guard.made_by]
    for statement in (*guards.first, *making):
        connection.execute(sa.text(statement))


def missing_guards(connection: sa.Connection) -> list[str]:
    """The guards that do not stand just as `raise_guards` puts them up, as `closings: DELETE`; none where all do."""
    guards = _GUARDS[connection.dialect.name]
    standing = {(table, name): tuple(facts) for table, name, *facts in connection.execute(sa.text(guards.standing))}
    missing = [guard for guard in guards.each if standing.get(guard.place) != guard.stands_as]
    return [f"{guard.table}: {guard.statement}" for guard in missing]


def strange_triggers(connection: sa.Connection) -> list[str]:
    """Triggers on the guarded tables that are none of ours, as `adjustments: their_trigger`; whatever they do."""
    guards = _GUARDS[connection.dialect.name]
    ours = {guard.place for guard in guards.each}
    standing = sorted((table, name) for table, name, *_ in connection.execute(sa.text(guards.standing)))
    return [f"{table}: {name}" for table, name in standing if table in GUARDED and (table, name) not in ours]


def _name(table: str, statement: str) -> str:
    return f"guard_{table}_{statement.lower()}"


def quote_text(text: str) -> str:
    """The text as an SQL literal, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"


def _sqlite_guards() -> Iterator[_Guard]:
    for table, reason in REASONS.items():
        yield _sqlite_guard(table, "UPDATE", [_Rule("true", reason)])
        yield _sqlite_guard(table, "DELETE", [_Rule("true", reason)])
        yield _sqlite_guard(table, "INSERT", _refused_rows(table))


def _refused_rows(table: str) -> list[_Rule]:
    """REPLACE deletes what is in its way without asking the guard of DELETE, so nothing may be in its way."""
    keys = _unique_keys(metadata.tables[table])
    existing = [_Rule(_exists(table, key), REASONS[table]) for key in keys]
    return existing + [rule for name, rule in _INSERT_RULES.items() if name == table]


def _unique_keys(table: sa.Table) -> list[list[str]]:
    """Every key by which a row can be in the way of another: the hidden one of SQLite's tables, too."""
    indexes = [index.columns for index in table.indexes if index.unique]
    constraints = [each.columns for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
    hidden = [["rowid"]] if table.dialect_options["sqlite"]["with_rowid"] else []
    return [*(list(columns.keys()) for columns in (table.primary_key.columns, *constraints, *indexes)), *hidden]


def _exists(table: str, key: Sequence[str]) -> str:
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    return f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - our names


def _sqlite_guard(table: str, statement: str, rules: Sequence[_Rule]) -> _Guard:
    name = _name(table, statement)
    refusals = [(rule.condition.format(new="NEW", schema=""), quote_text(f"{table}: {rule.reason}")) for rule in rules]
    body = " ".join(f"SELECT RAISE(ABORT, {message}) WHERE {condition};" for condition, message in refusals)
    sql = f"CREATE TRIGGER {name} BEFORE {statement} ON {table} BEGIN {body} END"
    return _Guard(table, statement, (f"DROP TRIGGER IF EXISTS {name}", sql), (sql,))


_REFUSE = f"""
DECLARE
  refused boolean := true;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
      RAISE EXCEPTION '%: rows are added at READ COMMITTED, which sees the latest', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
    END IF;
    PERFORM pg_advisory_xact_lock({CHAIN_LOCK});
    EXECUTE format(TG_ARGV[1], TG_TABLE_SCHEMA) INTO refused USING NEW;
  END IF;
  IF refused THEN
    RAISE EXCEPTION '%: %', TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END
"""
"""Tables are named with the schema of the one that is written to, so that no session's search path leads elsewhere."""

_SEARCH_PATH = "search_path=pg_catalog, pg_temp"
_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {REFUSING_FUNCTION}() RETURNS trigger LANGUAGE plpgsql SET {_SEARCH_PATH} "
    f"AS $refuse${_REFUSE}$refuse$"
)
_FIRES = {"UPDATE": ("ROW", 19), "DELETE": ("ROW", 11), "TRUNCATE": ("STATEMENT", 34), "INSERT": ("ROW", 7)}
"""For each statement how often its trigger fires, and what that makes pg_trigger.tgtype."""

_POSTGRESQL_STANDING = """
SELECT relname, tgname, relhastriggers, tgenabled, tgtype, tgargs, tgqual IS NULL, CAST(tgattr AS text),
       prosrc, lanname, prosecdef, proconfig
FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid AND pg_table_is_visible(tgrelid)
JOIN pg_proc ON pg_proc.oid = tgfoid
JOIN pg_language ON pg_language.oid = prolang
"""


def _postgresql_guards() -> Iterator[_Guard]:
    for table, reason in REASONS.items():
        for statement in ("UPDATE", "DELETE", "TRUNCATE"):
            yield _postgresql_guard(table, statement, [reason])
        if rule := _INSERT_RULES.get(table):
            condition = rule.condition.format(new="$1", schema="%1$I.")
            yield _postgresql_guard(table, "INSERT", [rule.reason, f"SELECT {condition}"])


def _postgresql_guard(table: str, statement: str, arguments: Sequence[str]) -> _Guard:
    name = _name(table, statement)
    level, kind = _FIRES[statement]
    made_by = (
        f"DROP TRIGGER IF EXISTS {name} ON {table}",
        f"CREATE TRIGGER {name} BEFORE {statement} ON {table} FOR EACH {level} "
        f"EXECUTE FUNCTION {REFUSING_FUNCTION}({', '.join(map(quote_text, arguments))})",
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
    )
    told = "".join(f"{argument}\0" for argument in arguments).encode()
    trigger = (True, "A", kind, told, True, "")
    function = (_REFUSE, "plpgsql", False, [_SEARCH_PATH])
    return _Guard(table, statement, made_by, trigger + function)


_GUARDS = {
    "sqlite": _Guards(
        (), tuple(_sqlite_guards()), "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'"
    ),
    "postgresql": _Guards((_FUNCTION,), tuple(_postgresql_guards()), _POSTGRESQL_STANDING),
}
