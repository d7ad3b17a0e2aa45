"""A destination: where heads are delivered to, beside the file in the home."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from tallybook.anchoring.anchor import Parcel
from tallybook.errors import TallybookError


class NotDelivered(TallybookError):
    """A destination did not take the heads; they stay queued in the file and are tried again."""

    code = "not_delivered"


class Destination(Protocol):
    """Takes heads in the order in which they were kept, and may be given the same ones again after a crash."""

    @property
    def to(self) -> str:
        """The kind: `webhook`, `git` or `command`."""

    @property
    def identity(self) -> str:
        """What tells it from another of its kind, which has to be given every head anew."""

    def deliver(self, parcel: Parcel, now: datetime) -> None:
        """Returns when the heads are taken; else raises a `TallybookError`, mostly `NotDelivered`."""
