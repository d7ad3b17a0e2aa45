"""Which price data costs of a day were computed with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("closings", sa.Column("prices", sa.Text(), nullable=False, server_default="[]"))
