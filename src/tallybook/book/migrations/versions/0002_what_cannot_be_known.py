"""What a source cannot know of a day: a gateway that logs no failures has none to count."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("closings", sa.Column("unknown", sa.Text(), nullable=False, server_default="[]"))
