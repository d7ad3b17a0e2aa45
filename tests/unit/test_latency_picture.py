from __future__ import annotations

from tallybook.histogram import bucket_of
from tallybook.page.chart import WIDE
from tallybook.page.latency import latency_charts


def histogram(*latencies_ms: int) -> tuple[tuple[int, int], ...]:
    return tuple((bucket, 1) for bucket in sorted({bucket_of(latency) for latency in latencies_ms}))


def test_latencies_are_read_from_round_ones() -> None:
    wide, narrow = latency_charts(histogram(30, 100, 1_500, 60_000))
    assert [text for _, text in wide.labels] == [
        "50ms",
        "100ms",
        "200ms",
        "500ms",
        "1s",
        "2s",
        "5s",
        "10s",
        "20s",
        "50s",
    ]
    assert [text for _, text in narrow.labels] == ["50ms", "500ms", "5s", "50s"]


def test_a_bar_is_told_with_its_bounds_and_its_share() -> None:
    wide = latency_charts(histogram(100, 1_500))[0]
    told = [(column.title, dict(column.told)) for column in wide.columns if column.told]
    assert told == [
        ("90ms to 107ms", {"Requests": "1", "Share": "50.00 %"}),
        ("1.45s to 1.72s", {"Requests": "1", "Share": "50.00 %"}),
    ]
    assert wide.size is WIDE


def test_of_latencies_beside_one_another_the_bounds_of_the_bars_are_told() -> None:
    assert [text for _, text in latency_charts(histogram(700))[0].labels] == ["511ms", "608ms", "723ms"]


def test_without_latencies_there_is_no_picture() -> None:
    assert latency_charts(()) == []
