"""The tables of the book, as SQLAlchemy sees them. Migrations build them; a test holds the two together.

Days are text `YYYY-MM-DD`, instants are text in RFC 3339 UTC, everything counted is a whole number, and compound values
are canonical JSON text: any engine, any driver and any reader sees the same.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

from tallybook.measures import DIMENSION_NAMES, MEASURE_NAMES

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(column_0_N_label)s",
    }
)

DAY = String(10)
INSTANT = String(20)
HASH = String(64)
SOURCE = String(64)


def _measure_columns() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in MEASURE_NAMES]


book = Table(
    "book",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("book_id", String(36), nullable=False),
    Column("created_at", INSTANT, nullable=False),
)

closings = Table(
    "closings",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("source", SOURCE, nullable=False),
    Column("day", DAY, nullable=False),
    Column("state", String(8), nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("payload_version", Integer, nullable=False),
    Column("digest", HASH, nullable=False),
    Column("chain", HASH, nullable=False),
    Column("prev_chain", HASH, nullable=False),
    Column("closed_at", INSTANT, nullable=False),
    Column("unknown", Text, nullable=False, server_default="[]"),
    Column("prices", Text, nullable=False, server_default="[]"),
    Column("schema_version", String(8), nullable=False, server_default="<0005"),
    UniqueConstraint("source", "day"),
)

daily_stats = Table(
    "daily_stats",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("date", DAY, primary_key=True),
    *_measure_columns(),
    Column("top_models", Text, nullable=False),
    Column("dimensions", Text, nullable=False),
    Column("histogram", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Index("ix_daily_stats_date", "date"),
)

daily_slices = Table(
    "daily_slices",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("date", DAY, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    *[Column(name, Text) for name in DIMENSION_NAMES],
    *_measure_columns(),
    sqlite_with_rowid=False,
)

daily_histograms = Table(
    "daily_histograms",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("date", DAY, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("provider", Text),
    Column("model", Text),
    Column("histogram", Text, nullable=False),
    sqlite_with_rowid=False,
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("source", SOURCE, nullable=False),
    Column("day", DAY, nullable=False),
    Column("recorded_at", INSTANT, nullable=False),
    Column("reason", Text, nullable=False),
    *_measure_columns(),
    Column("slices", Text, nullable=False),
    Column("histograms", Text, nullable=False),
    Column("fingerprint_before", Text, nullable=False),
    Column("fingerprint_after", Text, nullable=False),
    Column("digest", HASH, nullable=False),
    Column("chain", HASH, nullable=False),
    Column("prev_chain", HASH, nullable=False),
    Column("dimensions", Text, nullable=False, server_default="[]"),
    Column("prices", Text, nullable=False, server_default="[]"),
    Column("payload_version", Integer, nullable=False, server_default="2"),
    Column("schema_version", String(8), nullable=False, server_default="<0005"),
    Index("ix_adjustments_source_day", "source", "day"),
)

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("day", DAY, primary_key=True),
    Column("state", String(12), nullable=False),
    Column("since", INSTANT, nullable=False),
    Column("change", Text, nullable=False),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("compared_at", INSTANT, nullable=False),
)

prunings = Table(
    "prunings",
    metadata,
    Column("source", SOURCE, primary_key=True),
    Column("day", DAY, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("pruned_at", INSTANT, nullable=False),
    Column("archive", Text),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("role", String(8), nullable=False),
    Column("name", Text),
    Column("hash", HASH, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("last_used_on", DAY),
    Column("revoked_at", INSTANT),
)
