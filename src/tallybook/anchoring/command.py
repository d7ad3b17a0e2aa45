"""Heads by a command of the user's, as for a store that keeps objects under a retention lock."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from tallybook.anchoring.anchor import Parcel, format_anchor
from tallybook.anchoring.destination import NotDelivered
from tallybook.anchoring.program import name_of, run


@dataclass(frozen=True)
class Command:
    """A program and its arguments, run in the home without a shell; it exits with 0 once it has kept the heads."""

    words: tuple[str, ...] = field(repr=False)
    home: Path
    to: ClassVar[str] = "command"

    @property
    def identity(self) -> str:
        return "\0".join(self.words)

    def deliver(self, parcel: Parcel, now: datetime) -> None:  # noqa: ARG002 - every destination is called alike
        lines = "".join(map(format_anchor, parcel.anchors)).encode("ascii")
        ran = run(self.words, self.home, {**os.environ, **_facts(parcel)}, lines)
        if ran.code:
            said = f": {ran.lines[-1].rstrip('.')}" if ran.lines else ""
            raise NotDelivered(
                f"{name_of(self.words)} exited with {ran.code}{said}.",
                "It must exit with 0 once it has kept the heads on its standard input.",
            )


def _facts(parcel: Parcel) -> dict[str, str]:
    """What the command is told of the newest head, which it may need no more than."""
    return {
        "TALLYBOOK_BOOK_ID": parcel.book_id,
        "TALLYBOOK_SEQ": str(parcel.newest.seq),
        "TALLYBOOK_CHAIN": parcel.newest.chain,
        "TALLYBOOK_AT": parcel.newest.at,
    }
