"""Which webhooks are told of closings: the tables `[webhooks.NAME]` of `tallybook.toml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tallybook.anchoring.secret import Secret, scrub_urls
from tallybook.errors import UsageError, shorten

FORMATS = ("json", "slack")


@dataclass(frozen=True)
class WebhookSettings:
    """A webhook that is told; its text shows neither URL, which may hold a secret, nor secret."""

    name: str
    url: str = field(repr=False)
    format: str = "json"
    secret: Secret | None = None

    def scrub(self, text: str) -> str:
        """The text without secrets."""
        return scrub_urls(self.secret.scrub(text) if self.secret else text)


def _url(value: object) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("a URL that begins with https:// or http://")
    return str(value)


def _format(value: object) -> str:
    if value not in FORMATS:
        raise ValueError(f"one of: {', '.join(FORMATS)}")
    return str(value)


def _secret(value: object) -> Secret:
    if not isinstance(value, str) or not value:
        raise ValueError('a text, as in "${TALLYBOOK_WEBHOOK_SECRET}"')
    return Secret(value)


KEYS: dict[str, Callable[[object], Any]] = {"url": _url, "format": _format, "secret": _secret}


def read_webhook_settings(given: object, place: str) -> tuple[WebhookSettings, ...]:
    """The webhooks as `tallybook.toml` has them; a `UsageError` names the key that cannot be taken, never its value."""
    if not isinstance(given, dict) or not all(isinstance(table, dict) for table in given.values()):
        raise UsageError(f"webhooks in {place} is no table of tables.", "Write [webhooks.NAME] with a url.")
    return tuple(WebhookSettings(name, **dict(_read(name, table, place))) for name, table in given.items())


def _read(name: str, table: Mapping[str, object], place: str) -> Iterator[tuple[str, Any]]:
    here = f"[webhooks.{shorten(name)}] of {place}"
    if "url" not in table:
        raise UsageError(f"There is no url in {here}.", 'Write url = "https://example.com/closed".')
    for key, value in table.items():
        if key not in KEYS:
            raise UsageError(f"There is no setting {shorten(key)!r} in {here}.", f"Use one of: {', '.join(KEYS)}.")
        try:
            yield key, KEYS[key](value)
        except ValueError as error:
            raise UsageError(f"{key} in {here} must be {error}.", "docs/webhooks.md shows one.") from None
