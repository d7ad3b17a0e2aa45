"""The PostgreSQL roles of a book, as SQL: one owns it, one writes what is new, one reads; nobody else does anything."""

from __future__ import annotations

from tallybook.book.guards import GUARDED, REFUSING_FUNCTION, quote_text
from tallybook.book.schema import metadata
from tallybook.errors import UsageError, shorten

VERSION_TABLE = "alembic_version"
TABLES = (*metadata.tables, VERSION_TABLE)

WRITER_MAY = {
    **dict.fromkeys(GUARDED, "SELECT, INSERT"),
    "book": "SELECT",
    **dict.fromkeys(("reconciliations", "comparisons"), "SELECT, INSERT, UPDATE, DELETE"),
    "tokens": "SELECT, INSERT, UPDATE",
    VERSION_TABLE: "SELECT",
}
"""What the writer may do with each table; the owner alone migrates, and gives a book its identity."""

NOT_FOR_READERS = ("tokens",)

MAX_NAME_BYTES = 63
NO_NAMES = ("public", "none")
RESERVED_PREFIX = "pg_"


def statements(owner: str, writer: str, reader: str, schema: str = "public") -> list[str]:
    """The statements, for one transaction of an administrator, that set up the roles on a migrated book.

    Again they change nothing but what was granted to these roles besides on the book's tables, function and schema,
    which they take away; who is a member of what stays. They make roles that are not there as groups, without login.
    A name that PostgreSQL would cut or take for something else is a `UsageError`.
    """
    _check_names(owner, writer, reader, schema)
    place = quote_name(schema)
    return [
        *(_made(role) for role in (owner, writer, reader)),
        f"REVOKE CREATE ON SCHEMA {place} FROM PUBLIC",
        f"REVOKE ALL ON SCHEMA {place} FROM {quote_name(writer)}, {quote_name(reader)}",
        f"GRANT USAGE, CREATE ON SCHEMA {place} TO {quote_name(owner)}",
        f"GRANT USAGE ON SCHEMA {place} TO {quote_name(writer)}, {quote_name(reader)}",
        f"ALTER FUNCTION {place}.{REFUSING_FUNCTION}() OWNER TO {quote_name(owner)}",
        f"REVOKE ALL ON FUNCTION {place}.{REFUSING_FUNCTION}() FROM PUBLIC, {quote_name(writer)}, {quote_name(reader)}",
        *(statement for table in TABLES for statement in _granted(table, place, owner, writer, reader)),
    ]


def quote_name(name: str) -> str:
    """The name as an SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def _made(role: str) -> str:
    known = f"SELECT FROM pg_roles WHERE rolname = {quote_text(role)}"
    body = f"BEGIN IF NOT EXISTS ({known}) THEN CREATE ROLE {quote_name(role)} NOLOGIN; END IF; END"
    return f"DO {quote_text(body)}"


def _granted(table: str, place: str, owner: str, writer: str, reader: str) -> list[str]:
    name = f"{place}.{quote_name(table)}"
    granted = [
        f"ALTER TABLE {name} OWNER TO {quote_name(owner)}",
        f"REVOKE ALL ON {name} FROM PUBLIC, {quote_name(writer)}, {quote_name(reader)}",
        f"GRANT {WRITER_MAY[table]} ON {name} TO {quote_name(writer)}",
    ]
    return granted if table in NOT_FOR_READERS else [*granted, f"GRANT SELECT ON {name} TO {quote_name(reader)}"]


def _check_names(owner: str, writer: str, reader: str, schema: str) -> None:
    for name in (owner, writer, reader, schema):
        if not name.isprintable() or not 1 <= len(name.encode()) <= MAX_NAME_BYTES:
            raise UsageError(
                f"{shorten(name)!r} cannot be a name in PostgreSQL.",
                f"Use 1 to {MAX_NAME_BYTES} bytes without control characters.",
            )
    for role in (owner, writer, reader):
        if role in NO_NAMES or role.startswith(RESERVED_PREFIX):
            raise UsageError(f"{role!r} cannot be the name of a role: PostgreSQL keeps it for itself.", "Use another.")
    if len({owner, writer, reader}) < 3:
        raise UsageError("Owner, writer and reader must be three roles.", "Give each a name of its own.")
