"""What a decoder has found in a body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallybook.records import LogRecord, Rejected


@dataclass(frozen=True)
class Decoded:
    """Log records in the order sent, each with its index in what was sent, and what became of the rest.

    `rejected` are those that can be no record, with the reason; `ignored` counts what is in order but no LLM request.
    """

    records: list[LogRecord]
    indices: Sequence[int]
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0
