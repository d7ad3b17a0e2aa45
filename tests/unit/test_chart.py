"""Geometry of charts, on a picture of 100 by 100 with room of 10 on the left and below."""

from __future__ import annotations

import re

import pytest

from tallybook.page.chart import HALF_A_LABEL, SIZES, WIDEST_BAR, Chart, Column, Series, Size

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


@pytest.mark.parametrize("days", [731, 3650])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_every_bar_of_many_has_a_width(days: int, size: Size) -> None:
    ((_, outline),) = chart(Series("ok", "success", [1] * days), columns=days, size=size).bars
    widths = re.findall(r"h(-?[\d.]+)v[\d.]+h-([\d.]+)z", outline)
    assert len(widths) == days
    assert all(float(there) > 0 and there == back for there, back in widths)


def test_the_gap_between_bars_is_a_fifth_of_the_step_at_most() -> None:
    for columns in (20, 40, 90):
        drawn = chart(Series("ok", "success", [1] * columns), columns=columns, size=SIZES[0])
        assert drawn.bar_width >= 0.8 * drawn.slots[0].width - 0.05


def test_a_line_breaks_where_a_value_is_unknown_and_a_lone_value_is_a_dot() -> None:
    drawn = chart(Series("p50", "first", [4, 2, None, 1]), stacked=False)
    assert drawn.lines == [("first", "M22.5 0.0L47.5 50.0M97.5 75.0")]
    assert drawn.dots == [("first", 97.5, 75.0)]
    assert drawn.bars == []


def test_the_last_column_is_labelled_and_its_label_stays_within_the_picture() -> None:
    drawn = chart(Series("ok", "success", [1, 1, 1, 1]))
    assert drawn.labels == [(47.5, "c1"), (110 - HALF_A_LABEL, "c3")]


def test_a_long_label_at_the_edge_stays_within_the_picture_too() -> None:
    columns = [Column(f"Nov {year}", "") for year in (2024, 2025, 2026)]
    wide = Size("wide", 210, 110, 3, left=10, right=0, top=0, bottom=10)
    (x, _) = Chart(wide, columns, [Series("ok", "success", [1, 1, 1])], str).labels[-1]
    assert x == 176.7
    columns = [Column(f"1{number} November 2026", "") for number in range(3)]
    (x, _) = Chart(wide, columns, [Series("ok", "success", [1, 1, 1])], str).labels[-1]
    assert x == 210 - 3.2 * len("12 November 2026")


def test_an_axis_of_its_own_begins_with_its_first_label() -> None:
    drawn = chart(Series("ok", "success", [1] * 4), axis=[(0, "a"), (1, "b"), (2, "c"), (3, "d")])
    assert drawn.labels == [(10.0, "a"), (60.0, "c")]


def test_without_any_value_there_is_nothing_to_draw() -> None:
    assert chart(Series("ok", "success", [None, 0, None, 0])).is_empty
    assert not chart(Series("ok", "success", [None, 0, None, 0.1])).is_empty


def test_one_request_has_no_lines_between_none_and_one() -> None:
    drawn = Chart(SMALL, [Column("c", "")], [Series("ok", "success", [1])], lambda value: f"{value:g}", is_whole=True)
    assert [text for _, text in drawn.ticks] == ["0", "1"]


def test_a_day_that_is_closed_without_any_record_is_marked_and_a_missing_one_is_not() -> None:
    columns = [Column("", "", state) for state in ("closed", "zero", "missing", "zero")]
    drawn = Chart(SMALL, columns, [Series("ok", "success", [1, 0, 0, 0])], str)
    assert (drawn.zeros, drawn.bar_width) == ([37.2, 87.2], 20.5)
