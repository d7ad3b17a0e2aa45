"""What our own logs in ClickHouse promise where two servers are at work at once, which no database holds apart there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stories import ARRIVED, NOW, YESTERDAY, record, stored
from tallybook.errors import LogsError
from tallybook.logs.heartbeat import beating
from tallybook.logs.importing import Reading, import_files
from tallybook.logs.opening import find_logs
from tallybook.logs.own import OwnLogs
from tallybook.source import Slicing


@pytest.fixture
def two(clickhouse_url: str) -> Iterator[tuple[OwnLogs, OwnLogs]]:
    """Two servers' logs in one database."""
    both = find_logs(clickhouse_url)(), find_logs(clickhouse_url)()
    yield both
    for logs in both:
        logs.close()


@pytest.mark.engines
class TestRaces:
    def test_what_both_get_in_the_same_moment_counts_once(self, two: tuple[OwnLogs, OwnLogs]) -> None:
        rows = stored([record("11-22 10:00", request_id=f"r{number}", tokens_in=number) for number in range(100)])
        assert two[0].append(rows, ARRIVED).accepted == 100
        with pytest.MonkeyPatch.context() as looked_before:
            looked_before.setattr(two[1], "_stored", lambda *_: set())
            assert two[1].append(rows, ARRIVED).accepted == 100
        for logs in two:
            assert logs.counts() == {YESTERDAY: 100}
        (content,) = two[0].contents([YESTERDAY], Slicing())
        assert content.records == 100

    def test_the_same_file_brought_in_by_both_counts_once(self, two: tuple[OwnLogs, OwnLogs], tmp_path: Path) -> None:
        """As when one dies after the records are in and before it is remembered."""
        file = tmp_path / "log.csv"
        file.write_text("created_at,model_name\n" + "2026-11-22T10:00:00Z,gpt-5\n" * 50)
        for logs in two:
            with pytest.MonkeyPatch.context() as forgetful:
                forgetful.setattr("tallybook.logs.clickhouse._remember", lambda *_: None)
                list(import_files(logs, [file], Reading(), ARRIVED))
        assert two[1].counts() == {YESTERDAY: 50}

    def test_what_an_import_that_was_killed_left_behind_is_dropped_and_nothing_else(
        self, two: tuple[OwnLogs, OwnLogs], clickhouse_url: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "log.csv"
        file.write_text("created_at,model_name\n2026-11-22T10:00:00Z,gpt-5\n")
        from tallybook.sources.engines.clickhouse import ClickHouse

        engine = ClickHouse(clickhouse_url)
        ours = "SELECT count() FROM system.tables WHERE database = currentDatabase()"
        with pytest.MonkeyPatch.context() as dying:
            dying.setattr(type(two[0]), "_drop", lambda *_: None)
            list(import_files(two[0], [file], Reading(), ARRIVED))
        assert engine.rows(ours) == [(4,)]
        with two[1].importing():
            find_logs(clickhouse_url)().close()
            assert engine.rows(ours) == [(4,)]
        find_logs(clickhouse_url)().close()
        assert engine.rows(ours) == [(3,)]
        assert two[1].counts() == {YESTERDAY: 1}

    def test_an_import_at_one_keeps_the_other_from_closing(self, two: tuple[OwnLogs, OwnLogs]) -> None:
        begun = two[1].imports_begun()
        with two[0].importing():
            assert two[1].busy() == "an import is running"
        assert two[1].busy() is None
        assert two[1].imports_begun() == begun + 1

    def test_an_import_that_beats_no_more_is_dead(
        self, two: tuple[OwnLogs, OwnLogs], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tallybook.logs.clickhouse.DEAD_S", 1)
        with two[0].importing():
            assert two[1].busy() == "an import is running"
            time.sleep(1.2)
            assert two[1].busy() is None

    def test_a_record_that_comes_while_its_day_is_pruned_stays(self, two: tuple[OwnLogs, OwnLogs]) -> None:
        first, second = two
        first.append(stored([record("11-16 10:00"), record("11-16 11:00")]), ARRIVED)

        def why_keep(*_: object) -> None:
            second.append(stored([record("11-16 12:00", "late")]), NOW)

        deleted = first.delete_days(YESTERDAY, why_keep)
        assert (list(deleted.records.values()), deleted.kept) == ([2], {})
        assert list(first.counts().values()) == [1]


def test_a_heart_beats_until_the_work_is_over(caplog: pytest.LogCaptureFixture) -> None:
    beats: list[int] = []

    def beat() -> None:
        beats.append(len(beats))
        if len(beats) == 2:
            raise LogsError("The logs' ClickHouse failed: it is gone.")

    with beating(beat, 0.01):
        while len(beats) < 4:
            time.sleep(0.01)
    counted = len(beats)
    time.sleep(0.05)
    assert len(beats) == counted
    assert [entry.getMessage() for entry in caplog.records] == ["heartbeat failed"]
