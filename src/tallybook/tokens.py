"""Access tokens: who may call what.

A token reads `tb_ID_SECRET`. The id is public and finds it in the book; the secret is 256 random bits, of which the
book keeps the SHA-256 of the whole token and nothing else. A slow hash would gain nothing: it hinders guessing, and
2^256 values cannot be guessed at any speed, while every request would pay for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tallybook.days import format_instant
from tallybook.errors import UsageError

MAX_NAME = 64
_ID_BYTES = 6
_SECRET_BYTES = 32
_TOKEN = re.compile(rf"tb_([0-9a-f]{{{2 * _ID_BYTES}}})_[0-9a-f]{{{2 * _SECRET_BYTES}}}")
_BEARER = re.compile(r"[ \t]*bearer[ \t]+(\S+)[ \t]*", re.IGNORECASE)


class Role(StrEnum):
    """What a token is for. `admin` may do what the others may, and what changes the book."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether a token of this role may do what needs the other."""
        return self in (needed, Role.ADMIN)


@dataclass(frozen=True)
class Token:
    """What the book keeps of a token; instants are RFC 3339 in UTC, `last_used_on` is a UTC day."""

    id: str
    role: Role
    name: str | None
    hash: str = field(repr=False)
    created_at: str
    last_used_on: str | None = None
    revoked_at: str | None = None

    def lets_in(self, shown: str) -> bool:
        """Whether what a caller shows is this token and it is not revoked; takes as long for a near miss as for any."""
        return hmac.compare_digest(self.hash, hash_token(shown)) and self.revoked_at is None

    def as_json(self) -> dict[str, Any]:
        """Everything but the hash."""
        return {
            "id": self.id,
            "role": self.role.value,
            "name": self.name,
            "created_at": self.created_at,
            "last_used_on": self.last_used_on,
            "revoked_at": self.revoked_at,
        }


def new_token(role: Role, name: str | None, now: datetime) -> tuple[str, Token]:
    """A token to hand out, once, and what to keep of it. Raises `UsageError` for a name that cannot be kept."""
    if name is not None and (not name.isprintable() or not 0 < len(name.strip()) <= len(name) <= MAX_NAME):
        raise UsageError(
            "The token's name cannot be kept.", f"Give 1 to {MAX_NAME} printable characters, or leave --name out."
        )
    public = secrets.token_hex(_ID_BYTES)
    text = f"tb_{public}_{secrets.token_hex(_SECRET_BYTES)}"
    return text, Token(public, role, name, hash_token(text), format_instant(now))


def hash_token(text: str) -> str:
    """The SHA-256 of a token, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def id_of(text: str) -> str | None:
    """The public id within a token; None for what has not the form of one."""
    found = _TOKEN.fullmatch(text)
    return found[1] if found else None


def read_bearer(header: str) -> str | None:
    """What an `Authorization` header shows; None for another scheme. Its case and stray blanks mean nothing."""
    found = _BEARER.fullmatch(header)
    return found[1] if found else None
