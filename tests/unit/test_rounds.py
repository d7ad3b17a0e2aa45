from __future__ import annotations

from datetime import date, timedelta

from stories import NOW
from tallybook.rounds import Rounds

FIRST = date(2026, 8, 1)
CLOSED = [FIRST + timedelta(days=number) for number in range(100)]
MINUTE = timedelta(minutes=1)


def test_the_last_seven_days_are_compared_each_time_and_31_older_ones_in_turn() -> None:
    rounds = Rounds()
    chosen = [rounds.choose("local", CLOSED, NOW + tick * MINUTE) for tick in range(5)]
    assert [days[-7:] for days in chosen] == [CLOSED[-7:]] * 5
    assert [days[:-7] for days in chosen] == [CLOSED[:31], CLOSED[31:62], CLOSED[62:93], CLOSED[:31], CLOSED[31:62]]


def test_each_source_has_a_round_of_its_own() -> None:
    rounds = Rounds()
    assert rounds.choose("a", CLOSED, NOW)[0] == FIRST
    assert rounds.choose("b", CLOSED, NOW)[0] == FIRST


def test_a_few_days_are_all_recent_and_none_is_nothing() -> None:
    rounds = Rounds()
    assert rounds.choose("local", set(CLOSED[:3]), NOW) == CLOSED[:3]
    assert rounds.choose("local", [], NOW) == []


def test_a_source_rests_for_fifty_times_as_long_as_it_took() -> None:
    rounds = Rounds()
    rounds.note("slow", NOW, NOW + timedelta(seconds=6))
    rests_until = NOW + timedelta(seconds=306)
    assert rounds.choose("slow", CLOSED, rests_until - timedelta(microseconds=1)) == []
    assert rounds.choose("other", CLOSED, NOW) != []
    assert rounds.choose("slow", CLOSED, rests_until) != []


def test_a_source_that_does_not_answer_is_asked_again_after_ten_minutes() -> None:
    rounds = Rounds()
    rounds.note("down", NOW, NOW, faulty=True)
    assert rounds.choose("down", CLOSED, NOW + 9 * MINUTE) == []
    assert rounds.choose("down", CLOSED, NOW + 10 * MINUTE) != []


def test_a_clock_that_was_a_week_ahead_lets_nothing_rest_until_then() -> None:
    rounds = Rounds()
    ahead = NOW + timedelta(days=7)
    rounds.note("local", ahead, ahead + timedelta(seconds=6))
    assert rounds.choose("local", CLOSED, NOW) == CLOSED[:31] + CLOSED[-7:]


def test_a_clock_that_jumps_back_while_comparing_lets_nothing_rest() -> None:
    rounds = Rounds()
    rounds.note("local", NOW, NOW - timedelta(hours=1))
    assert rounds.choose("local", CLOSED, NOW) != []
