"""The first book: closings, daily statistics, slices, histograms and adjustments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MEASURES = (
    "requests",
    "success",
    "failed",
    "status_count",
    "tokens_in",
    "tokens_in_count",
    "tokens_out",
    "tokens_out_count",
    "tokens_cached",
    "tokens_cached_count",
    "tokens_reasoning",
    "tokens_reasoning_count",
    "latency_sum_ms",
    "latency_count",
    "ttft_sum_ms",
    "ttft_count",
    "cost_nanousd",
    "priced_requests",
)
DIMENSIONS = ("model", "provider", "team", "api_key", "user", "operation", "error_type")


def measures() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in MEASURES]


def text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=nullable)


def number(name: str, kind: type[sa.Integer] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, kind(), nullable=False, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "book",
        number("id", sa.Integer),
        text("book_id", 36),
        text("created_at", 20),
        sa.PrimaryKeyConstraint("id", name="pk_book"),
    )
    op.create_table(
        "closings",
        number("seq"),
        text("source", 64),
        text("day", 10),
        text("state", 8),
        number("records"),
        text("fingerprint"),
        number("payload_version", sa.Integer),
        text("digest", 64),
        text("chain", 64),
        text("prev_chain", 64),
        text("closed_at", 20),
        sa.PrimaryKeyConstraint("seq", name="pk_closings"),
        sa.UniqueConstraint("source", "day", name="uq_closings_source_day"),
    )
    op.create_table(
        "daily_stats",
        text("source", 64),
        text("date", 10),
        *measures(),
        text("top_models"),
        text("dimensions"),
        text("histogram"),
        text("created_at", 20),
        sa.PrimaryKeyConstraint("source", "date", name="pk_daily_stats"),
    )
    op.create_index("ix_daily_stats_date", "daily_stats", ["date"])
    op.create_table(
        "daily_slices",
        text("source", 64),
        text("date", 10),
        number("position", sa.Integer),
        *(text(name, nullable=True) for name in DIMENSIONS),
        *measures(),
        sa.PrimaryKeyConstraint("source", "date", "position", name="pk_daily_slices"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "daily_histograms",
        text("source", 64),
        text("date", 10),
        number("position", sa.Integer),
        text("provider", nullable=True),
        text("model", nullable=True),
        text("histogram"),
        sa.PrimaryKeyConstraint("source", "date", "position", name="pk_daily_histograms"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "adjustments",
        number("seq"),
        text("source", 64),
        text("day", 10),
        text("recorded_at", 20),
        text("reason"),
        *measures(),
        text("slices"),
        text("histograms"),
        text("fingerprint_before"),
        text("fingerprint_after"),
        text("digest", 64),
        text("chain", 64),
        text("prev_chain", 64),
        sa.PrimaryKeyConstraint("seq", name="pk_adjustments"),
    )
    op.create_index("ix_adjustments_source_day", "adjustments", ["source", "day"])
