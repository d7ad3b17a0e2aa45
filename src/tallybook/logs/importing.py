"""Importing files: CSV, JSON lines and Parquet, whole or not at all, and the same file only once."""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import duckdb
import msgspec

from tallybook.days import epoch_us
from tallybook.errors import LogsError, UnknownName, UnreadableFile, UsageError, first_line
from tallybook.logs.columns import PRICED_BY
from tallybook.logs.fields import FAULT, VALUES, Unit, count_fault_rows
from tallybook.logs.own import Origin, OwnLogs
from tallybook.prices import PriceList
from tallybook.records import FUTURE_TOLERANCE, RECORD_FIELDS, conceal_secret

Progress = Callable[[str, float | None], None]
"""Called with the stage of a long work, and how much of it is done, from 0 to 1, where that is known."""

CHUNK = 1 << 20
SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Format:
    """How DuckDB opens a kind of file, and how a field is reached in what it then sees, always as text."""

    name: str
    table: str
    column: str
    has_columns: bool


CSV_OPTIONS = (
    """all_varchar = true, header = true, strict_mode = true, skip = 0, comment = '', quote = '"', escape = '"'"""
)
"""Only the delimiter is guessed: left to guess more, DuckDB drops what it takes for a preface or a comment."""

FORMATS = {
    ".csv": Format("CSV", f"read_csv({{path}}, {CSV_OPTIONS})", '"{name}"', True),
    ".jsonl": Format("JSON lines", "read_json_objects({path}, format = 'auto')", "json ->> '$.{name}'", False),
    ".parquet": Format("Parquet", "read_parquet({path})", 'CAST("{name}" AS VARCHAR)', True),
}
SUFFIXES = {".csv": ".csv", ".jsonl": ".jsonl", ".ndjson": ".jsonl", ".json": ".jsonl", ".parquet": ".parquet"}


@dataclass(frozen=True)
class Reading:
    """How a file's columns become the record's fields: `columns` by --map, `constants` by --set."""

    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    unit: Unit = Unit.MS
    skip_invalid: bool = False

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants):
            if name not in RECORD_FIELDS:
                raise UnknownName("field", name, RECORD_FIELDS)
        if both := set(self.columns) & set(self.constants):
            raise UsageError(f"{', '.join(sorted(both))} is both mapped and set.", "Give each field one origin.")

    def as_text(self) -> str:
        """What is remembered of it beside the file's hash."""
        return msgspec.json.encode(
            {"columns": self.columns, "constants": self.constants, "unit": self.unit}, order="sorted"
        ).decode()


@dataclass(frozen=True)
class Imported:
    """What became of a file's records. `already` when the same content was imported before."""

    file: str
    records: int
    accepted: int
    duplicates: int
    skipped: int = 0
    already: bool = False
    unknown: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("file", "records", "accepted", "duplicates", "skipped", "already", "unknown")
        }


def import_files(
    logs: OwnLogs,
    files: list[Path],
    reading: Reading,
    now: datetime,
    progress: Progress = lambda _stage, _done: None,
    prices: PriceList | None = None,
) -> Iterator[Imported]:
    """Imports the files one after the other, each whole or not at all; no day is closed until the last is in.

    Raises `UnreadableFile` for the first that cannot be taken; those before it stay imported.
    """
    with logs.importing():
        for file in files:
            yield import_file(logs, file, reading, now, progress, prices or PriceList.load())


def import_file(
    logs: OwnLogs, file: Path, reading: Reading, now: datetime, progress: Progress, prices: PriceList
) -> Imported:
    """Imports one file in one transaction. The same content again adds nothing, whatever its name and the server."""
    with _plain_file(file) as plain:
        progress(f"{file.name}: reading", None)
        content = _sha256(plain, progress, file.name)
        with logs.desk() as connection:
            if before := _imported_before(logs, content, file, reading):
                return before
            unknown = _load(connection, plain, file, reading, now)
            _refuse_unseen(connection, file, reading)
            progress(f"{file.name}: checking", None)
            records = _count(connection, "incoming")
            skipped = _refuse_or_skip(connection, file, reading.skip_invalid)
            _conceal_keys(connection)
            _price(connection, prices)
            progress(f"{file.name}: storing", None)
            accepted = logs.bring_in(connection, Origin(content, file.name, reading.as_text(), records, now))
    if accepted is None:
        return import_file(logs, file, reading, now, progress, prices)
    return Imported(str(file), records, accepted, records - skipped - accepted, skipped, unknown=unknown)


