"""The archive: a file of Parquet for each day whose records are deleted, from which `import` brings them back."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tallybook.errors import LogsError
from tallybook.logs.columns import PRICED_BY, STORED_SCHEMA
from tallybook.logs.desk import private_desk
from tallybook.measures import REQUESTS, Totals
from tallybook.records import RECORD_FIELDS, STORED_FIELDS

ROWS_AT_ONCE = 100_000
"""So many are in memory, and in a row group of the file."""

USD = pa.decimal128(18, 9)
ONE_NANOUSD = Decimal("0.000000001")
SCHEMA = pa.schema(
    [
        pa.field(
            name, {"created_at": pa.timestamp("us", "UTC"), "cost_usd": USD}.get(name, STORED_SCHEMA.field(kept).type)
        )
        for name, kept in zip(RECORD_FIELDS, STORED_FIELDS, strict=True)
    ]
    + [STORED_SCHEMA.field(PRICED_BY)]
)
"""Records as they are posted and imported, and with which prices their costs were computed."""


class NotArchived(Exception):
    """A day of which there is no archive to rely on; the message is the reason why its records must be kept."""


@dataclass(frozen=True)
class ArchivedDay:
    """A file that holds a day's records, and is on disk."""

    file: Path
    sha256: str
    records: int


@dataclass(frozen=True)
class Archive:
    """A folder with a file for each day; it is made where its parent is there."""

    folder: Path

    def write(self, source: str, day: date, records: Iterable[pa.RecordBatch], totals: Totals) -> ArchivedDay:
        """Writes the day's records, whose totals are known, to SOURCE-YYYY-MM-DD.parquet; what that held stays.

        A file appears under its name when it is whole, was read back and is on disk; a crash leaves at most one whose
        name ends in `.part`. Where there is one of that name with the same records, that is the archive. Raises
        `NotArchived` where it holds others, and `LogsError` where the folder takes no file, as on a full disk.
        """
        file = self.folder / f"{source}-{day.isoformat()}.parquet"
        with self._errors(day), self._part(file) as part:
            _write(part, records)
            if _read_back(part, day) != totals:
                raise NotArchived("its archive, read back, does not hold what the logs do")
            if not file.exists():
                part.rename(file)
            elif not _same_records(file, part):
                raise NotArchived(f"{file} is there and holds other records; move it away")
            _sync(self.folder)
            return ArchivedDay(file, _sha256(file), totals[REQUESTS])

    @contextmanager
    def _part(self, file: Path) -> Iterator[Path]:
        """A name for the file while it is written; what has it at the end is removed."""
        if not self.folder.is_dir():
            self.folder.mkdir()
            _sync(self.folder.absolute().parent)
        part = self.folder / f".{file.name}.{uuid.uuid4().hex}.part"
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, day: date) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"no record of {day} was deleted."
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise LogsError("The disk that holds the archive is full.", f"Free some space; {kept}") from error
            reason = error.strerror or str(error)
            raise LogsError(
                f"The archive in {self.folder} failed: {reason}.", f"Name another folder; {kept}"
            ) from error


def _write(part: Path, records: Iterable[pa.RecordBatch]) -> None:
    with part.open("xb") as file:
        with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
            for batch in records:
                writer.write_batch(_as_imported(batch))
        file.flush()
        os.fsync(file.fileno())


def _as_imported(records: pa.RecordBatch) -> pa.RecordBatch:
    """Records as they are stored, in the columns of `SCHEMA`: a cost is one in dollars, to the last digit."""
    one_nanousd = pa.scalar(ONE_NANOUSD, pa.decimal128(9, 9))
    cost_usd = pc.multiply(records["cost_nanousd"].cast(pa.decimal128(19)), one_nanousd)
    columns = {**{name: records[name] for name in STORED_SCHEMA.names}, "cost_usd": cost_usd}
    return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _read_back(part: Path, day: date) -> Totals | None:
    """The totals of what the file holds; None where it cannot be read."""
    from tallybook.sources.own import archived_totals  # noqa: PLC0415 - Ibis takes half a second to import

    try:
        with pq.ParquetFile(part) as written:
            batches = written.iter_batches(ROWS_AT_ONCE)
            return archived_totals(pa.RecordBatchReader.from_batches(SCHEMA, batches), day)
    except pa.ArrowException:
        return None


_ANY_DIFFERENCE = (
    "SELECT COUNT(*) FROM (SELECT 1 FROM (SELECT *, 1 AS times FROM there UNION ALL SELECT *, -1 FROM written) "  # noqa: S608
    "GROUP BY {} HAVING SUM(times) <> 0)".format(", ".join(f'"{name}"' for name in SCHEMA.names))
)


def _same_records(file: Path, part: Path) -> bool:
    """Whether both files hold the same records, in whatever order."""
    import pyarrow.dataset as ds  # noqa: PLC0415 - it brings Pandas along, a quarter of a second for every command

    if _sha256(file) == _sha256(part):
        return True
    try:
        if not pq.read_schema(file).equals(SCHEMA):
            return False
    except pa.ArrowException:
        return False
    with private_desk("no record was deleted") as desk:
        desk.register("there", ds.dataset(file))
        desk.register("written", ds.dataset(part))
        return desk.sql(_ANY_DIFFERENCE).fetchall() == [(0,)]


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Has the folder's names outlast a power cut, as its files do."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
