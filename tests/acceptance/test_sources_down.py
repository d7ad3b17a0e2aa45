"""Sources that do not answer, or whose tables have changed: their days fail and say why, everything else goes on."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from acceptance.foreign import Gateway, new_api
from acceptance.running import Home, ago, serving, wait_for
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.errors import SourceDown, UsageError

Result = tuple[str, str, str, str | None]


@dataclass
class Clock:
    """A clock that stands still until it is set on."""

    now: datetime = datetime(2026, 11, 23, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(tmp_path: Path, clock: Clock) -> Iterator[Bookkeeper]:
    """A bookkeeper on an empty home, on 2026-11-23 at one o'clock."""
    opened = Bookkeeper(load_settings({"home": str(tmp_path / "home")}, {}), clock)
    yield opened
    opened.close_all()


def ticked(keeper: Bookkeeper) -> list[Result]:
    """What a tick of the scheduler did."""
    return [(each.source, each.day.isoformat(), str(each.outcome), each.reason) for each in keeper.run_once()]


def failed(keeper: Bookkeeper, source: str) -> dict[str, str]:
    """The days that have failed by status, with why."""
    (standing,) = [each for each in keeper.status()["sources"] if each["source"] == source]
    return {each["day"]: each["reason"] for each in standing["failed"]}


CREATE = "CREATE TABLE log_records (created_at TIMESTAMP, model_name TEXT, status_code INTEGER, tokens_in INTEGER)"


def insert(*days: int) -> list[str]:
    """Statements for a request at ten o'clock of each of these days of November 2026."""
    return [f"INSERT INTO log_records VALUES ('2026-11-{day} 10:00:00', 'gpt-5', 200, 7)" for day in days]


@dataclass(frozen=True)
class Trouble:
    """A source that is attached, and a way to take it away for a while."""

    url: str
    reason: str
    begun: Callable[[], Any]


@pytest.fixture
def file_moved_away(tmp_path: Path) -> Trouble:
    file = tmp_path / "gateway.db"
    on_sqlite(file, CREATE, *insert(21, 22))

    @contextmanager
    def begun() -> Iterator[None]:
        away = file.rename(tmp_path / "away.db")
        yield
        away.rename(file)

    return Trouble(f"sqlite:///{file}", f"There is no file {file}.", begun)


@pytest.fixture
def file_held_by_another(tmp_path: Path) -> Trouble:
    file = tmp_path / "gateway.duckdb"
    with duckdb.connect(file) as connection:
        for statement in (CREATE, *insert(21, 22)):
            connection.execute(statement)

    @contextmanager
    def begun() -> Iterator[None]:
        script = f"import duckdb; held = duckdb.connect({str(file)!r}); print('held', flush=True); input()"
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"held\n"
            yield
            process.communicate(b"\n")

    return Trouble(f"duckdb:///{file}", f"Another process holds {file}.", begun)


