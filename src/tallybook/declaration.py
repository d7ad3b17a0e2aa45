"""The declaration of an attached source: what a user says of it, and what was found when it was attached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

import msgspec

from tallybook.errors import UsageError, shorten

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)
RESERVED = ("local",)


class FailuresSeen(msgspec.Struct, frozen=True):
    """What is known of failures that are logged only where a gateway is told to.

    `since` is the first day with a logged one; while there is none, the days before `sought_before` were looked at.
    """

    since: date | None = None
    sought_before: date | None = None


class Pinned(msgspec.Struct, frozen=True):
    """What attaching found: closing relies on it, and fails rather than read something else."""

    table: str
    kinds: dict[str, str]
    first_day: date | None
    failures: FailuresSeen = FailuresSeen()


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One attached source. `columns` are those of `--map`, `settings` those of `--set`."""

    name: str
    url: str
    preset: str = "log_records"
    query: str | None = None
    columns: dict[str, str] = {}
    settings: dict[str, str] = {}
    pinned: Pinned | None = None


def check_name(name: str) -> str:
    """The name, if a source can have it; else a `UsageError`."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f"A source cannot be named {shorten(name)!r}.",
            "Use small letters, digits, '.', '-' and '_', beginning with a letter or digit; 'local' is our own logs.",
        )
    return name


KEYS = {"url": "url", "preset": "preset", "query": "query", "map": "columns", "set": "settings"}
"""What a table of `tallybook.toml` may hold, and which part of the declaration it is."""


def read_declaration(name: str, given: Mapping[str, object], place: str) -> Declaration:
    """A declaration as `tallybook.toml` has it: `url`, and where wanted `preset` or `query`, `map` and `set`."""
    check_name(name)
    here = f"[sources.{name}] of {place}"
    for key, value in given.items():
        if key not in KEYS:
            raise UsageError(f"There is no setting {shorten(key)!r} in {here}.", f"Use one of: {', '.join(KEYS)}.")
        if not isinstance(value, dict if key in ("map", "set") else str):
            wanted = f'a table, as in {key} = {{team = "group"}}' if key in ("map", "set") else "a text"
            raise UsageError(f"{key} in {here} must be {wanted}.", "Mend it and try again.")
    if "url" not in given:
        raise UsageError(f"There is no url in {here}.", "Name the database or the files there.")
    if "preset" in given and "query" in given:
        raise UsageError(f"Both preset and query are given in {here}.", "Give one of them.")
    return msgspec.convert({"name": name, **{KEYS[key]: _told(value) for key, value in given.items()}}, Declaration)


def _told(value: object) -> object:
    return {name: str(told) for name, told in value.items()} if isinstance(value, dict) else value
