"""The attached sources of a home: those of `attach`, in a file of their own, and those of `tallybook.toml`.

What was found of the latter is in a file as well, so that the next process holds on to it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from tallybook.declaration import Declaration, Pinned, check_name
from tallybook.errors import UnknownName, UsageError, first_line
from tallybook.sources.attached import AttachedSource
from tallybook.sources.urls import SourceUrl, absolute

log = logging.getLogger(__name__)

SOURCES_FILE = "sources.json"
PINS_FILE = "pins.json"
ATTACHED, CONFIGURED = "attached", "tallybook.toml"


class Pin(msgspec.Struct, frozen=True):
    """What was found of a source of `tallybook.toml`; it holds as long as the source is declared in the same way."""

    name: str
    declared: str
    pinned: Pinned


class Registry:
    """Which sources are attached. Thread-safe; only its owner can read `sources.json`, as URLs may hold passwords.

    The URL of a file in `tallybook.toml` is relative to the home.
    """

    def __init__(self, home: Path, configured: Sequence[Declaration]) -> None:
        self._path, self._pins_path = home / SOURCES_FILE, home / PINS_FILE
        self._lock = threading.Lock()
        attached = _read(self._path, Declaration, "attach the sources anew")
        configured = [msgspec.structs.replace(each, url=absolute(each.url, home)) for each in configured]
        pins = {(pin.name, pin.declared): pin.pinned for pin in self._read_pins()} if configured else {}
        if configured:
            from tallybook.sources.matching import check  # noqa: PLC0415 - only where there is something to check

            for declaration in configured:
                check(declaration)
        for declaration in configured:
            if any(declaration.name == other.name for other in attached):
                raise UsageError(
                    f"The source {declaration.name!r} is in tallybook.toml and attached as well.",
                    f"Take it out of the file, or run: tallybook detach {declaration.name}, without it there.",
                )
        self._attached = {each.name: AttachedSource(each, self._keep) for each in attached}
        self._configured = {each.name: AttachedSource(_with_pin(each, pins), self._keep) for each in configured}

    def _read_pins(self) -> list[Pin]:
        return _read(self._pins_path, Pin, "the sources of tallybook.toml are taken as they are then")

    def _keep(self, declaration: Declaration) -> None:
        """Keeps what has been found of a source, unless it has been detached meanwhile."""
        with self._lock:
            try:
                if declaration.name in self._configured:
                    known = [source.declaration for source in self._configured.values()]
                    _write(
                        self._pins_path, [Pin(each.name, _declared(each), each.pinned) for each in known if each.pinned]
                    )
                elif declaration.name in self._attached:
                    _write(self._path, [source.declaration for source in self._attached.values()])
            except OSError as error:
                log.warning("what was found is not kept", extra={"source": declaration.name, "error": str(error)})

    def sources(self) -> list[AttachedSource]:
        """Every attached source, by name."""
        with self._lock:
            both = {**self._configured, **self._attached}
        return [both[name] for name in sorted(both)]

    def origin_of(self, name: str) -> str:
        """Where the source is declared."""
        return CONFIGURED if name in self._configured else ATTACHED

    def check_free(self, name: str) -> None:
        """Raises `UsageError` for a name that no new source can have."""
        check_name(name)
        if name in self._configured:
            raise UsageError(f"The source {name!r} is in tallybook.toml.", "Change it there, or choose another name.")
        if name in self._attached:
            raise UsageError(
                f"The source {name!r} is attached already.",
                f"Choose another name, or run: tallybook detach {name}. Its closed days stay.",
            )

    def same_as(self, wanted: Declaration) -> str | None:
        """The name of a source that reads the same records already, so that each would count twice."""
        told = _declared(msgspec.structs.replace(wanted, name=""))
        alike = (
            source.name
            for source in self.sources()
            if _declared(msgspec.structs.replace(source.declaration, name="")) == told
        )
        return next(alike, None)

    def add(self, declaration: Declaration) -> None:
        """Keeps the source from now on."""
        with self._lock:
            self.check_free(declaration.name)
            kept = {**self._attached, declaration.name: AttachedSource(declaration, self._keep)}
            _write(self._path, [source.declaration for source in kept.values()])
            self._attached = kept

    def remove(self, name: str) -> None:
        """Forgets the source; what it has in the book stays."""
        with self._lock:
            if name in self._configured:
                raise UsageError(
                    f"The source {name!r} is in tallybook.toml.", "Take it out there, and restart the server."
                )
            if name not in self._attached:
                raise UnknownName("attached source", name, sorted(self._attached) or ["(none)"])
            kept = {other: source for other, source in self._attached.items() if other != name}
            _write(self._path, [source.declaration for source in kept.values()])
            self._attached = kept


def _declared(declaration: Declaration) -> str:
    """What tells one declaration from another, however often its password is changed."""
    plain = msgspec.structs.replace(declaration, url=SourceUrl(declaration.url).shown(), pinned=None)
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()


def _with_pin(declaration: Declaration, pins: dict[tuple[str, str], Pinned]) -> Declaration:
    return msgspec.structs.replace(declaration, pinned=pins.get((declaration.name, _declared(declaration))))


Kept = TypeVar("Kept")


def _read(path: Path, kind: type[Kept], remedy: str) -> list[Kept]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[kind])  # type: ignore[valid-type]
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path} cannot be read: {first_line(error)}.", f"Move it away, and {remedy}.") from None


def _write(path: Path, entries: Sequence[Declaration | Pin]) -> None:
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(entries), indent=2))
    partial.replace(path)
