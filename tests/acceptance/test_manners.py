"""Manners in somebody else's database: reading only, not for long, by its index, and leaving nothing behind."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from acceptance.foreign import TYPES, Gateway, epoch_s, new_api, on_files, on_postgresql, on_sqlite
from acceptance.running import Home, ago, today, wait_for
from databases import Database, on
from tallybook.days import ONE_DAY
from tallybook.declaration import Declaration
from tallybook.errors import SourceDown, SourceFault
from tallybook.source import Slicing
from tallybook.sources.attached import AttachedSource
from tallybook.sources.inspection import inspect
from tallybook.sources.places import open_place
from tallybook.sources.relation import edges_of, window_of
from tallybook.sources.urls import SourceUrl

YESTERDAY = today() - ONE_DAY


def on_server(url: str, *statements: str) -> None:
    """Runs the statements in the PostgreSQL database, each by itself."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def asked(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def possessions(url: str) -> set[tuple[Any, ...]]:
    """Every table, index, function and type of the database that is not PostgreSQL's own."""
    return set(
        asked(
            url,
            "SELECT 'relation', relname FROM pg_class WHERE oid >= 16384 "
            "UNION ALL SELECT 'function', proname FROM pg_proc WHERE oid >= 16384 "
            "UNION ALL SELECT 'type', typname FROM pg_type WHERE oid >= 16384",
        )
    )


def do_everything(home: Home) -> None:
    """Every command that reads from sources."""
    home.do("backfill", ago(3), ago(1))
    for words in (["stats", "today"], ["stats", "last7d", "--live", "--by", "user"], ["status"], ["reconcile"]):
        home.do(*words)


class TestReadingOnly:
    def test_nothing_is_made_in_a_postgresql(self, home: Home, postgres_url: str) -> None:
        foreign = on_postgresql(postgres_url)
        before, rows = possessions(postgres_url), asked(postgres_url, "SELECT * FROM log_records")
        home.do("attach", "gw", foreign.url)
        do_everything(home)
        assert possessions(postgres_url) == before
        assert asked(postgres_url, "SELECT * FROM log_records") == rows

    @pytest.mark.parametrize("gateway_runs", [True, False], ids=["gateway runs", "gateway stopped"])
    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_nothing_is_made_beside_a_sqlite_file(
        self, home: Home, tmp_path: Path, mode: str, gateway_runs: bool
    ) -> None:
        (tmp_path / "var").mkdir()
        gateway = new_api(tmp_path / "var" / "one-api.db")
        gateway.run(f"PRAGMA journal_mode = {mode}")
        with keeping_open(gateway, gateway_runs):
            before = contents_of(tmp_path / "var")
            home.do("attach", "gw", gateway.url, "--preset", "new-api")
            do_everything(home)
            assert contents_of(tmp_path / "var") == before

    def test_nothing_is_made_beside_files(self, home: Home, tmp_path: Path) -> None:
        foreign = on_files(tmp_path / "logs", "parquet")
        before = contents_of(tmp_path / "logs")
        home.do("attach", "lake", foreign.url)
        do_everything(home)
        assert contents_of(tmp_path / "logs") == before

    def test_a_query_that_writes_by_a_function_is_stopped_by_postgresql(self, home: Home, postgres_url: str) -> None:
        on_postgresql(postgres_url)
        on_server(
            postgres_url,
            "CREATE TABLE visits (at TIMESTAMPTZ)",
            "CREATE FUNCTION visit() RETURNS TIMESTAMPTZ LANGUAGE SQL VOLATILE AS "
            "$$ INSERT INTO visits VALUES (now()) RETURNING at $$",
        )
        file = home.file("visit.sql", "SELECT visit() AS created_at, model_name FROM log_records")
        refused = home.run("attach", "gw", postgres_url, "--query", file).failed_plainly(1)
        assert refused.startswith(
            "PostgreSQL could not read the logs: cannot execute INSERT in a read-only transaction."
        )
        assert asked(postgres_url, "SELECT COUNT(*) FROM visits") == [(0,)]

    def test_a_query_that_breaks_out_of_its_brackets_is_not_run(self, home: Home, postgres_url: str) -> None:
        on_postgresql(postgres_url)
        before = possessions(postgres_url)
        file = home.file(
            "escape.sql", "SELECT 1) AS t; COMMIT; CREATE TABLE escaped (a INT); SELECT * FROM (SELECT 1 AS created_at"
        )
        refused = home.run("attach", "gw", postgres_url, "--query", file).failed_plainly(1)
        assert refused.startswith("PostgreSQL could not read the logs: cannot insert multiple commands")
        assert possessions(postgres_url) == before


