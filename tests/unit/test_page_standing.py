from __future__ import annotations

from typing import Any

from tallybook.page.standing import Standing, place_of


def source(**told: Any) -> dict[str, Any]:
    nothing = {"days_closed": 0, "days_zero": 0, "missing": [], "failed": [], "drift": [], "records_in_logs": None}
    return {"source": "local", "closed_through": None, "safe_to_prune_before": None, **nothing, **told}


def standing(*sources: dict[str, Any], anchors: tuple[dict[str, Any], ...] = ()) -> Standing:
    return Standing.of({"sources": sources, "chain": {"entries": 3, "head": "ab", "anchors": anchors}})


def test_a_book_with_an_old_gap_says_what_is_closed_besides() -> None:
    found = standing(source(days_closed=38, days_zero=1, missing=["2026-10-02", "2026-10-01"]))
    assert found.closed_text == "39 days closed, first gap 2026-10-01"
    assert found.trouble == "2 days missing"


def test_days_of_several_sources_are_not_taken_for_days() -> None:
    found = standing(
        source(days_closed=5, closed_through="2026-11-22"),
        source(days_closed=2, missing=["2026-11-20"]),
    )
    assert found.closed_text == "7 days of 2 sources closed, first gap 2026-11-20"


def test_a_day_that_is_missing_of_two_sources_is_one_day() -> None:
    assert standing(source(missing=["2026-11-20"]), source(missing=["2026-11-20"])).trouble == "1 day missing"


def test_how_far_the_book_is_closed_is_said_where_all_of_it_is() -> None:
    assert standing(source(days_closed=5, closed_through="2026-11-22")).closed_text == "closed through 2026-11-22"
    assert standing(source(missing=["2026-11-22"])).closed_text == "no day closed yet"
    assert standing().closed_text == "no day closed yet"


def test_what_is_safe_to_prune_is_the_earliest_of_all_sources_whoever_keeps_their_logs() -> None:
    own = source(records_in_logs=7, safe_to_prune_before="2026-11-23")
    assert standing(own, source(safe_to_prune_before="2026-11-20")).safe_to_prune_before == "2026-11-20"
    assert standing(own, source()).safe_to_prune_before is None


def test_the_file_in_the_home_is_called_by_its_name() -> None:
    def anchor(to: str, through_seq: int) -> dict[str, Any]:
        return {"to": to, "through_seq": through_seq, "failing": None}

    found = standing(anchors=(anchor("file", 3), anchor("git ../heads", 3), anchor("webhook", 2)))
    assert found.anchored_text == "in anchors.log, git ../heads"
    assert place_of("file") == "in anchors.log"
