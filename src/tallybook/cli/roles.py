"""The command that prints the PostgreSQL roles of a book."""

from __future__ import annotations

import click

from tallybook.cli.common import with_settings


@click.command()
@click.option(
    "--owner", metavar="NAME", default="tallybook_owner", show_default=True, help="Owns and migrates the book."
)
@click.option(
    "--writer", metavar="NAME", default="tallybook_writer", show_default=True, help="Servers: adds, changes nothing."
)
@click.option("--reader", metavar="NAME", default="tallybook_reader", show_default=True, help="Reads all but tokens.")
@click.option("--schema", metavar="NAME", default="public", show_default=True, help="Where the book's tables lie.")
@with_settings
def roles(owner: str, writer: str, reader: str, schema: str) -> None:
    """Print the SQL that sets up three roles for a book in PostgreSQL, for an administrator to run.

    The owner migrates, the writer closes days and can change none, the reader reads. Run it in psql on the book's
    database, after `tallybook migrate`; running it again does no harm. Nothing is connected to.
    """
    from tallybook.book.guards import quote_text
    from tallybook.book.roles import quote_name, statements

    listed = statements(owner, writer, reader, schema)
    click.echo(_HEAD.format(owner=quote_name(owner), as_owner=quote_text(owner), writer=quote_name(writer)))
    click.echo("".join(f"{statement};\n" for statement in ("BEGIN", *listed, "COMMIT")), nl=False)


_HEAD = """\
-- The roles of a book in PostgreSQL. Run it on the book's database after each `tallybook migrate`, as an administrator:
--   tallybook roles | psql -v ON_ERROR_STOP=1 -d DATABASE
-- One who is no superuser first lets themselves in: SET createrole_self_grant = 'set, inherit'.
-- The three are groups. Who logs in becomes a member of one, a server of the writer:
--   CREATE ROLE tally LOGIN PASSWORD '…' IN ROLE {writer};
-- Who migrates acts as the owner, so that what a migration makes belongs to the owner, too:
--   CREATE ROLE tally_admin LOGIN PASSWORD '…' IN ROLE {owner};
--   ALTER ROLE tally_admin SET role = {as_owner};
"""
