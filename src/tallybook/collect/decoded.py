"""What a decoder has found in a body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallybook.errors import TallybookError
from tallybook.records import LogRecord, Rejected

MAX_RECORDS = 100_000
"""In one body: a few bytes can unpack to millions of empty objects, each of which costs memory and an answer."""
MAX_PIECES = 2_500_000
"""Commas and ends of line: so many records with every field have fewer."""


class TooManyRecords(TallybookError):
    """A body holds more records than are taken at once."""

    code = "too_large"


def check_number(records: int) -> None:
    """Raises `TooManyRecords` for more than `MAX_RECORDS`."""
    if records > MAX_RECORDS:
        raise TooManyRecords(f"The body holds more than {MAX_RECORDS:,} records.", "Send smaller batches.")


def check_pieces(body: bytes | bytearray) -> None:
    """Raises `TooManyRecords` for text that would fall into so many pieces that they fill the memory."""
    if body.count(b",") + body.count(b"\n") > MAX_PIECES:
        check_number(MAX_RECORDS + 1)


@dataclass(frozen=True)
class Decoded:
    """Log records in the order sent, each with its index in what was sent, and what became of the rest.

    `rejected` are those that can be no record, with the reason; `ignored` counts what is in order but no LLM request.
    """

    records: list[LogRecord]
    indices: Sequence[int]
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0
