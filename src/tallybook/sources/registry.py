"""The attached sources of a home: those of `attach`, in a file of their own, and those of `tallybook.toml`."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallybook.declaration import Declaration, check_name
from tallybook.errors import UnknownName, UsageError, first_line
from tallybook.sources.attached import AttachedSource

SOURCES_FILE = "sources.json"
ATTACHED, CONFIGURED = "attached", "tallybook.toml"


class Registry:
    """Which sources are attached. Thread-safe; only its owner can read `sources.json`, as URLs may hold passwords."""

    def __init__(self, home: Path, configured: Sequence[Declaration]) -> None:
        self._path = home / SOURCES_FILE
        self._lock = threading.Lock()
        attached = _read(self._path)
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
        self._attached = {declaration.name: AttachedSource(declaration) for declaration in attached}
        self._configured = {declaration.name: AttachedSource(declaration) for declaration in configured}

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

    def add(self, declaration: Declaration) -> None:
        """Keeps the source from now on."""
        with self._lock:
            self.check_free(declaration.name)
            kept = {**self._attached, declaration.name: AttachedSource(declaration)}
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


def _read(path: Path) -> list[Declaration]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Declaration])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {first_line(error)}.", "Move it away, and attach the sources anew."
        ) from None


def _write(path: Path, declarations: Sequence[Declaration]) -> None:
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(declarations), indent=2))
    partial.replace(path)
