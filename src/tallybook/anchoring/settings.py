"""Which destinations there are: the table `[anchors]` of `tallybook.toml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tallybook.anchoring.command import Command
from tallybook.anchoring.git import GitRepository
from tallybook.anchoring.secret import Secret, scrub_urls
from tallybook.errors import UsageError, shorten

if TYPE_CHECKING:
    from tallybook.anchoring.destination import Destination


@dataclass(frozen=True)
class AnchorSettings:
    """The destinations that are set, beside the file in the home; its text shows no secret."""

    home: Path
    webhook: str | None = field(default=None, repr=False)
    webhook_secret: Secret | None = None
    git: Path | None = None
    git_push: bool = False
    command: tuple[str, ...] = field(default=(), repr=False)

    def destinations(self) -> tuple[Destination, ...]:
        """The destinations, each of which is delivered to for itself."""
        found: list[Destination] = []
        if self.webhook and self.webhook_secret:
            from tallybook.anchoring.webhook import Webhook  # noqa: PLC0415 - httpx takes a command without it 0.1 s

            found.append(Webhook(self.webhook, self.webhook_secret))
        if self.git:
            found.append(GitRepository(self.home / self.git, self.git_push))
        if self.command:
            found.append(Command(self.command, self.home))
        return tuple(found)

    def scrub(self, text: str) -> str:
        """The text without the secret, and without what stands before the host in a URL."""
        return scrub_urls(self.webhook_secret.scrub(text) if self.webhook_secret else text)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a text")
    return value


def _url(value: object) -> str:
    try:
        parts = urlsplit(_text(value))
        is_url = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("a URL that begins with https:// or http://")
    return str(value)


def _folder(value: object) -> Path:
    try:
        return Path(_text(value)).expanduser()
    except RuntimeError:
        raise ValueError("a folder whose user exists") from None


def _yes_or_no(value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError("true or false")
    return value


def _words(value: object) -> tuple[str, ...]:
    wanted = "a list of texts: the program, then its arguments"
    if not isinstance(value, list) or not value or not value[0]:
        raise ValueError(wanted)
    if not all(isinstance(word, str) and "\0" not in word for word in value):
        raise ValueError(wanted)
    return tuple(value)


@dataclass(frozen=True)
class _Key:
    """How the value of a key is read, how one is written, and which key it needs beside it."""

    read: Callable[[object], Any]
    example: str
    needs: str | None = None


KEYS = {
    "webhook": _Key(_url, '"https://example.com/heads"', needs="webhook_secret"),
    "webhook_secret": _Key(lambda value: Secret(_text(value)), '"${TALLYBOOK_WEBHOOK_SECRET}"', needs="webhook"),
    "git": _Key(_folder, '"/folder/of/a/repository"'),
    "git_push": _Key(_yes_or_no, "true", needs="git"),
    "command": _Key(_words, '["/usr/local/bin/keep-head"]'),
}


def read_anchor_settings(given: object, home: Path, place: str) -> AnchorSettings:
    """The settings as `tallybook.toml` has them; a `UsageError` names the key that cannot be taken, never its value."""
    here = f"[anchors] of {place}"
    if not isinstance(given, dict):
        raise UsageError(f"anchors in {place} is no table.", f"Write [anchors] with one of: {', '.join(KEYS)}.")
    for name in given:
        if name not in KEYS:
            raise UsageError(f"There is no setting {shorten(name)!r} in {here}.", f"Use one of: {', '.join(KEYS)}.")
    return AnchorSettings(home, **{name: _read(name, given, here) for name in given})


def _read(name: str, given: Mapping[str, object], here: str) -> Any:
    key = KEYS[name]
    if key.needs and key.needs not in given:
        raise UsageError(
            f"There is no {key.needs} in {here}, which {name} needs.",
            f"Write {key.needs} = {KEYS[key.needs].example}, or leave out {name}.",
        )
    try:
        return key.read(given[name])
    except ValueError as error:
        raise UsageError(f"{name} in {here} must be {error}.", f"Write it as in {name} = {key.example}.") from None
