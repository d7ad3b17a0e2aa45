"""Rule 12: date, requests and tokens of a closed day; the reason of a skip; a warning with the error of a failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest

from tallybook.bookkeeper import Bookkeeper
from tallybook.logformat import JSONFormatter
from web.asking import Client, on, take_logs_away

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The JSON lines that tallybook has logged since the test began, without the instants."""
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("tallybook")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def read() -> list[dict[str, Any]]:
        decoded = [json.loads(line) for line in written.getvalue().splitlines()]
        assert all(line.pop("at").endswith("Z") for line in decoded)
        return decoded

    yield read
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_closed_day_tells_date_requests_and_tokens(
    keeper: Bookkeeper, fill: Callable[..., None], lines: Lines
) -> None:
    fill(on("21", tokens_in=5, tokens_out=2), on("21", tokens_in=1), on("22"))
    keeper.backfill(first="2026-11-21", last="2026-11-22")
    facts = {"level": "info", "event": "day closed", "source": "local"}
    assert lines() == [
        {**facts, "date": "2026-11-21", "requests": 2, "tokens_in": 6, "tokens_out": 2},
        {**facts, "date": "2026-11-22", "requests": 1, "tokens_in": 0, "tokens_out": 0},
    ]


def test_a_skipped_and_a_refused_day_tell_the_reason(
    keeper: Bookkeeper, fill: Callable[..., None], lines: Lines
) -> None:
    fill(on("22"))
    keeper.close(day="2026-11-20")
    keeper.close(day="2026-11-23")
    assert [(line["level"], line["event"], line["date"], line["reason"]) for line in lines()] == [
        ("info", "day skipped", "2026-11-20", "before the source's first record"),
        (
            "info",
            "day refused",
            "2026-11-23",
            "2026-11-23 is not over: it can be closed from 00:05 UTC of the next day on",
        ),
    ]


def test_a_day_that_exists_tells_why_it_is_skipped(keeper: Bookkeeper, fill: Callable[..., None], lines: Lines) -> None:
    fill(on("22"))
    keeper.close()
    keeper.close()
    assert [(line["event"], line.get("reason")) for line in lines()] == [
        ("day closed", None),
        ("day exists", "it is closed already"),
    ]


def test_a_day_that_fails_is_a_warning_with_the_error(
    keeper: Bookkeeper, fill: Callable[..., None], lines: Lines
) -> None:
    fill(on("22"))
    with keeper.logs.importing():
        (result,) = keeper.close()["results"]
    assert (result["outcome"], result["reason"]) == ("failed", "an import is running")
    assert lines() == [
        {
            "level": "warning",
            "event": "day failed",
            "source": "local",
            "date": "2026-11-22",
            "error": "an import is running",
        }
    ]
    assert keeper.close()["results"][0]["outcome"] == "closed"


def test_a_call_that_fails_for_want_of_the_logs_is_a_warning_with_the_error(
    client: Client, keeper: Bookkeeper, lines: Lines
) -> None:
    take_logs_away(keeper)
    assert client.get("/readyz").status_code == 503
    (line,) = (line for line in lines() if line["event"] == "request failed")
    assert line["level"] == "warning"
    assert line["error"].startswith("The logs failed")