@pytest.fixture
def server_gone(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    on_postgresql(postgres_url, CREATE, *insert(21, 22))
    monkeypatch.setenv("GATEWAY_URL", postgres_url)

    @contextmanager
    def begun() -> Iterator[None]:
        monkeypatch.setenv("GATEWAY_URL", "postgresql://reader:secret@127.0.0.1:1/litellm")
        yield
        monkeypatch.setenv("GATEWAY_URL", postgres_url)

    reason = 'PostgreSQL cannot be reached: connection to server at "127.0.0.1", port 1 failed: Connection refused.'
    return Trouble("${GATEWAY_URL}", reason, begun)


@pytest.fixture
def variable_missing(file_moved_away: Trouble, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    monkeypatch.setenv("GATEWAY_URL", file_moved_away.url)

    @contextmanager
    def begun() -> Iterator[None]:
        monkeypatch.delenv("GATEWAY_URL")
        yield
        monkeypatch.setenv("GATEWAY_URL", file_moved_away.url)

    reason = "The environment has no variable GATEWAY_URL, which the source's URL names."
    return Trouble("${GATEWAY_URL}", reason, begun)


@pytest.fixture(params=["file_moved_away", "file_held_by_another", "server_gone", "variable_missing"])
def trouble(request: pytest.FixtureRequest) -> Trouble:
    """Every way in which a source can be down."""
    found: Trouble = request.getfixturevalue(request.param)
    return found


def on_sqlite(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def on_postgresql(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A source in no trouble at all, with a request of yesterday."""
    on_sqlite(tmp_path / "other.db", CREATE, *insert(22))
    return f"sqlite:///{tmp_path}/other.db"


class TestDown:
    def test_its_days_fail_and_say_why_until_it_is_back_while_others_are_closed(
        self, keeper: Bookkeeper, trouble: Trouble, other: str
    ) -> None:
        keeper.attach(name="gw", url=trouble.url)
        keeper.attach(name="other", url=other)
        with trouble.begun():
            for _ in range(2):
                assert ticked(keeper)[:2] == [
                    ("gw", "2026-11-21", "failed", trouble.reason),
                    ("gw", "2026-11-22", "failed", trouble.reason),
                ]
            assert failed(keeper, "gw") == {"2026-11-21": trouble.reason, "2026-11-22": trouble.reason}
            assert failed(keeper, "other") == {}
            assert [closing["source"] for closing in keeper.closings()["closings"]] == ["other"]
        assert ticked(keeper) == [("gw", "2026-11-21", "closed", None), ("gw", "2026-11-22", "closed", None)]
        assert failed(keeper, "gw") == {}
        assert keeper.verify()["verdict"] == "intact"

    def test_one_that_goes_down_later_fails_only_what_is_missing(
        self, keeper: Bookkeeper, clock: Clock, file_moved_away: Trouble
    ) -> None:
        keeper.attach(name="gw", url=file_moved_away.url)
        assert len(ticked(keeper)) == 2
        with file_moved_away.begun():
            assert ticked(keeper) == []
            clock.now += timedelta(days=1)
            assert ticked(keeper) == [("gw", "2026-11-23", "failed", file_moved_away.reason)]
            assert failed(keeper, "gw") == {"2026-11-23": file_moved_away.reason}
        assert ticked(keeper) == [("gw", "2026-11-23", "zero", None)]

    def test_closing_by_hand_names_every_day_and_why(self, keeper: Bookkeeper, trouble: Trouble) -> None:
        keeper.attach(name="gw", url=trouble.url)
        keeper.close(day="2026-11-21")
        with trouble.begun():
            results = keeper.backfill(first="2026-11-20", last="2026-11-23")["results"]
        assert [(each["day"], each["outcome"]) for each in results] == [
            ("2026-11-20", "skipped"),
            ("2026-11-21", "exists"),
            ("2026-11-22", "failed"),
            ("2026-11-23", "refused"),
        ]
        assert results[2]["reason"] == trouble.reason

    def test_comparing_it_with_the_book_names_it(self, keeper: Bookkeeper, trouble: Trouble, other: str) -> None:
        keeper.attach(name="gw", url=trouble.url)
        keeper.attach(name="other", url=other)
        ticked(keeper)
        with trouble.begun():
            assert keeper.reconcile() == {
                "results": [],
                "failed": [{"source": "gw", "reason": trouble.reason}],
                "compared": 1,
            }

    def test_one_that_is_down_cannot_be_attached(self, keeper: Bookkeeper, trouble: Trouble) -> None:
        with trouble.begun(), pytest.raises(SourceDown) as caught:
            keeper.attach(name="gw", url=trouble.url)
        assert str(caught.value) == trouble.reason
        assert keeper.attached_sources() == {"sources": []}


@dataclass
class Receptionist:
    """A port that takes every call, counts it, and hangs up."""

    calls: int = 0
    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        port = self.listening.getsockname()[1]
        return f"postgresql://reader:secret@127.0.0.1:{port}/litellm?sslmode=disable&gssencmode=disable"

    def work(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.listening.accept()
                self.calls += 1
                caller.close()


@pytest.fixture
def receptionist() -> Iterator[Receptionist]:
    hired = Receptionist()
    threading.Thread(target=hired.work, daemon=True).start()
    yield hired
    hired.listening.shutdown(socket.SHUT_RDWR)
    hired.listening.close()


@pytest.fixture
def away_at_the_receptionist(
    keeper: Bookkeeper, postgres_url: str, receptionist: Receptionist, monkeypatch: pytest.MonkeyPatch
) -> Receptionist:
    """`gw` is attached with ninety missing days; then its server is gone, and the receptionist answers."""
    start = datetime(2026, 8, 25, 10, tzinfo=UTC)
    on_postgresql(
        postgres_url, CREATE, f"INSERT INTO log_records VALUES ('{start:%Y-%m-%d %H:%M:%S}', 'gpt-5', 200, 7)"
    )
    monkeypatch.setenv("GATEWAY_URL", postgres_url)
    keeper.attach(name="gw", url="${GATEWAY_URL}")
    monkeypatch.setenv("GATEWAY_URL", receptionist.url)
    return receptionist


class TestHowOftenItIsAsked:
    def test_a_tick_asks_it_once_however_many_days_are_missing(
        self, keeper: Bookkeeper, away_at_the_receptionist: Receptionist
    ) -> None:
        for tick in (1, 2, 3):
            results = ticked(keeper)
            assert len(results) == 90
            assert {outcome for _, _, outcome, _ in results} == {"failed"}
            assert away_at_the_receptionist.calls == tick

    def test_a_backfill_asks_it_once(self, keeper: Bookkeeper, away_at_the_receptionist: Receptionist) -> None:
        results = keeper.backfill(first="2026-08-25", last="2026-11-22")["results"]
        assert [each["outcome"] for each in results] == ["failed"] * 90
        assert away_at_the_receptionist.calls == 1

    def test_status_does_not_ask_what_a_tick_has_found(
        self, keeper: Bookkeeper, away_at_the_receptionist: Receptionist
    ) -> None:
        ticked(keeper)
        assert len(failed(keeper, "gw")) == 90
        assert away_at_the_receptionist.calls == 1

    def test_closed_days_are_answered_without_asking_it(
        self, keeper: Bookkeeper, away_at_the_receptionist: Receptionist
    ) -> None:
        for period in ("yesterday", "last7d", "last90d", "all", "year"):
            keeper.stats(period=period)
        keeper.stats(first="2026-08-25", last="2026-08-26", by="model", source="gw")
        keeper.daily_stats(None, None)
        keeper.standings()
        keeper.attached_sources()
        keeper.closings()
        assert away_at_the_receptionist.calls == 0

    def test_today_is_asked_for_and_names_who_does_not_answer(
        self, keeper: Bookkeeper, away_at_the_receptionist: Receptionist, other: str
    ) -> None:
        keeper.attach(name="other", url=other)
        answer = keeper.stats(period="today")
        assert list(answer["unreachable"]) == ["gw"]
        assert answer["unreachable"]["gw"].startswith("PostgreSQL cannot be reached: ")
        assert answer["sources"] == ["gw", "other"]
        assert away_at_the_receptionist.calls == 1
        assert "unreachable" not in keeper.stats(period="today", source="other")


class TestToday:
    def test_a_second_look_within_ten_seconds_does_not_read_the_source_again(
        self, keeper: Bookkeeper, clock: Clock, tmp_path: Path
    ) -> None:
        file = tmp_path / "gateway.db"
        on_sqlite(file, CREATE, *insert(22), "INSERT INTO log_records VALUES ('2026-11-23 00:30:00', 'gpt-5', 200, 7)")
        keeper.attach(name="gw", url=f"sqlite:///{file}")
        assert keeper.stats(period="today")["totals"]["requests"] == 1
        on_sqlite(file, "INSERT INTO log_records VALUES ('2026-11-23 00:31:00', 'gpt-5', 200, 7)")
        clock.now += timedelta(seconds=9)
        assert keeper.stats(period="today")["totals"]["requests"] == 1
        clock.now += timedelta(seconds=1)
        assert keeper.stats(period="today")["totals"]["requests"] == 2


class TestAChangedTable:
    """Yesterday is closed, then the table changes, then a day goes by."""

    @pytest.fixture
    def file(self, keeper: Bookkeeper, clock: Clock, tmp_path: Path) -> Path:
        file = tmp_path / "gateway.db"
        on_sqlite(file, CREATE, *insert(22))
        keeper.attach(name="gw", url=f"sqlite:///{file}")
        assert ticked(keeper) == [("gw", "2026-11-22", "closed", None)]
        on_sqlite(file, *insert(23))
        clock.now += timedelta(days=1)
        return file

    def test_a_column_that_is_gone_fails_the_day_until_it_is_back(self, keeper: Bookkeeper, file: Path) -> None:
        on_sqlite(file, "ALTER TABLE log_records RENAME COLUMN tokens_in TO prompt_tokens")
        reason = "The column tokens_in of log_records is gone, or its name or type has changed."
        assert ticked(keeper) == [("gw", "2026-11-23", "failed", reason)]
        assert failed(keeper, "gw") == {"2026-11-23": reason}
        on_sqlite(file, "ALTER TABLE log_records RENAME COLUMN prompt_tokens TO tokens_in")
        assert ticked(keeper) == [("gw", "2026-11-23", "closed", None)]
        assert failed(keeper, "gw") == {}
        assert keeper.stats(first="2026-11-23", last="2026-11-23")["totals"]["tokens_in"] == 7

    def test_the_time_or_the_model_gone_fails_it_too(self, keeper: Bookkeeper, file: Path) -> None:
        on_sqlite(file, "ALTER TABLE log_records RENAME COLUMN created_at TO at")
        listed = "at, model_name, status_code, tokens_in"
        assert ticked(keeper)[0][2:] == ("failed", f"There is no column created_at among {listed}.")
        on_sqlite(file, "ALTER TABLE log_records RENAME COLUMN at TO created_at")
        on_sqlite(file, "ALTER TABLE log_records RENAME COLUMN model_name TO model")
        listed = "created_at, model, status_code, tokens_in"
        assert ticked(keeper)[0][2:] == ("failed", f"There is no column for model_name among {listed}.")

    def test_a_column_of_another_type_fails_it(self, keeper: Bookkeeper, file: Path) -> None:
        on_sqlite(file, "ALTER TABLE log_records RENAME TO older")
        on_sqlite(file, CREATE.replace("status_code INTEGER", "status_code TEXT"), *insert(22, 23))
        ((_, _, outcome, reason),) = ticked(keeper)
        assert outcome == "failed"
        assert reason
        assert "status_code of log_records" in reason

    def test_a_table_that_is_gone_fails_it(self, keeper: Bookkeeper, file: Path) -> None:
        on_sqlite(file, "ALTER TABLE log_records RENAME TO older")
        ((_, _, outcome, reason),) = ticked(keeper)
        assert (outcome, reason) == ("failed", "SQLite could not read the logs: no such table: log_records.")

    def test_a_column_more_changes_nothing(self, keeper: Bookkeeper, file: Path) -> None:
        on_sqlite(file, "ALTER TABLE log_records ADD COLUMN remark TEXT")
        assert ticked(keeper) == [("gw", "2026-11-23", "closed", None)]

    def test_a_field_that_the_table_has_learned_to_tell_is_told_from_then_on(
        self, keeper: Bookkeeper, file: Path
    ) -> None:
        on_sqlite(file, "ALTER TABLE log_records ADD COLUMN tokens_out INTEGER DEFAULT 3")
        assert ticked(keeper) == [("gw", "2026-11-23", "closed", None)]
        assert keeper.stats(first="2026-11-23", last="2026-11-23")["totals"]["tokens_out"] == 3

    def test_on_postgresql_a_column_of_another_type_fails_it(
        self, keeper: Bookkeeper, clock: Clock, postgres_url: str
    ) -> None:
        on_postgresql(postgres_url, CREATE, *insert(22, 23))
        keeper.attach(name="gw", url=postgres_url)
        assert ticked(keeper) == [("gw", "2026-11-22", "closed", None)]
        clock.now += timedelta(days=1)
        on_postgresql(postgres_url, "ALTER TABLE log_records ALTER created_at TYPE TIMESTAMPTZ")
        reason = "The column created_at of log_records is zoned now, and was naive when it was attached."
        assert ticked(keeper) == [("gw", "2026-11-23", "failed", reason)]
        on_postgresql(postgres_url, "ALTER TABLE log_records ALTER created_at TYPE TIMESTAMP")
        assert ticked(keeper) == [("gw", "2026-11-23", "closed", None)]


class TestAChangedTableOfTheFile:
    """A source of `tallybook.toml`, whose first day is closed; then a column has another name, and a day goes by."""

    REASON = "The column tokens_in of log_records is gone, or its name or type has changed."

    @pytest.fixture
    def opened(self, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Bookkeeper]]:
        """Declares the source, and opens the home as the next process does."""
        home, file = tmp_path / "configured", tmp_path / "gateway.db"
        on_sqlite(file, CREATE, *insert(22))
        home.mkdir()
        keepers: list[Bookkeeper] = []

        def declared(*more: str, url: str = f"sqlite:///{file}") -> Bookkeeper:
            for keeper in keepers:
                keeper.close_all()
            keepers.clear()
            lines = [f'[sources.gw]\nurl = "{url}"', *more]
            (home / "tallybook.toml").write_text("".join(f"{line}\n" for line in lines))
            keepers.append(Bookkeeper(load_settings({"home": str(home)}, {}), clock))
            return keepers[0]

        assert ticked(declared()) == [("gw", "2026-11-22", "closed", None)]
        on_sqlite(file, *insert(23), "ALTER TABLE log_records RENAME COLUMN tokens_in TO prompt_tokens")
        clock.now += timedelta(days=1)
        yield declared
        for keeper in keepers:
            keeper.close_all()

    def test_the_next_process_holds_on_to_what_was_first_found(self, opened: Callable[..., Bookkeeper]) -> None:
        for _ in range(2):
            assert ticked(opened()) == [("gw", "2026-11-23", "failed", self.REASON)]

    @pytest.mark.usefixtures("opened")
    def test_only_the_owner_can_read_what_is_kept_of_it(self, tmp_path: Path) -> None:
        kept = tmp_path / "configured" / "pins.json"
        assert kept.stat().st_mode & 0o777 == 0o600

    def test_declared_in_another_way_it_is_looked_at_anew(self, opened: Callable[..., Bookkeeper]) -> None:
        assert ticked(opened('map = {tokens_in = "prompt_tokens"}')) == [("gw", "2026-11-23", "closed", None)]

    def test_without_what_is_kept_it_is_taken_as_it_is(self, opened: Callable[..., Bookkeeper], tmp_path: Path) -> None:
        (tmp_path / "configured" / "pins.json").unlink()
        assert ticked(opened()) == [("gw", "2026-11-23", "closed", None)]

    def test_what_is_kept_may_be_broken_and_is_told(self, opened: Callable[..., Bookkeeper], tmp_path: Path) -> None:
        path = tmp_path / "configured" / "pins.json"
        path.write_text("[{")
        with pytest.raises(UsageError) as caught:
            opened()
        assert caught.value.message.startswith(f"{path} cannot be read: ")
        assert caught.value.remedy == "Move it away, and the sources of tallybook.toml are taken as they are then."

    def test_a_password_is_no_part_of_it_and_may_be_changed(
        self, tmp_path: Path, clock: Clock, postgres_url: str
    ) -> None:
        on_postgresql(postgres_url, CREATE, *insert(22, 23))
        home = tmp_path / "guarded"
        home.mkdir()
        for password, outcome in (("hunter2", "closed"), ("hunter3", "failed")):
            (home / "tallybook.toml").write_text(f'[sources.gw]\nurl = "{postgres_url}&password={password}"\n')
            keeper = Bookkeeper(load_settings({"home": str(home)}, {}), clock)
            assert [each[2] for each in ticked(keeper)] == [outcome]
            keeper.close_all()
            assert "hunter" not in (home / "pins.json").read_text()
            clock.now += timedelta(days=1)
            on_postgresql(postgres_url, "ALTER TABLE log_records DROP COLUMN IF EXISTS tokens_in")

    def test_its_file_is_relative_to_the_home(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "relative"
        (home / "logs").mkdir(parents=True)
        on_sqlite(home / "logs" / "gateway.db", CREATE, *insert(22))
        (home / "tallybook.toml").write_text('[sources.gw]\nurl = "sqlite:///logs/gateway.db"\n')
        monkeypatch.chdir(tmp_path)
        keeper = Bookkeeper(load_settings({"home": str(home)}, {}), clock)
        assert ticked(keeper) == [("gw", "2026-11-22", "closed", None)]
        keeper.close_all()


class TestWhyInTheNextProcess:
    """Without a server, `close` of one process fails, and `status` of the next says why."""

    def test_a_source_that_was_away_and_is_back_has_still_failed(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(2, 1))
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        away = gateway.path.rename(tmp_path / "away.db")
        assert home.run("close").code == 1
        away.rename(gateway.path)
        (standing,) = home.ask("status")["sources"]
        assert standing["failed"] == [{"day": ago(1), "reason": f"There is no file {gateway.path}."}]
        assert standing["missing"] == [ago(2), ago(1)]
        home.do("close")
        assert home.ask("status")["sources"][0]["failed"] == []

    def test_one_that_was_never_reached_has_failed_too(self, home: Home, tmp_path: Path) -> None:
        home.path.mkdir()
        (home.path / "tallybook.toml").write_text(f'[sources.gw]\nurl = "sqlite:///{tmp_path}/gone.db"\n')
        reason = f"There is no file {tmp_path}/gone.db."
        for _ in range(2):
            (standing,) = home.ask("status")["sources"]
            assert standing["first_day"] is None
            assert (standing["missing"], standing["failed"]) == ([ago(1)], [{"day": ago(1), "reason": reason}])
            assert home.run("close").code == 1
        new_api(tmp_path / "gone.db", days=(0,))
        (home.path / "tallybook.toml").write_text(
            f'[sources.gw]\nurl = "sqlite:///{tmp_path}/gone.db"\npreset = "new-api"\n'
        )
        home.do("close")
        (standing,) = home.ask("status")["sources"]
        assert (standing["missing"], standing["failed"]) == ([], [])

    def test_one_that_can_be_looked_at_but_not_read_says_why(self, home: Home, tmp_path: Path) -> None:
        file = tmp_path / "gateway.duckdb"
        with duckdb.connect(file) as connection:
            connection.execute(f"CREATE TABLE raw AS SELECT TIMESTAMP '{ago(1)} 10:00' AS created_at, '200' AS status")
            connection.execute(
                "CREATE VIEW log_records AS "
                "SELECT created_at, 'gpt-5' AS model_name, CAST(status AS INTEGER) AS status_code FROM raw"
            )
        home.do("attach", "gw", f"duckdb:///{file}")
        with duckdb.connect(file) as connection:
            connection.execute("UPDATE raw SET status = 'teapot'")
        assert home.run("close").code == 1
        (standing,) = home.ask("status")["sources"]
        assert [each["day"] for each in standing["failed"]] == [ago(1)]
        assert "Could not convert string 'teapot' to INT32" in standing["failed"][0]["reason"]

    def test_what_is_kept_is_for_the_owner_and_goes_with_the_source(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(1,))
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        gateway.path.rename(tmp_path / "away.db")
        assert home.run("close").code == 1
        kept = home.path / "failures.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert json.loads(kept.read_text()) == {"gw": {ago(1): f"There is no file {gateway.path}."}}
        home.do("detach", "gw")
        assert json.loads(kept.read_text()) == {}

    def test_a_file_of_reasons_that_is_broken_keeps_nobody_from_working(self, home: Home, tmp_path: Path) -> None:
        home.do("attach", "gw", new_api(tmp_path / "one-api.db", days=(1,)).url, "--preset", "new-api")
        (home.path / "failures.json").write_text("{")
        assert home.run("close").code == 0
        assert home.ask("status")["sources"][0]["closed_through"] == ago(1)


class TestInAServer:
    def test_a_source_that_is_down_shows_everywhere_and_is_closed_once_it_is_back(
        self, home: Home, tmp_path: Path
    ) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        away = gateway.path.rename(tmp_path / "away.db")
        reason = f"There is no file {gateway.path}."
        with serving(home) as server:
            wait_for(lambda: "tallybook_failure{" in server.http.get("/metrics").text)
            metrics = server.http.get("/metrics").text
            assert f'tallybook_failure{{day="{ago(1)}",reason="{reason}",source="gw"}} 1.0\n' in metrics
            assert 'tallybook_failed_days{source="gw"} 3.0\n' in metrics
            (standing,) = server.get("/v1/status")["sources"]
            assert standing["failed"] == [{"day": ago(days), "reason": reason} for days in (3, 2, 1)]
            assert f"{ago(3)}, {ago(2)}, {ago(1)}: {reason}" in home.do("status")
            refused = home.run("close")
            assert refused.code == 1
            assert refused.err == (
                f"tallybook: {ago(1)} of gw: {reason} It stays open: run the command again, or leave it to the server.\n"
            )
            away.rename(gateway.path)
            back(home, gateway)
            assert "tallybook_failure{" not in server.http.get("/metrics").text
        assert home.is_intact(3)

    def test_as_many_days_are_missing_as_have_failed_of_one_that_was_never_reached(
        self, home: Home, tmp_path: Path
    ) -> None:
        home.path.mkdir()
        (home.path / "tallybook.toml").write_text(f'[sources.gw]\nurl = "sqlite:///{tmp_path}/gone.db"\n')
        with serving(home) as server:
            wait_for(lambda: "tallybook_failure{" in server.http.get("/metrics").text)
            metrics = server.http.get("/metrics").text
        assert 'tallybook_failed_days{source="gw"} 1.0\n' in metrics
        assert 'tallybook_missing_days{source="gw"} 1.0\n' in metrics

    def test_plain_words_name_who_is_missing_from_today(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        home.do("backfill", ago(3), ago(1))
        gateway.path.unlink()
        assert f"Today without gw: There is no file {gateway.path}.\n" in home.do("stats", "today")
        assert home.ask("stats", "last7d")["totals"]["requests"] == 3


def back(home: Home, gateway: Gateway) -> None:
    """Closes everything, or finds that the server has done so."""
    gateway.run("SELECT 1")
    results = home.ask("backfill", ago(3), ago(1))["results"]
    assert {each["outcome"] for each in results} <= {"closed", "exists"}
