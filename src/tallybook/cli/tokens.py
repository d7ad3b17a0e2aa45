"""Commands on access tokens. They need only the book, so they work the same beside a running server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from tallybook.cli.cells import UNKNOWN, name_of, new_table, say
from tallybook.cli.common import clock, err, json_flag, out, print_json, settings, with_settings
from tallybook.errors import UnknownName, UsageError
from tallybook.tokens import Role, id_of
from tallybook.wording import count_of

if TYPE_CHECKING:
    from tallybook.book.credentials import Credentials

ROLES = [role.value for role in Role]


@click.group(name="token")
@with_settings
def token() -> None:
    """Make, list and revoke access tokens.

    Once a token was made, every call to a server on the same book needs one, as `Authorization: Bearer TOKEN`. Commands
    on the server's home need none.
    """


@token.command()
@click.option(
    "--role",
    required=True,
    metavar="ROLE",
    help="ingest to send records, read to ask, admin for all, also to close.",
)
@click.option("--name", metavar="TEXT", help="What or who it is for, to tell it from others.")
@json_flag
@with_settings
def create(role: str, name: str | None, as_json: bool) -> None:
    """Make a token and print it. It is shown this once: the book keeps its hash only."""
    if role not in ROLES:
        raise UnknownName("role", role, ROLES)
    with _credentials() as credentials:
        text, made = credentials.create(Role(role), name, clock())
    if as_json:
        print_json({"id": made.id, "role": role, "name": name, "token": text, "created_at": made.created_at})
        return
    click.echo(text)
    if err.is_terminal:
        say(err, f"Token {made.id}, role {role}. It is not shown again; send it as: Authorization: Bearer TOKEN")


@token.command(name="list")
@json_flag
@with_settings
def list_(as_json: bool) -> None:
    """List the tokens: id, role, name, when made, last used and revoked; never the token itself."""
    with _credentials() as credentials:
        listed = [each.as_json() for each in credentials.list()]
    if as_json:
        print_json({"tokens": listed})
    else:
        _print_tokens(out, listed)


@token.command()
@click.argument("public", metavar="ID")
@json_flag
@with_settings
def revoke(public: str, as_json: bool) -> None:
    """Revoke the token ID for good: it fails at the very next call, on every server of the book.

    Other tokens stay as they are. Calls need a token even when the last is revoked.
    """
    with _credentials() as credentials:
        revoked = credentials.revoke(id_of(public) or public, clock())
        in_force = sum(each.revoked_at is None for each in credentials.list())
    if revoked is None:
        raise UsageError("There is no token with this id.", "`tallybook token list` shows the ids.")
    if as_json:
        print_json({**revoked.as_json(), "in_force": in_force})
        return
    left = f"{count_of(in_force, 'token')} in force" if in_force else "No token is in force, and calls still need one"
    out.print(f"Token {revoked.id}, role {revoked.role}, is revoked since {revoked.revoked_at}. {left}.")


@contextmanager
def _credentials() -> Iterator[Credentials]:
    """The tokens of the book, which is made if there is none: a token may be the first thing in it."""
    from tallybook.book.ledger import Book
    from tallybook.home import prepare_home

    chosen = settings()
    prepare_home(chosen.home)
    book = Book.open(chosen.book, clock())
    try:
        yield book.credentials
    finally:
        book.close()


def _print_tokens(console: Console, listed: list[dict[str, Any]]) -> None:
    if not listed:
        say(console, "There are no tokens. Make one: `tallybook token create --role ingest`.")
        return
    table = new_table("id", "role", "name", "made", "last used", "revoked", left=6)
    for each in listed:
        made, revoked = each["created_at"][:10], (each["revoked_at"] or "")[:10]
        used = each["last_used_on"] or UNKNOWN
        table.add_row(each["id"], escape(each["role"]), name_of(each["name"]), made, used, revoked)
    console.print(table)
