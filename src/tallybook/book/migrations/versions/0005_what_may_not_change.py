"""What is told of a closed day later on: adjustments, drift, prunings. And guards: the database refuses any change."""

import sqlalchemy as sa
from alembic import op

from tallybook.book.guards import raise_guards

revision = "0005"
down_revision = "0004"


def schema_version() -> sa.Column[str]:
    return sa.Column("schema_version", sa.String(8), nullable=False, server_default="<0005")


def upgrade() -> None:
    op.add_column("closings", schema_version())
    for column in (
        sa.Column("dimensions", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("prices", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("payload_version", sa.Integer(), nullable=False, server_default="2"),
        schema_version(),
    ):
        op.add_column("adjustments", column)
    op.create_table(
        "reconciliations",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("since", sa.String(20), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "day", name="pk_reconciliations"),
    )
    op.create_table(
        "comparisons",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("compared_at", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_comparisons"),
    )
    op.create_table(
        "prunings",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("pruned_at", sa.String(20), nullable=False),
        sa.Column("archive", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("source", "day", name="pk_prunings"),
    )
    raise_guards(op.get_bind())
