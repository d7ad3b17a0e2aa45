"""Geometry of charts, on a picture of 100 by 100 with room of 10 on the left and below."""

from __future__ import annotations

from tallybook.page.chart import HALF_A_LABEL, WIDEST_BAR, Chart, Column, Series, Size

SMALL = Size("small", 110, 110, 3, left=10, right=0, top=0, bottom=10)


def chart(*series: Series, columns: int = 4, size: Size = SMALL, **more: object) -> Chart:
    names = [Column(f"c{number}", f"column {number}") for number in range(columns)]
    return Chart(size, names, series, str, **more)  # type: ignore[arg-type]


def test_bars_stand_on_one_another_and_what_is_there_is_never_too_low_to_be_seen() -> None:
    drawn = chart(Series("ok", "success", [4, 0, 2, None]), Series("bad", "failed", [0, 4, 0.001, None]))
    assert dict(drawn.bars) == {
        "success": "M12.2 0.0h20.5v100.0h-20.5zM62.2 50.0h20.5v50.0h-20.5z",
        "failed": "M37.2 0.0h20.5v100.0h-20.5zM62.2 49.0h20.5v1.0h-20.5z",
    }
    assert drawn.lines == []


def test_a_lone_bar_does_not_fill_the_picture() -> None:
    wide = Size("wide", 1010, 110, 3, left=10, right=0, top=0, bottom=10)
    ((_, outline),) = chart(Series("ok", "success", [1]), columns=1, size=wide).bars
    assert outline == f"M450.0 0.0h{WIDEST_BAR}.0v100.0h-{WIDEST_BAR}.0z"


def test_a_line_breaks_where_a_value_is_unknown_and_a_lone_value_is_a_dot() -> None:
    drawn = chart(Series("p50", "first", [4, 2, None, 1]), stacked=False)
    assert drawn.lines == [("first", "M22.5 0.0L47.5 50.0M97.5 75.0")]
    assert drawn.dots == [("first", 97.5, 75.0)]
    assert drawn.bars == []


def test_the_last_column_is_labelled_and_its_label_stays_within_the_picture() -> None:
    drawn = chart(Series("ok", "success", [1, 1, 1, 1]))
    assert drawn.labels == [(47.5, "c1"), (110 - HALF_A_LABEL, "c3")]


def test_an_axis_of_its_own_begins_with_its_first_label() -> None:
    drawn = chart(Series("ok", "success", [1] * 4), axis=[(0, "a"), (1, "b"), (2, "c"), (3, "d")])
    assert drawn.labels == [(10.0, "a"), (60.0, "c")]


def test_without_any_value_there_is_nothing_to_draw() -> None:
    assert chart(Series("ok", "success", [None, 0, None, 0])).is_empty
    assert not chart(Series("ok", "success", [None, 0, None, 0.1])).is_empty
