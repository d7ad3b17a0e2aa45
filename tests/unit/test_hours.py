"""Yesterday is 22 November."""

from __future__ import annotations

from datetime import timedelta

from stories import YESTERDAY, put, record, totals
from tallybook.declaration import Declaration
from tallybook.hours import add_hours, hours_of
from tallybook.logs.store import LogStore
from tallybook.measures import NOTHING
from tallybook.sources.attached import AttachedSource

NIGHT = [totals(requests=2), *[NOTHING] * 23]
NOON = [*[NOTHING] * 12, totals(requests=5), *[NOTHING] * 11]


def test_hours_of_several_sources_are_added_up() -> None:
    assert add_hours([NIGHT, NOON]) == [totals(requests=2), *[NOTHING] * 11, totals(requests=5), *[NOTHING] * 11]


def test_where_no_record_is_left_there_are_no_hours() -> None:
    assert add_hours([[NOTHING] * 24]) is None
    assert add_hours([]) is None


def test_the_hours_of_a_day_are_rows_of_statistics(logs: LogStore) -> None:
    put(logs, record("11-22 00:59:59", tokens_in=7), record("11-22 23:00"), record("11-21 23:59:59"))
    rows = hours_of(logs, YESTERDAY, 2)
    assert rows is not None
    assert {hour: (row["requests"], row["tokens_in"]) for hour, row in enumerate(rows) if row["requests"]} == {
        0: (1, 7),
        23: (1, 0),
    }


def test_hours_that_do_not_add_up_to_the_day_are_not_told(logs: LogStore) -> None:
    put(logs, record("11-22 10:00"))
    assert hours_of(logs, YESTERDAY, 2) is None
    assert hours_of(logs, YESTERDAY, None) is not None
    assert hours_of(logs, YESTERDAY - timedelta(days=1), None) is None


def test_a_source_that_is_down_tells_no_hours() -> None:
    gone = AttachedSource(Declaration(name="gateway", url="postgresql://127.0.0.1:1/logs"))
    assert hours_of(gone, YESTERDAY, None) is None
