"""The test vectors of ARCHITECTURE.md: checked with the standard library alone, then against the code."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

from tallybook.book.ledger import Closing
from tallybook.content import DayBuckets, Slice, build_content, empty_content
from tallybook.digest import digest_day, genesis
from tallybook.measures import DEFAULT_DIMENSIONS, MEASURE_NAMES

PAGE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
BOOK_ID = "00000000-0000-4000-8000-000000000000"
HASHES = re.findall(r"\| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)
LINES = next(block for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)).splitlines()


def sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sums(**given: int) -> tuple[int, ...]:
    return tuple(given.get(name, 0) for name in MEASURE_NAMES)


def test_the_published_lines_are_canonical_and_hash_as_published() -> None:
    book = {"book_id": BOOK_ID, "format": "tallybook-book/1"}

    assert len(HASHES) == 6
    assert [sha256(book), *(hashlib.sha256(line.encode()).hexdigest() for line in LINES)] == HASHES
    assert [sha256(json.loads(line)) for line in LINES] == HASHES[1:]


def test_the_book_s_identity_begins_the_chain() -> None:
    assert genesis(BOOK_ID) == HASHES[0]


def test_a_zero_day_has_the_published_digest() -> None:
    assert digest_day(empty_content(date(2026, 11, 21))) == HASHES[1]


def test_a_zero_day_whose_failures_nobody_logs_has_the_published_digest() -> None:
    assert digest_day(empty_content(date(2026, 11, 21), ("failed",))) == HASHES[5]


def test_a_day_of_three_records_has_the_published_digest() -> None:
    answered = sums(
        requests=2,
        success=1,
        failed=1,
        status_count=2,
        tokens_in=10,
        tokens_in_count=1,
        tokens_out=5,
        tokens_out_count=1,
        latency_sum_ms=1130,
        latency_count=2,
    )
    vast = sums(requests=1, success=1, status_count=1, tokens_in=2**53, tokens_in_count=1)
    slices = [
        Slice(("gpt-5-mini", "openai", None, "k1"), answered),
        Slice(('gemini "2.5"\n€', None, None, None), vast),
    ]
    buckets = DayBuckets({("openai", "gpt-5-mini"): ((130, 1), (317, 1))}, records=3)

    content = build_content(date(2026, 11, 22), DEFAULT_DIMENSIONS, slices, buckets, max_slices=100)

    assert digest_day(content) == HASHES[3]


def test_both_closings_have_the_published_chain() -> None:
    for line, chain in ((LINES[1], HASHES[2]), (LINES[3], HASHES[4])):
        fields = json.loads(line)
        del fields["format"]
        closing = Closing(**{**fields, "day": date.fromisoformat(fields["day"])})

        assert closing.link() == chain
