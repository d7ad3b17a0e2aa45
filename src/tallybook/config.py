"""Settings: flags, then environment, then `tallybook.toml` in the home, then the default; one name everywhere."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tallybook.anchoring.settings import AnchorSettings, read_anchor_settings
from tallybook.announcing.settings import WebhookSettings, read_webhook_settings
from tallybook.declaration import Declaration, read_declaration
from tallybook.errors import UnknownName, UsageError, first_line
from tallybook.measures import DEFAULT_DIMENSIONS, DIMENSION_NAMES
from tallybook.own_prices import OwnPrices, read_own_prices
from tallybook.source import DEFAULT_MAX_SLICES, Slicing

CONFIG_FILE = "tallybook.toml"
SOURCES = "sources"
PRICES = "prices"
ANCHORS = "anchors"
WEBHOOKS = "webhooks"
NO_ANCHORS = AnchorSettings(Path())
MAX_DAYS = 36_500
DEFAULT_HOME = "./tallybook-data"
DEFAULT_PORT = 8787


@dataclass(frozen=True)
class Settings:
    """Every setting, with its value settled."""

    home: Path
    book: str
    logs: str
    host: str
    port: int
    slicing: Slicing
    attached: tuple[Declaration, ...] = ()
    prices: OwnPrices = ()
    anchors: AnchorSettings = NO_ANCHORS
    webhooks: tuple[WebhookSettings, ...] = ()
    adjust_after_days: int | None = None
    keep_logs_days: int | None = None
    prune_archive: Path | None = None


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings: where it may be given, and how a value that is given as text is read."""

    name: str
    read: Callable[[Any], Any]
    default: Callable[[Path], Any]

    @property
    def environment(self) -> str:
        return f"TALLYBOOK_{self.name.upper()}"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not str(value).isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return read


def _dimensions(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError("a list of dimensions")
    for name in names:
        if name not in DIMENSION_NAMES:
            raise UnknownName("dimension", str(name), DIMENSION_NAMES)
    return tuple(dict.fromkeys(names))


SETTINGS = (
    Setting("book", _text, lambda home: f"sqlite:///{quote(str(home / 'book.sqlite'))}"),
    Setting("logs", _text, lambda home: f"duckdb:///{home / 'logs.duckdb'}"),
    Setting("host", _text, lambda _: "127.0.0.1"),
    Setting("port", _whole(0, 65535), lambda _: DEFAULT_PORT),
    Setting("dimensions", _dimensions, lambda _: DEFAULT_DIMENSIONS),
    Setting("max_slices_per_day", _whole(1, 1_000_000), lambda _: DEFAULT_MAX_SLICES),
    Setting("adjust_after_days", _whole(0, MAX_DAYS), lambda _: None),
    Setting("keep_logs_days", _whole(1, MAX_DAYS), lambda _: None),
    Setting("prune_archive", _text, lambda _: None),
)


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings in force. A value or name that cannot be taken is a `UsageError` naming its origin."""
    home = Path(flags.get("home") or environment.get("TALLYBOOK_HOME") or DEFAULT_HOME).expanduser().resolve()
    file = _read_file(home / CONFIG_FILE)
    attached = tuple(_read_sources(file.pop(SOURCES, {}), home))
    prices = read_own_prices(file.pop(PRICES, {}), CONFIG_FILE)
    anchors = read_anchor_settings(file.pop(ANCHORS, {}), home, CONFIG_FILE)
    webhooks = read_webhook_settings(file.pop(WEBHOOKS, {}), CONFIG_FILE)
    values = {setting.name: _settle(setting, flags, environment, file, home) for setting in SETTINGS}
    slicing = Slicing(values.pop("dimensions"), values.pop("max_slices_per_day"))
    if (archive := values.pop("prune_archive")) is not None:
        values["prune_archive"] = home / archive
    return Settings(
        home=home, slicing=slicing, attached=attached, prices=prices, anchors=anchors, webhooks=webhooks, **values
    )


def _read_sources(given: Any, home: Path) -> Iterator[Declaration]:
    """The tables `[sources.NAME]`; a query is the name of a file, looked for in the home."""
    if not isinstance(given, dict) or not all(isinstance(table, dict) for table in given.values()):
        raise UsageError(f"{SOURCES} in {CONFIG_FILE} is no table.", "Write [sources.NAME] with url and preset.")
    for name, table in given.items():
        if isinstance(query := table.get("query"), str):
            table = {**table, "query": read_query(home / query)}  # noqa: PLW2901 - the same with its query read
        yield read_declaration(name, table, CONFIG_FILE)


def read_query(path: Path) -> str:
    """The SELECT in a file; `UsageError` where there is none."""
    try:
        text = path.read_text(encoding="utf-8").strip().rstrip(";").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The query in {path} cannot be read: {first_line(error)}.", "Name a file with a SELECT."
        ) from None
    if not text:
        raise UsageError(f"The query in {path} is empty.", "Write a SELECT that yields the record's columns.")
    return text


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}.", "Mend it, or move it away.") from None
    names = [*(setting.name for setting in SETTINGS), SOURCES, PRICES, ANCHORS, WEBHOOKS]
    for name in values:
        if name not in names:
            raise UsageError(f"There is no setting {name!r} in {path}.", f"Use one of: {', '.join(names)}.")
    return values


def _settle(
    setting: Setting, flags: Mapping[str, Any], environment: Mapping[str, str], file: Mapping[str, Any], home: Path
) -> Any:
    origins = (
        (f"--{setting.name}", flags.get(setting.name)),
        (setting.environment, environment.get(setting.environment)),
        (f"{setting.name} in {CONFIG_FILE}", file.get(setting.name)),
    )
    for origin, value in origins:
        if value is not None:
            try:
                return setting.read(value)
            except ValueError as error:
                raise UsageError(f"{origin} is {value!r}, but must be {error}.", "Mend it and try again.") from None
    return setting.default(home)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