class TestWhatPostgresqlIsTold:
    def test_the_url_s_own_options_hold(self, home: Home, postgres_url: str) -> None:
        on_server(postgres_url, "CREATE SCHEMA gateway")
        url = f"{postgres_url}&options=-c%20search_path%3Dgateway"
        with psycopg.connect(url) as connection:
            connection.execute(f"CREATE TABLE log_records (created_at TIMESTAMPTZ, {TYPES})".encode())
            connection.execute(f"INSERT INTO log_records VALUES ('{ago(1)} 10:00+00', 'gpt-5', 200)".encode())
        assert home.ask("attach", "gw", url)["yesterday"]["requests"] == 1

    def test_nothing_is_asked_for_at_the_start_that_a_pooler_would_refuse(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            url = f"postgresql://reader@127.0.0.1:{port}/db?sslmode=disable&gssencmode=disable"
            calling = threading.Thread(target=call, args=(url,))
            calling.start()
            caller, _ = listening.accept()
            greeting = caller.recv(10_000)
            caller.close()
            calling.join()
        words = greeting[8:].rstrip(b"\0").split(b"\0")
        assert dict(zip(words[::2], words[1::2], strict=True)) == {
            b"user": b"reader",
            b"database": b"db",
            b"application_name": b"tallybook",
        }

    def test_every_reading_is_read_only_in_utc_and_limited(self, postgres_url: str) -> None:
        names = ("transaction_read_only", "TimeZone", "statement_timeout", "enable_sort", "transaction_isolation")
        engine = open_place(SourceUrl(postgres_url), timeout_s=7).engine
        told = engine.rows("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
        assert told == [("on", "UTC", "7s", "off", "repeatable read")]


def call(url: str) -> None:
    with suppress(SourceDown):
        open_place(SourceUrl(url)).engine.rows("SELECT 1")


def contents_of(folder: Path) -> dict[str, bytes]:
    """The files of the folder, but for the marks of who reads that SQLite's own readers leave in shared memory."""
    return {path.name: b"" if path.name.endswith("-shm") else path.read_bytes() for path in folder.iterdir()}


@contextmanager
def keeping_open(gateway: Gateway, is_open: bool) -> Iterator[None]:
    """As long as this lasts, the gateway has its file open, if it is to."""
    connection = sqlite3.connect(gateway.path) if is_open else None
    if connection:
        connection.execute("SELECT COUNT(*) FROM logs").fetchall()
    yield
    if connection:
        connection.close()


class TestASQLiteFileThatWeMayNotWrite:
    @pytest.mark.parametrize("gateway_runs", [True, False], ids=["gateway runs", "gateway stopped"])
    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_it_is_read_all_the_same(self, var: Path, mode: str, gateway_runs: bool) -> None:
        gateway = new_api(var / "one-api.db")
        gateway.run(f"PRAGMA journal_mode = {mode}")
        source = AttachedSource(Declaration(name="gw", url=gateway.url, preset="new-api"))
        assert records_of(source) == 1
        with keeping_open(gateway, gateway_runs), unwritable(var):
            assert as_nobody(lambda: records_of(source)) == 1

    def test_a_gateway_that_starts_to_write_meanwhile_has_it_read_again(self, var: Path) -> None:
        gateway = new_api(var / "one-api.db")
        source = AttachedSource(Declaration(name="gw", url=gateway.url, preset="new-api"))
        with pytest.raises(SourceFault) as caught:
            self.read_while_it_is_written(source, gateway)
        assert caught.value.message == f"{gateway.path} was written while it was read."
        assert records_of(source) == 2

    def read_while_it_is_written(self, source: AttachedSource, gateway: Gateway) -> None:
        engine: Any = source.inspection().place.engine
        with engine._uri() as uri:
            assert uri.endswith("?mode=ro&immutable=1")
            gateway.serve(1)


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """The folder and its files, which nobody but root may write as long as this lasts."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    yield
    folder.chmod(0o755)


def records_of(source: AttachedSource) -> int:
    """Yesterday's records, read as closing reads them."""
    return next(source.contents([YESTERDAY], Slicing())).records


def as_nobody(read: Callable[[], int]) -> int:
    """What the function answers to one who is not root: where we are, in a process of its own."""
    if os.geteuid() != 0:
        return read()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        answer = b"?"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answer = str(read()).encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.waitpid(child, 0)
    return int(os.read(reading, 100))


class TestNotForLong:
    def test_a_statement_that_takes_too_long_is_given_up(self, home: Home, postgres_url: str) -> None:
        on_postgresql(postgres_url)
        file = home.file("slow.sql", 'SELECT created_at, model_name, pg_sleep(30)::text AS "user" FROM log_records')
        begun = time.monotonic()
        refused = home.run("attach", "gw", postgres_url, "--query", file, "--set", "timeout_s=1").failed_plainly(1)
        assert time.monotonic() - begun < 10
        assert refused == (
            "PostgreSQL took longer than timeout_s allows. "
            "Give it more with --set timeout_s=SECONDS, or have an index on the time."
        )

    def test_a_source_that_has_become_slow_fails_and_keeps_no_other_waiting(
        self, home: Home, postgres_url: str, tmp_path: Path
    ) -> None:
        on_server(postgres_url, *view("INTERVAL '0'"))
        home.do("attach", "slow", postgres_url, "--set", "table=calls", "--set", "timeout_s=1")
        home.do("attach", "gw", new_api(tmp_path / "one-api.db", days=(1,)).url, "--preset", "new-api")
        on_server(postgres_url, *view("INTERVAL '30 s'"))
        begun = time.monotonic()
        results = home.run("close", "--json")
        assert time.monotonic() - begun < 15
        assert results.code == 1
        assert '"reason": "PostgreSQL took longer than timeout_s allows."' in results.out
        standing = {source["source"]: source for source in home.ask("status")["sources"]}
        assert standing["gw"]["closed_through"] == ago(1)
        assert standing["slow"]["missing"] == [ago(1)]

    def test_a_file_is_read_without_a_limit_unless_one_is_given(self, home: Home, tmp_path: Path) -> None:
        foreign = on_files(tmp_path / "logs", "parquet")
        file = home.file(
            "slow.sql",
            "SELECT TIMESTAMP '2026-11-22 10:00:00' AS created_at, 'gpt-5' AS model_name, a.range * b.range AS tokens_in "
            "FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = -1",
        )
        begun = time.monotonic()
        words = [foreign.url, "--query", file, "--set", "timeout_s=1"]
        assert (
            home.run("attach", "gw", *words).failed_plainly(1).startswith("DuckDB took longer than timeout_s allows.")
        )
        assert time.monotonic() - begun < 20

    @pytest.mark.parametrize(
        ("url", "engine"),
        [("sqlite:////var/one-api.db", "SQLite"), ("spark:///llm", "Spark"), ("oracle://db/x", "oracle")],
    )
    def test_where_there_is_no_limit_none_can_be_given(self, home: Home, url: str, engine: str) -> None:
        refused = home.run("attach", "gw", url, "--set", "timeout_s=9").failed_plainly(2)
        assert refused == f"{engine} cannot be told to end a statement after timeout_s. Leave out timeout_s."

    @pytest.mark.engines
    def test_one_that_takes_the_call_and_says_nothing_is_given_up_soon(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(1, 0))
        with silence() as port:
            home.path.mkdir()
            (home.path / "tallybook.toml").write_text(f'[sources.a]\nurl = "clickhouse://u:p@127.0.0.1:{port}/db"\n')
            home.do("attach", "gw", gateway.url, "--preset", "new-api")
            begun = time.monotonic()
            answer = home.ask("stats", "today", "--live")
            assert time.monotonic() - begun < 20
        assert answer["unreachable"] == {"a": "ClickHouse cannot be reached: timed out."}
        assert answer["totals"]["requests"] == 1

    def test_there_is_one_connection_at_a_time_which_says_whose_it_is(self, home: Home, postgres_url: str) -> None:
        on_server(postgres_url, *view("INTERVAL '0'"))
        home.do("attach", "slow", postgres_url, "--set", "table=calls")
        on_server(postgres_url, *view("INTERVAL '0.5 s'"))
        closing = threading.Thread(target=home.do, args=("close",))
        closing.start()
        counts, statements = watch(postgres_url, closing)
        assert set(counts) == {0, 1}
        assert any(
            statement.startswith("DECLARE") or "tallybook" in statement or "calls" in statement
            for statement in statements
        )
        assert sessions(postgres_url) == []
        assert home.ask("status")["sources"][0]["closed_through"] == ago(1)


@contextmanager
def silence() -> Iterator[int]:
    """The port of one who takes every call and never says a word."""
    callers: list[socket.socket] = []

    def listen() -> None:
        with suppress(OSError):
            while True:
                callers.append(listening.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=listen, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    for caller in callers:
        caller.close()


def view(delay: str) -> Sequence[str]:
    """A view of one request of yesterday, told after the delay."""
    return (
        "CREATE OR REPLACE VIEW calls AS SELECT "
        f"TIMESTAMPTZ '{ago(1)} 10:00:00+00' AS created_at, 'gpt-5'::text AS model_name, "
        f"CASE WHEN pg_sleep(EXTRACT(EPOCH FROM {delay})) IS NOT NULL THEN 200 END AS status_code",
    )


def sessions(url: str) -> list[str]:
    """What each of our sessions on the database does."""
    rows = asked(
        url,
        "SELECT query FROM pg_stat_activity WHERE application_name = 'tallybook' AND datname = current_database()",
    )
    return [query for (query,) in rows]


def watch(url: str, command: threading.Thread) -> tuple[list[int], set[str]]:
    """How many sessions there were at once while the command ran, and what they did."""
    counts, statements = [], set()
    while command.is_alive():
        found = sessions(url)
        counts.append(len(found))
        statements |= set(found)
        time.sleep(0.01)
    command.join()
    return counts, statements


FILLED = {
    "postgresql": "INSERT INTO log_records (created_at, model_name) SELECT {made}, 'gpt-5' FROM generate_series(0, 20000) n",
    "sqlite": "INSERT INTO log_records (created_at, model_name) WITH RECURSIVE counted(n) AS "
    "(SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < 20000) SELECT {made}, 'gpt-5' FROM counted",
}
MADE = {
    ("postgresql", "TIMESTAMPTZ"): "TIMESTAMPTZ '2026-01-01' + n * INTERVAL '5 min'",
    ("postgresql", "TIMESTAMP"): "TIMESTAMP '2026-01-01' + n * INTERVAL '5 min'",
    ("postgresql", "BIGINT"): "1767225600000 + n * 300000::bigint",
    ("postgresql", "TEXT"): "to_char(TIMESTAMP '2026-01-01' + n * INTERVAL '5 min', 'YYYY-MM-DD HH24:MI:SS')",
    ("sqlite", "INTEGER"): "1767225600000 + n * 300000",
    ("sqlite", "TEXT"): "datetime(1767225600 + n * 300, 'unixepoch')",
}


class TestByTheIndex:
    @pytest.mark.parametrize(("database", "kind"), list(MADE), indirect=["database"])
    def test_a_day_is_found_by_the_index_on_time(self, database: Database, kind: str) -> None:
        database.run(f"CREATE TABLE log_records (created_at {kind}, {TYPES})")
        database.run(FILLED[database.family].format(made=MADE[database.family, kind]))
        database.run("CREATE INDEX log_records_by_time ON log_records (created_at)")
        if database.family == "postgresql":
            database.run("ANALYZE log_records")
        plan = plan_of_a_day(database)
        assert "log_records_by_time" in plan
        assert "Seq Scan" not in plan
        assert "SCAN" not in plan

    @on("postgresql", "sqlite")
    def test_the_statement_that_attaching_proposes_makes_its_warning_go_away(
        self, home: Home, database: Database
    ) -> None:
        database.run(f"CREATE TABLE log_records (created_at TIMESTAMP, {TYPES})")
        database.run(f"INSERT INTO log_records (created_at, model_name) VALUES ('{ago(1)} 10:00:00', 'gpt-5')")
        found = home.ask("attach", "before", database.url)
        assert found["warnings"] == ["no index helps to find a day by created_at: each closing reads the whole table"]
        database.run(found["create_index"])
        found = home.ask("attach", "after", database.url)
        assert (found["warnings"], found["create_index"]) == ([], None)

    def test_so_does_that_of_a_gateway_s_own_table(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        gateway.run("DROP INDEX idx_created_at_type")
        proposed = home.ask("attach", "before", gateway.url, "--preset", "new-api")["create_index"]
        assert proposed == 'CREATE INDEX ix_tallybook_created_at ON "logs" ("created_at", "type")'
        gateway.run(proposed)
        assert home.ask("attach", "after", gateway.url, "--preset", "new-api")["create_index"] is None


def plan_of_a_day(database: Database) -> str:
    """The plan of the statement that reads a day from the table."""
    found = inspect(Declaration(name="gw", url=database.url))
    engine, relation = found.place.engine, found.match.relation
    day = window_of(edges_of([YESTERDAY.replace(month=2, day=1, year=2026)]))
    if database.family == "sqlite":
        return str(engine.rows(f"EXPLAIN QUERY PLAN {relation.select_columns('sqlite', day)}"))
    return str(asked(database.url, f"EXPLAIN {relation.select('postgres', day)}"))


class TestBesideAGatewayAtWork:
    def test_a_gateway_writes_while_its_table_is_read(self, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=())
        source = AttachedSource(Declaration(name="gw", url=gateway.url, preset="new-api"))
        with at_work(gateway) as stop:
            wait_for(lambda: records_of(source))
            seen = [records_of(source) for _ in range(10)]
            written = stop()
        assert seen == sorted(seen)
        assert seen[0] < seen[-1] <= written
        assert records_of(source) == written

    def test_a_table_is_read_while_it_is_altered(self, home: Home, tmp_path: Path) -> None:
        foreign = on_sqlite(tmp_path / "gateway.db")
        home.do("attach", "gw", foreign.url)
        connection = sqlite3.connect(tmp_path / "gateway.db")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ALTER TABLE log_records ADD COLUMN remark TEXT")
        assert [result["outcome"] for result in home.ask("close")["results"]] == ["closed"]
        connection.rollback()
        connection.close()


AT_WORK = """
import sqlite3, sys, threading
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
stopped = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set())).start()
written = 0
while not stopped.is_set():
    connection.execute("INSERT INTO logs (created_at, type, model_name) VALUES (?, 2, 'gpt-5')", sys.argv[2:])
    written += 1
print(written)
"""


@contextmanager
def at_work(gateway: Gateway) -> Iterator[Callable[[], int]]:
    """A gateway that writes requests of yesterday, waiting for nobody, until it is stopped and tells how many."""
    words = [sys.executable, "-c", AT_WORK, str(gateway.path), str(epoch_s(1, 12))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield lambda: int(process.communicate()[0])
        assert process.returncode == 0