@contextmanager
def _plain_file(file: Path) -> Iterator[Path]:
    """The file, or what its .gz holds, under a temporary name: DuckDB would read * or [ in its own as a pattern."""
    suffix = _inner_suffix(file)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / f"plain{suffix}"
            if file.suffix.lower() == ".gz":
                with gzip.open(file, "rb") as packed, plain.open("wb") as target:
                    shutil.copyfileobj(cast("BinaryIO", packed), target, CHUNK)
            else:
                file.open("rb").close()
                plain.symlink_to(file.absolute())
            yield plain
    except (OSError, EOFError) as error:
        _refuse_without_room(error)
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
        raise UnreadableFile(
            f"{file} cannot be read: {reason}.", "Check its path, its permissions and that it is whole."
        ) from error


def _refuse_without_room(error: OSError | EOFError) -> None:
    """Raises a `LogsError` where it is no fault of the file: a folder that takes none is told without a name of one."""
    is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if is_full or (isinstance(error, FileNotFoundError) and error.filename is None):
        remedy = "Free some space, or name another folder in TMPDIR; nothing was imported."
        raise LogsError("There is no room for temporary files.", remedy) from error


def _inner_suffix(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    suffix = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if suffix is None:
        raise UnreadableFile(f"{file} is of no kind that can be imported.", f"Use {', '.join(SUFFIXES)}, plain or .gz.")
    return suffix


def _sha256(plain: Path, progress: Progress, name: str) -> str:
    digest, size, done = hashlib.sha256(), max(plain.stat().st_size, 1), 0
    with plain.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(f"{name}: reading", done / size)
    return digest.hexdigest()


def _imported_before(logs: OwnLogs, content: str, file: Path, reading: Reading) -> Imported | None:
    before = logs.find_import(content)
    if not before:
        return None
    if before.reading != reading.as_text():
        raise UnreadableFile(
            f"{file} was imported before, as {before.file} on {before.imported_at:%Y-%m-%d}, "
            "with other --map or --set.",
            "Importing it again would count its records twice, so nothing was added.",
        )
    return Imported(str(file), before.records, 0, before.records, already=True)


def _load(
    connection: duckdb.DuckDBPyConnection, plain: Path, file: Path, reading: Reading, now: datetime
) -> tuple[str, ...]:
    """Reads the file into a temporary table `incoming`, typed, with a fault for each row that cannot be taken."""
    kind = FORMATS[_inner_suffix(file)]
    relation = kind.table.format(path="?")
    try:
        columns = _columns(connection, plain, kind)
        _check_table(file, plain, kind, columns)
        origins = _origins(columns, file, kind, reading)
        texts = [f"{origin} AS t_{name}" for name, origin in origins.items()]
        values = [
            VALUES[name].format(unit=reading.unit.us_per_unit) + f' AS "{_stored(name)}"' for name in RECORD_FIELDS
        ]
        if PRICED_BY in columns:
            texts.append(f"NULLIF(CAST({PRICED_BY} AS VARCHAR), '') AS {PRICED_BY}")
            values.append(PRICED_BY)
        limits = {
            "latest": epoch_us(now + FUTURE_TOLERANCE),
            "unit": reading.unit.us_per_unit,
            "unit_name": reading.unit.value,
        }
        fault = FAULT.format(**limits)
        statement = (
            f"CREATE TEMP TABLE incoming AS SELECT position, {', '.join(values)}, {fault} AS fault FROM "  # noqa: S608 - names from our registry, quoted
            f"(SELECT row_number() OVER () AS position, {', '.join(texts)} FROM {relation})"
        )
        connection.execute("DROP TABLE IF EXISTS incoming")
        connection.execute(statement, [*reading.constants.values(), str(plain)])
    except duckdb.Error as error:
        raise UnreadableFile(
            f"{file} is not readable {kind.name}: {first_line(error).replace(str(plain), file.name)}.",
            "Nothing was imported.",
        ) from error
    return tuple(
        name
        for name, origin in origins.items()
        if origin == "NULL" and name in ("status_code", "tokens_in", "tokens_out", "latency_ms")
    )


def _stored(name: str) -> str:
    return "cost_nanousd" if name == "cost_usd" else name


def _origins(columns: list[str], file: Path, kind: Format, reading: Reading) -> dict[str, str]:
    """For each of the record's fields the SQL that yields its text: a column, a constant (as parameter), or NULL."""
    origins = dict.fromkeys(reading.constants, "?")
    for name in RECORD_FIELDS:
        if name in origins:
            continue
        column = reading.columns.get(name, name)
        if name in reading.columns or not kind.has_columns or column in columns:
            if kind.has_columns and column not in columns:
                raise _missing(file, column, columns)
            quoted = column.replace('"', '""') if kind.has_columns else column.replace("'", "''")
            origins[name] = kind.column.format(name=quoted)
        else:
            origins[name] = "NULL"
    if origins["created_at"] == "NULL" or origins["model_name"] == "NULL":
        name = "created_at" if origins["created_at"] == "NULL" else "model_name"
        raise UnreadableFile(
            f"{file} has no column {name}; it has {', '.join(columns)}.",
            f"Say which it is with --map {name}=COLUMN"
            + (", or --set model_name=NAME." if name == "model_name" else "."),
        )
    return origins


def _check_table(file: Path, plain: Path, kind: Format, columns: list[str]) -> None:
    """What DuckDB makes a table of, though it is none: an empty file, and lines that do not go together."""
    if plain.stat().st_size == 0:
        raise UnreadableFile(f"{file} is empty.", "Nothing was imported.")
    if len(columns) == 1 and "," in columns[0]:
        message = f"{file} is not readable {kind.name}: its lines differ in their number of fields."
        raise UnreadableFile(message, "Nothing was imported.")


def _missing(file: Path, column: str, columns: list[str]) -> UnreadableFile:
    return UnreadableFile(f"{file} has no column {column!r}.", f"It has: {', '.join(columns)}.")


def _columns(connection: duckdb.DuckDBPyConnection, plain: Path, kind: Format) -> list[str]:
    if not kind.has_columns:
        return []
    described = connection.execute(f"DESCRIBE SELECT * FROM {kind.table.format(path='?')}", [str(plain)]).fetchall()  # noqa: S608
    return [row[0] for row in described]


def _refuse_unseen(connection: duckdb.DuckDBPyConnection, file: Path, reading: Reading) -> None:
    """A column that was named, but that no record has, is a slip of the pen."""
    for name, column in reading.columns.items():
        query = f'SELECT COUNT("{_stored(name)}") + COUNT(fault) FROM incoming'  # noqa: S608 - names from our registry
        if _count(connection, "incoming") and not connection.execute(query).fetchall()[0][0]:
            raise UnreadableFile(f"No record in {file} has {column!r}.", f"Mend --map {name}={column}.")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    count: int = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()[0][0]  # noqa: S608 - our own table
    return count


def _refuse_or_skip(connection: duckdb.DuckDBPyConnection, file: Path, skip_invalid: bool) -> int:
    """Raises `UnreadableFile` with the first faults, or drops the rows that have one and answers how many."""
    faulty = count_fault_rows(connection)
    if faulty and not skip_invalid:
        shown = connection.execute(
            "SELECT position, fault FROM incoming WHERE fault IS NOT NULL ORDER BY position LIMIT ?", [SHOWN_FAULTS]
        ).fetchall()
        listed = "; ".join(f"record {position}: {fault}" for position, fault in shown)
        total = _count(connection, "incoming")
        raise UnreadableFile(
            f"{faulty:,} of {total:,} records in {file} cannot be taken: {listed}.",
            "Nothing was imported. Mend the file, or give --skip-invalid to import the others.",
        )
    connection.execute("DELETE FROM incoming WHERE fault IS NOT NULL")
    return faulty


def _conceal_keys(connection: duckdb.DuckDBPyConnection) -> None:
    keys = [
        key
        for (key,) in connection.execute("SELECT DISTINCT api_key FROM incoming WHERE api_key IS NOT NULL").fetchall()
    ]
    for key in keys:
        if (concealed := conceal_secret(key)) != key:
            connection.execute("UPDATE incoming SET api_key = ? WHERE api_key = ?", [concealed, key])


_UNPRICED = (
    "SELECT position, provider, model_name, created_at, tokens_in, tokens_cached, tokens_out, cost_nanousd "
    "FROM incoming WHERE cost_nanousd IS NULL AND tokens_in IS NOT NULL"
)
_SET_COSTS = (
    "UPDATE incoming SET cost_nanousd = priced.cost_nanousd, priced_by = ? FROM priced "
    "WHERE incoming.position = priced.position"
)


def _price(connection: duckdb.DuckDBPyConnection, prices: PriceList) -> None:
    """Computes the costs that the file does not bring, as for records that are posted.

    A file of the archive says with which prices that was done: what had no cost then has none again.
    """
    if PRICED_BY in connection.table("incoming").columns:
        return
    connection.execute(f"ALTER TABLE incoming ADD COLUMN {PRICED_BY} VARCHAR")
    table = prices.price(connection.sql(_UNPRICED).to_arrow_table())
    connection.register("priced", table.filter(table["cost_nanousd"].is_valid()))
    connection.execute(_SET_COSTS, [prices.version])
