"""The tokens in the book: made, found, listed and revoked. A row is never deleted, and never holds a token itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from tallybook.book.engine import reading, writing
from tallybook.book.schema import tokens
from tallybook.days import format_instant
from tallybook.tokens import Role, Token, id_of, new_token

_ONE = sa.select(tokens).where(tokens.c.id == sa.bindparam("public"))
_ANY = sa.select(tokens.c.id).limit(1)
"""Built once: to build a statement takes longer than to run it, and these run at each request."""


class Credentials:
    """The tokens of an open book. Thread-safe; every method is one transaction and raises `BookError` for its faults.

    Nothing is remembered between calls: what another process revokes is revoked here at the next call.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, role: Role, name: str | None, now: datetime) -> tuple[str, Token]:
        """Makes a token; answers it, as nobody can again, and what is kept of it."""
        text, token = new_token(role, name, now)
        row = {**token.as_json(), "hash": token.hash}
        with writing(self._engine) as connection:
            connection.execute(sa.insert(tokens), row)
        return text, token

    def find(self, shown: str) -> Token | None:
        """The token in force that a caller shows."""
        public = id_of(shown)
        if public is None:
            return None
        with reading(self._engine) as connection:
            row = connection.execute(_ONE, {"public": public}).mappings().first()
        token = _token(row) if row else None
        return token if token and token.lets_in(shown) else None

    def were_ever_made(self) -> bool:
        """Whether there ever was a token; once true, it stays true."""
        with reading(self._engine) as connection:
            return connection.scalar(_ANY) is not None

    def list(self) -> list[Token]:
        """Every token, those that are revoked too, in the order in which they were made."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(tokens).order_by(tokens.c.created_at, tokens.c.id)).mappings()
            return [_token(row) for row in rows]

    def revoke(self, public: str, now: datetime) -> Token | None:
        """Revokes the token for good; once revoked it stays as it is. None where there is none with this id."""
        in_force = sa.and_(tokens.c.id == public, tokens.c.revoked_at.is_(None))
        with writing(self._engine) as connection:
            connection.execute(sa.update(tokens).where(in_force).values(revoked_at=format_instant(now)))
            row = connection.execute(_ONE, {"public": public}).mappings().first()
        return _token(row) if row else None

    def note_use(self, public: str, day: date) -> None:
        """Notes that the token was used on the day, unless it was on that day or later."""
        last = tokens.c.last_used_on
        older = sa.or_(last.is_(None), last < day.isoformat())
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(tokens).where(tokens.c.id == public, older).values(last_used_on=day.isoformat())
            )


def _token(row: Mapping[Any, Any]) -> Token:
    return Token(**{**row, "role": Role(row["role"])})
