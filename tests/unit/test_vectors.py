"""The test vectors of docs/verify.md: checked with the standard library alone, then against both verifiers."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from stories import totals
from tallybook.book.chain import Link, new_adjustment, new_closing
from tallybook.book.entries import Adjustment, Closing, Entry, adjustment_row, closing_row
from tallybook.change import change_between
from tallybook.content import DayBuckets, DayContent, Slice, build_content, empty_content
from tallybook.digest import canonical_bytes, digest_change, digest_day, genesis, safe_integers
from tallybook.measures import DEFAULT_DIMENSIONS

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))
verify_book: Any = importlib.import_module("verify_book")

PAGE = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
HASHES = re.findall(r"^\| \d+ \| .* \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)
LINES = PAGE.split("```json\n")[1].split("\n```")[0].split("\n")
VALUES = [json.loads(line) for line in LINES]


class Line(IntEnum):
    """What stands where on the page."""

    IDENTITY_1, IDENTITY_2, ZERO, ZERO_WITHOUT_FAILURES, CLOSED_ZERO_1, CLOSED_ZERO_2 = range(6)
    OF_THREE, CLOSED_THREE, CHANGE, ADJUSTED = range(6, 10)


BOOK_ID = "00000000-0000-4000-8000-000000000000"
MADE_AT = "2026-11-20T12:00:00Z"
PRICES = ["genai-prices 0.2.3"]

ANSWERED = totals(
    requests=1,
    success=1,
    status_count=1,
    tokens_in=10,
    tokens_in_count=1,
    tokens_out=5,
    tokens_out_count=1,
    latency_sum_ms=130,
    latency_count=1,
    cost_nanousd=435_000,
    priced_requests=1,
)
REFUSED = totals(requests=1, failed=1, status_count=1, latency_sum_ms=1000, latency_count=1)
VAST = totals(requests=1, success=1, status_count=1, tokens_in=2**53, tokens_in_count=1)
WIDE = ('\uff47pt "4"\\\n', "a/b\u2028\u0001\u007f<&>", None, "e\u0301")

NO_LONGER_REFUSED = totals(requests=1, success=1, status_count=1, latency_sum_ms=999, latency_count=1)
NO_LONGER_VAST = totals(requests=1, success=1, status_count=1)


def of_three(refused: tuple[int, ...], bucket: int, vast: tuple[int, ...]) -> DayContent:
    """The day of three records, which are given in another order than the one in which they are hashed."""
    slices = [Slice(("😀", "", None, None), refused), Slice(WIDE, vast), Slice(("😀", None, None, "k1"), ANSWERED)]
    buckets = DayBuckets({("", "😀"): ((bucket, 1),), (None, "😀"): ((130, 1),)}, records=3)
    return build_content(date(2026, 11, 22), DEFAULT_DIMENSIONS, slices, buckets, max_slices=100)


BEFORE = of_three(REFUSED, 317, VAST)
CHANGE = change_between(BEFORE, of_three(NO_LONGER_REFUSED, 316, NO_LONGER_VAST))
NOTHING = empty_content(date(2026, 11, 21))


def closing(place: Line, seq: int, content: DayContent, prices: list[str]) -> Closing:
    """The closing of the vector, five minutes after the end of its day."""
    link = Link(seq, VALUES[place]["prev_chain"])
    now = datetime(2026, 11, content.day.day + 1, 0, 5, tzinfo=UTC)
    return new_closing(link, "local", content, digest_day(content), now, prices)


def adjustment() -> Adjustment:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    reason = "records were changed after the day was closed"
    return new_adjustment(Link(3, HASHES[Line.CLOSED_THREE]), "local", BEFORE, CHANGE, reason, now, PRICES)


ENTRIES: dict[Line, Entry] = {
    Line.CLOSED_ZERO_1: replace(closing(Line.CLOSED_ZERO_1, 1, NOTHING, []), payload_version=1),
    Line.CLOSED_ZERO_2: closing(Line.CLOSED_ZERO_2, 1, NOTHING, []),
    Line.CLOSED_THREE: closing(Line.CLOSED_THREE, 2, BEFORE, PRICES),
    Line.ADJUSTED: adjustment(),
}


class TestWithTheStandardLibraryAlone:
    def test_there_is_a_hash_for_each_line(self) -> None:
        assert len(LINES) == len(HASHES) == 10
        assert [hashlib.sha256(line.encode()).hexdigest() for line in LINES] == HASHES

    def test_the_lines_are_canonical(self) -> None:
        written = [json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for value in VALUES]
        assert written == LINES

    def test_the_entries_hang_together(self) -> None:
        digests = [VALUES[entry]["digest"] for entry in ENTRIES]
        assert digests == [HASHES[Line.ZERO], HASHES[Line.ZERO], HASHES[Line.OF_THREE], HASHES[Line.CHANGE]]
        before = [VALUES[entry]["prev_chain"] for entry in ENTRIES]
        assert before == [
            HASHES[place] for place in (Line.IDENTITY_1, Line.IDENTITY_2, Line.CLOSED_ZERO_2, Line.CLOSED_THREE)
        ]


class TestAgainstTallybook:
    def test_the_identity_begins_the_chain(self) -> None:
        assert genesis(BOOK_ID, MADE_AT, 1) == HASHES[Line.IDENTITY_1]
        assert genesis(BOOK_ID, MADE_AT) == HASHES[Line.IDENTITY_2]

    def test_days_and_the_change_have_the_published_digests(self) -> None:
        assert digest_day(NOTHING) == HASHES[Line.ZERO]
        assert digest_day(empty_content(NOTHING.day, ("failed",))) == HASHES[Line.ZERO_WITHOUT_FAILURES]
        assert digest_day(BEFORE) == HASHES[Line.OF_THREE]
        assert digest_change(CHANGE) == HASHES[Line.CHANGE]

    @pytest.mark.parametrize("place", ENTRIES)
    def test_entries_have_the_published_chain(self, place: Line) -> None:
        assert ENTRIES[place].link() == HASHES[place]

    def test_every_line_is_what_it_writes(self) -> None:
        assert [canonical_bytes(safe_integers(value)).decode() for value in VALUES] == LINES


class TestAgainstTheSecondVerifier:
    def test_the_identity_begins_the_chain(self) -> None:
        identity = {"id": 1, "book_id": BOOK_ID, "created_at": MADE_AT}
        assert [verify_book.genesis(identity, version) for version in (1, 2)] == [
            HASHES[Line.IDENTITY_1],
            HASHES[Line.IDENTITY_2],
        ]

    @pytest.mark.parametrize("place", [Line.ZERO, Line.ZERO_WITHOUT_FAILURES, Line.OF_THREE, Line.CHANGE])
    def test_figures_have_the_published_digests(self, place: Line) -> None:
        kind = "change" if place == Line.CHANGE else "day"
        given = ("day", "dimensions", "totals", "slices", "histograms", "top_models", "unknown")
        figures = {name: VALUES[place][name] for name in given if name in VALUES[place]}
        assert verify_book.digest_of(figures, kind) == HASHES[place]

    @pytest.mark.parametrize("place", ENTRIES)
    def test_rows_of_entries_have_the_published_chain(self, place: Line) -> None:
        entry = ENTRIES[place]
        row = closing_row(entry) if isinstance(entry, Closing) else adjustment_row(entry)
        table = "closings" if isinstance(entry, Closing) else "adjustments"
        assert verify_book.link_of({"table": table, **row}) == HASHES[place]

    def test_large_numbers_are_strings_where_they_are_hashed_and_numbers_in_a_fingerprint(self) -> None:
        assert verify_book.safe([2**53 - 1, 2**53, -(2**53)]) == [2**53 - 1, "9007199254740992", "-9007199254740992"]
        assert verify_book.fingerprint_of(BEFORE.totals) == VALUES[Line.CLOSED_THREE]["fingerprint"]
