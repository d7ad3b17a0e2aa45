"""Why days could not be closed, kept in the home until they are: who asks need not be the process that tried."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

import msgspec

from tallybook.closing import Outcome, Result

log = logging.getLogger(__name__)

FILE = "failures.json"
Reasons = dict[str, dict[date, str]]


class FailedDays:
    """The reasons by source and day. Thread-safe; who reads while another notes sees what was there before.

    Reasons hold no password: a source hides what its URL has of them before it tells. Only the owner can read the file.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._lock = threading.Lock()
        self._reasons = _read(self._path)

    def of(self, source: str) -> Mapping[date, str]:
        """Why days of the source could not be closed when that was last tried."""
        return self._reasons.get(source, {})

    def note(self, results: Iterable[Result]) -> None:
        """Keeps why days failed, and forgets it of those that did not."""
        with self._lock:
            reasons = {source: dict(days) for source, days in self._reasons.items()}
            for result in results:
                days = reasons.setdefault(result.source, {})
                days.pop(result.day, None)
                if result.outcome is Outcome.FAILED:
                    days[result.day] = result.reason or "unknown"
            self._keep(reasons)

    def forget(self, source: str) -> None:
        """Forgets all of a source."""
        with self._lock:
            self._keep({name: days for name, days in self._reasons.items() if name != source})

    def _keep(self, reasons: Reasons) -> None:
        """A file that cannot be written keeps no day from being closed."""
        reasons = {source: days for source, days in reasons.items() if days}
        changed, self._reasons = reasons != self._reasons, reasons
        if not changed:
            return
        try:
            _write(self._path, reasons)
        except OSError as error:
            log.warning("reasons are not kept", extra={"error": str(error)})


def _read(path: Path) -> Reasons:
    """What is kept there; a file that cannot be read is like none, as each day is tried again and tells its reason."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reasons)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("reasons cannot be read", extra={"error": str(error)})
        return {}


def _write(path: Path, reasons: Reasons) -> None:
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(reasons), indent=2))
    partial.replace(path)
