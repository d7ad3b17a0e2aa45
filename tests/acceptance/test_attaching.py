"""Attaching somebody else's logs: what is shown of them, how their days are closed, and what is refused."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from acceptance.foreign import FAMILIES, Foreign, new_api, on_duckdb, on_files, on_postgresql, on_sqlite
from acceptance.running import Home, Ran, ago, serving

EVERYWHERE = pytest.mark.parametrize("foreign", FAMILIES, indirect=True)
FILLED = ["model_name", "user", "status_code", "tokens_in", "tokens_out", "cost_usd"]
NOT_FILLED = [
    *("provider", "team", "api_key", "operation", "error_type", "tokens_cached", "tokens_reasoning"),
    *("latency_ms", "ttft_ms"),
]
NO_INDEX = "no index helps to find a day by created_at: each closing reads the whole table"


@pytest.fixture
def foreign(request: pytest.FixtureRequest, tmp_path: Path) -> Foreign:
    """The requests of `foreign.requests`, in the place that the parameter names."""
    if request.param == "postgresql":
        return on_postgresql(request.getfixturevalue("postgres_url"))
    if request.param == "sqlite":
        return on_sqlite(tmp_path / "gateway.db")
    if request.param == "duckdb":
        return on_duckdb(tmp_path / "gateway.duckdb")
    return on_files(tmp_path / "logs", request.param)


def outcomes(answer: Any) -> list[tuple[str, str, int | None]]:
    return [(result["day"], result["outcome"], result["requests"]) for result in answer["results"]]


def series(answer: Any) -> dict[str, tuple[str, int]]:
    return {row["date"]: (row["state"], row["requests"]) for row in answer["series"] if row["state"] != "before"}


CLOSED = [(ago(3), "closed", 2), (ago(2), "zero", 0), (ago(1), "closed", 1)]


class TestOnEveryEngine:
    @EVERYWHERE
    def test_attaching_tells_what_it_found(self, home: Home, foreign: Foreign) -> None:
        assert home.ask("attach", "gw", foreign.url) == {
            "source": "gw",
            "engine": foreign.engine,
            "url": foreign.url,
            "preset": "log_records",
            "table": foreign.table,
            "time": {"column": "created_at", "unit": foreign.unit},
            "first_record": f"{ago(3)}T10:00:00Z",
            "last_record": f"{ago(0)}T00:00:01Z",
            "yesterday": {"day": ago(1), "requests": 1},
            "fills": FILLED,
            "cannot_fill": NOT_FILLED,
            "limits": {
                "failures": "full",
                "latency_resolution": "none",
                "ttft": "none",
                "count_by": "request",
                "notes": [],
            },
            "warnings": [NO_INDEX] if foreign.create_index else [],
            "create_index": foreign.create_index,
        }

    @EVERYWHERE
    def test_its_days_are_closed_and_answered_like_our_own(self, home: Home, foreign: Foreign) -> None:
        home.do("attach", "gw", foreign.url)
        assert outcomes(home.ask("backfill", ago(3), ago(1), "--source", "gw")) == CLOSED
        stats = home.ask("stats", "last7d", "--by", "user")
        told = ("requests", "success", "failed", "tokens_in", "tokens_out", "cost_usd", "priced_requests")
        assert [stats["totals"][name] for name in told] == [3, 2, 1, 180, 15, "0.75", 2]
        assert series(stats) == {ago(3): ("closed", 2), ago(2): ("zero", 0), ago(1): ("closed", 1)}
        assert stats["sources"] == ["gw"]
        (status,) = home.ask("status")["sources"]
        assert (status["source"], status["first_day"], status["closed_through"]) == ("gw", ago(3), ago(1))
        assert (status["days_closed"], status["days_zero"], status["missing"], status["failed"]) == (2, 1, [], [])
        assert home.is_intact(3)

    @EVERYWHERE
    def test_today_is_read_from_it_and_closed_days_show_no_drift(self, home: Home, foreign: Foreign) -> None:
        home.do("attach", "gw", foreign.url)
        home.do("backfill", ago(3), ago(1))
        assert home.ask("stats", "today")["totals"]["tokens_in"] == 7
        assert home.ask("stats", "last7d", "--live")["totals"]["requests"] == 4
        assert home.ask("reconcile") == {"results": [], "failed": [], "compared": 3}


class TestWhatIsPrinted:
    def test_every_fact_that_matters_is_named(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        printed = home.do("attach", "gw", gateway.url, "--preset", "new-api")
        assert [" ".join(line.split()) for line in printed.splitlines()] == [
            "gw new-api on SQLite, logs",
            f"records {ago(3)}T10:00:00Z to {ago(1)}T10:00:00Z",
            f"yesterday {ago(1)}: 1 requests",
            "time created_at, seconds since 1970",
            "fills model_name, provider, team, api_key, user, status_code, tokens_in, tokens_out, tokens_cached, "
            "latency_ms, ttft_ms, cost_usd",
            "cannot fill operation, error_type, tokens_reasoning",
            "failures opt-in, none logged",
            "latency whole seconds",
            "first token known",
            "counts by request",
            "note failures are logged only with ERROR_LOG_ENABLED=true",
            "note provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
            "note refunds are left out",
            f"Attached. To close what there is: tallybook backfill {ago(3)} {ago(1)} --source gw",
        ]

    def test_the_missing_index_is_named_with_the_statement_that_makes_it(self, home: Home, tmp_path: Path) -> None:
        foreign = on_sqlite(tmp_path / "gateway.db")
        printed = home.do("attach", "gw", foreign.url)
        assert f"  {NO_INDEX}\n  it would help:  {foreign.create_index};\n" in printed

    def test_sources_lists_each_with_how_far_it_is_closed(self, home: Home, tmp_path: Path) -> None:
        assert home.do("sources") == "No source is attached. Attach one: `tallybook attach NAME URL --preset P`.\n"
        home.do("attach", "gw", new_api(tmp_path / "one-api.db").url, "--preset", "new-api")
        home.do("attach", "more", on_sqlite(tmp_path / "more.db").url)
        home.do("backfill", ago(3), ago(1), "--source", "gw")
        lines = [line.split() for line in home.do("sources").splitlines()]
        assert lines[2:] == [
            ["gw", "new-api", ago(3), ago(1), f"sqlite:///{tmp_path}/one-api.db"],
            ["more", "log_records", ago(3), "nothing", "yet", f"sqlite:///{tmp_path}/more.db"],
        ]

    def test_in_a_narrow_terminal_a_name_is_still_whole(self, home: Home, tmp_path: Path) -> None:
        home.do("attach", "the-gateway", new_api(tmp_path / "one-api.db").url, "--preset", "new-api")
        assert "the-gateway new-api" in home.run("sources", env={"COLUMNS": "60"}).out

    def test_a_table_without_records_counts_from_its_first_record_on(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=())
        found = home.ask("attach", "gw", gateway.url, "--preset", "new-api")
        assert (found["first_record"], found["last_record"], found["yesterday"]["requests"]) == (None, None, 0)
        assert found["warnings"] == ["there is no record yet; it counts as a source from its first record on"]
        assert outcomes(home.ask("close")) == [(ago(1), "skipped", None)]
        gateway.serve(1)
        assert outcomes(home.ask("close")) == [(ago(1), "closed", 1)]


COMPARED = {"compared_at", "drift", "source_gone"}
"""What is known only once a server has compared, which it does in its own time."""


def answered(home: Home) -> list[Any]:
    """What the book says, without what is never twice the same."""
    status = home.ask("status")
    sources = [{name: told for name, told in source.items() if name not in COMPARED} for source in status["sources"]]
    return [home.ask("stats", "last7d", "--by", "model"), status["closings"], sources, home.ask("sources")]


class TestWithAServer:
    def test_a_server_on_the_home_makes_no_difference(self, new_home: Callable[[], Home], tmp_path: Path) -> None:
        gateway, lake = new_api(tmp_path / "one-api.db"), on_files(tmp_path / "logs", "csv")
        attaching = (["attach", "gw", gateway.url, "--preset", "new-api"], ["attach", "lake", lake.url])
        without, held = new_home(), new_home()
        found = [without.ask(*words) for words in attaching]
        without.do("backfill", ago(3), ago(1))
        with serving(held):
            assert [held.ask(*words) for words in attaching] == found
            held.do("backfill", ago(3), ago(1))
            assert answered(held) == answered(without)
        assert answered(held) == answered(without)

    def test_a_source_that_was_attached_through_it_is_closed_by_it(self, home: Home, tmp_path: Path) -> None:
        with serving(home) as server:
            home.do("attach", "gw", new_api(tmp_path / "one-api.db", days=(1,)).url, "--preset", "new-api")
            (result,) = server.post("/v1/close", {})["results"]
            assert (result["source"], result["day"], result["requests"]) == ("gw", ago(1), 1)
            assert result["outcome"] in ("closed", "exists")
            assert server.get("/v1/status")["sources"][0]["closed_through"] == ago(1)

    def test_a_server_that_starts_later_closes_it_at_once(self, home: Home, tmp_path: Path) -> None:
        home.do("attach", "gw", new_api(tmp_path / "one-api.db").url, "--preset", "new-api")
        with serving(home) as server:
            while server.get("/v1/status")["sources"][0]["missing"]:
                pass
        assert home.is_intact(3)

    def test_refusals_are_the_same_through_a_server(self, home: Home, tmp_path: Path) -> None:
        words = ["attach", "gw", new_api(tmp_path / "one-api.db").url]
        wrong = [[*words, "--preset", "nope"], [*words, "--map", "colour=x"], ["detach", "nobody"], words]
        alone = [home.run(*each) for each in wrong]
        with serving(home):
            assert [home.run(*each) for each in wrong] == alone


def query(home: Home, *lines: str) -> str:
    """A file with the query."""
    return home.file("query.sql", *lines)


class TestByQuery:
    def test_a_select_with_joins_and_other_names_is_a_source(self, home: Home, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "own.db")
        connection.execute("CREATE TABLE calls (at INTEGER, model INTEGER, ok INTEGER, used INTEGER)")
        connection.execute("CREATE TABLE models (id INTEGER, name TEXT)")
        connection.execute("INSERT INTO models VALUES (1, 'gpt-5'), (2, 'claude')")
        connection.executemany(
            f"INSERT INTO calls VALUES (strftime('%s', '{ago(1)} 10:00:00'), ?, ?, ?)",
            [(1, 1, 5), (2, 0, 7), (1, 1, 9)],
        )
        connection.commit()
        connection.close()
        file = query(
            home,
            "SELECT calls.at * 1000 AS created_at, models.name AS model_name, calls.used AS tokens_in,",
            "  CASE ok WHEN 1 THEN 200 ELSE 500 END AS status_code -- what went wrong is not logged",
            "FROM calls JOIN models ON models.id = calls.model;",
        )
        found = home.ask("attach", "own", f"sqlite:///{tmp_path}/own.db", "--query", file)
        assert (found["preset"], found["table"]) == ("query", "a query")
        assert found["time"] == {"column": "created_at", "unit": "epoch_ms"}
        assert found["fills"] == ["model_name", "status_code", "tokens_in"]
        assert (found["warnings"], found["create_index"]) == ([], None)
        assert outcomes(home.ask("close")) == [(ago(1), "closed", 3)]
        rows = home.ask("stats", "yesterday", "--by", "model")["by"]["rows"]
        assert [(row["value"], row["requests"], row["failed"], row["tokens_in"]) for row in rows] == [
            ("gpt-5", 2, 0, 14),
            ("claude", 1, 1, 7),
        ]

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            (
                ["SELECT created_at, model_name AS model FROM log_records"],
                "There is no column for model_name among created_at, model. Name one with --map model_name=COLUMN.",
            ),
            (
                ["SELECT model_name FROM log_records"],
                "There is no column created_at among model_name. "
                "Name the column of the time with --map created_at=COLUMN.",
            ),
            (
                ["SELECT created_at, model_name FROM elsewhere"],
                "SQLite could not read the logs: no such table: elsewhere. "
                "Mend the query: a single SELECT, as the database itself takes it.",
            ),
            (
                ["SELEC created_at FROM log_records"],
                'SQLite could not read the logs: near "FROM": syntax error. '
                "Mend the query: a single SELECT, as the database itself takes it.",
            ),
            (
                ["DELETE FROM log_records"],
                'SQLite could not read the logs: near "DELETE": syntax error. '
                "Mend the query: a single SELECT, as the database itself takes it.",
            ),
            (
                ["SELECT created_at, model_name FROM log_records; DELETE FROM log_records"],
                'SQLite could not read the logs: near ";": syntax error. '
                "Mend the query: a single SELECT, as the database itself takes it.",
            ),
        ],
    )
    def test_a_query_that_cannot_be_is_told_and_nothing_is_attached(
        self, home: Home, tmp_path: Path, lines: list[str], sentence: str
    ) -> None:
        refused = home.run("attach", "gw", on_sqlite(tmp_path / "gateway.db").url, "--query", query(home, *lines))
        assert refused.failed_plainly(1) == sentence
        assert home.ask("sources") == {"sources": []}

    def test_a_query_and_a_preset_are_one_too_many(self, home: Home, tmp_path: Path) -> None:
        words = ["attach", "gw", on_sqlite(tmp_path / "gateway.db").url, "--preset", "new-api"]
        refused = home.run(*words, "--query", query(home, "SELECT 1")).failed_plainly(2)
        assert refused == "Both --preset and --query are given. Give one of them."

    def test_a_query_that_is_not_there_or_empty_is_named(self, home: Home, tmp_path: Path) -> None:
        words = ["attach", "gw", on_sqlite(tmp_path / "gateway.db").url, "--query"]
        assert home.run(*words, f"{tmp_path}/gone.sql").failed_plainly(2) == (
            f"The query in {tmp_path}/gone.sql cannot be read: No such file or directory. Name a file with a SELECT."
        )
        file = query(home, "  ;  ")
        assert home.run(*words, file).failed_plainly(2) == (
            f"The query in {file} is empty. Write a SELECT that yields the record's columns."
        )


class TestMappedAndSet:
    def test_columns_of_other_names_and_values_for_all_records(self, home: Home) -> None:
        file = home.file(
            "trace.csv",
            "TIMESTAMP,ContextTokens,group,order",
            f"{ago(1)} 10:00:00,100,search,7",
            f"{ago(1)} 10:30:00,50,ads,8",
        )
        mapped = ["--map", "created_at=TIMESTAMP", "--map", "tokens_in=ContextTokens"]
        mapped += ["--map", "team=group", "--map", "user=order"]
        values = ["--set", "model_name=code", "--set", "status_code=200", "--set", "cost_usd=0.001"]
        found = home.ask("attach", "trace", file, *mapped, *values)
        assert found["time"]["column"] == "TIMESTAMP"
        assert found["fills"] == ["model_name", "team", "user", "status_code", "tokens_in", "cost_usd"]
        home.do("close")
        stats = home.ask("stats", "yesterday", "--by", "team")
        assert [(row["value"], row["tokens_in"], row["cost_usd"]) for row in stats["by"]["rows"]] == [
            ("ads", 50, "0.001"),
            ("search", 100, "0.001"),
        ]
        assert [model["model"] for model in stats["top_models"]] == ["code"]

    @pytest.mark.parametrize(
        ("words", "code", "sentence"),
        [
            (["--preset", "nope"], 2, "There is no preset 'nope'."),
            (["--preset", "litellm"], 2, "The preset litellm reads postgresql, not sqlite."),
            (["--preset", "new-api"], 1, "SQLite could not read the logs: no such table: logs."),
            (["--set", "table=nope"], 1, "SQLite could not read the logs: no such table: nope."),
            (["--map", "colour=x"], 2, "There is no field 'colour'."),
            (["--set", "colour=x"], 2, "There is no setting 'colour'."),
            (["--map", "team=nope"], 1, "There is no column nope for team among created_at, model_name,"),
            (["--map", "team=DELETE FROM log_records"], 2, "'DELETE FROM log_records' is a statement."),
            (["--map", "created_at=model_name"], 1, "The column model_name holds 'claude' where an instant belongs."),
            (["--set", "timeout_s=0"], 2, "--set timeout_s=0 is not from 1 to 86400."),
            (["--map", "team"], 2, "--map 'team' is not NAME=VALUE."),
        ],
    )
    def test_what_cannot_be_is_named_and_nothing_is_attached(
        self, home: Home, tmp_path: Path, words: list[str], code: int, sentence: str
    ) -> None:
        refused = home.run("attach", "gw", on_sqlite(tmp_path / "gateway.db").url, *words)
        assert refused.failed_plainly(code).startswith(sentence)
        assert home.ask("sources") == {"sources": []}

    @pytest.mark.parametrize("name", ["Big", "a b", "local", "-x", "", "ä", "x" * 64])
    def test_a_name_that_a_source_cannot_have_is_refused(self, home: Home, tmp_path: Path, name: str) -> None:
        refused = home.run("attach", "--", name, on_sqlite(tmp_path / "gateway.db").url)
        assert refused.failed_plainly(2).startswith(f"A source cannot be named {name!r}. ")

    @pytest.mark.parametrize(
        ("url", "code", "sentence"),
        [
            ("", 2, "'' names no engine that we read."),
            ("logs.txt", 2, "'logs.txt' names no engine that we read."),
            ("nonsense://db/x", 2, "'nonsense://db/x' names no engine that we read."),
            ("sqlite:////nowhere/gone.db", 1, "There is no file /nowhere/gone.db."),
            ("duckdb:////nowhere/gone.duckdb", 1, "There is no file /nowhere/gone.duckdb."),
            (
                "parquet:////nowhere/*.parquet",
                1,
                'DuckDB could not read the logs: No files found that match the pattern "/nowhere/*.parquet".',
            ),
        ],
    )
    def test_a_url_of_nothing_is_told(self, home: Home, url: str, code: int, sentence: str) -> None:
        assert home.run("attach", "gw", url).failed_plainly(code).startswith(sentence)

    def test_what_is_no_database_is_told(self, home: Home, tmp_path: Path) -> None:
        for suffix in ("db", "duckdb"):
            (tmp_path / f"letter.{suffix}").write_text("Dear gateway, " * 1000)
        assert (
            home.run("attach", "gw", f"sqlite:///{tmp_path}/letter.db")
            .failed_plainly(1)
            .startswith("SQLite could not read the logs: file is not a database.")
        )
        assert (
            home.run("attach", "gw", f"duckdb:///{tmp_path}/letter.duckdb")
            .failed_plainly(1)
            .startswith("DuckDB cannot be reached: ")
        )


class TestDetaching:
    def test_closed_days_stay_and_attaching_again_goes_on_where_it_was(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        home.do("backfill", ago(3), ago(2))
        assert home.do("detach", "gw") == "gw is detached; 2 closed days kept in the book.\n"
        assert home.ask("sources") == {"sources": []}
        assert home.ask("stats", "last7d")["totals"]["requests"] == 2
        assert home.run("close", "--source", "gw").failed_plainly(2).startswith("There is no source 'gw'.")
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        assert outcomes(home.ask("backfill", ago(3), ago(1))) == [
            (ago(3), "exists", 1),
            (ago(2), "exists", 1),
            (ago(1), "closed", 1),
        ]
        assert home.is_intact(3)

    def test_a_name_is_taken_while_its_source_is_attached(self, home: Home, tmp_path: Path) -> None:
        words = ["attach", "gw", new_api(tmp_path / "one-api.db").url, "--preset", "new-api"]
        home.do(*words)
        assert home.run(*words).failed_plainly(2) == (
            "The source 'gw' is attached already. "
            "Choose another name, or run: tallybook detach gw. Its closed days stay."
        )

    def test_who_attaches_the_same_records_twice_is_told(self, home: Home, tmp_path: Path) -> None:
        words = [new_api(tmp_path / "one-api.db").url, "--preset", "new-api"]
        told = "the same records are attached as gw already: each will count twice"
        assert told not in " ".join(home.do("attach", "gw", *words).split())
        assert told in " ".join(home.do("attach", "again", *words).split())
        assert home.ask("attach", "third", *words)["same_as"] == "again"
        assert "same_as" not in home.ask("attach", "other", *words, "--set", "quota_per_usd=1000")

    def test_who_is_not_attached_cannot_be_detached(self, home: Home, tmp_path: Path) -> None:
        assert home.run("detach", "gw").failed_plainly(2) == "There is no attached source 'gw'. Use one of: (none)."
        home.do("attach", "more", new_api(tmp_path / "one-api.db").url, "--preset", "new-api")
        assert home.run("detach", "gw").failed_plainly(2) == "There is no attached source 'gw'. Use one of: more."


def configure(home: Home, *lines: str) -> None:
    """Writes the home's `tallybook.toml`."""
    home.path.mkdir(exist_ok=True)
    (home.path / "tallybook.toml").write_text("".join(f"{line}\n" for line in lines))


class TestInTheFile:
    def test_a_source_in_the_file_is_as_if_it_were_attached(self, new_home: Callable[[], Home], tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        attached, configured = new_home(), new_home()
        options = ["--set", "quota_per_usd=1000", "--map", "operation=token_name"]
        attached.do("attach", "gw", gateway.url, "--preset", "new-api", *options)
        configure(
            configured,
            "[sources.gw]",
            f'url = "{gateway.url}"',
            'preset = "new-api"',
            'map = {operation = "token_name"}',
            "set = {quota_per_usd = 1000}",
        )
        figures = []
        for home in (attached, configured):
            assert outcomes(home.ask("backfill", ago(3), ago(1))) == [(ago(days), "closed", 1) for days in (3, 2, 1)]
            figures.append([home.ask("stats", "last7d", "--by", "team"), home.ask("status")["sources"]])
        assert figures[0] == figures[1]
        assert figures[0][0]["totals"]["cost_usd"] == "1.5"
        assert configured.ask("sources")["sources"][0]["declared_in"] == "tallybook.toml"
        assert attached.ask("sources")["sources"][0]["declared_in"] == "attached"

    def test_a_query_is_a_file_of_the_home(self, home: Home, tmp_path: Path) -> None:
        foreign = on_sqlite(tmp_path / "gateway.db")
        configure(home, "[sources.gw]", f'url = "{foreign.url}"', 'query = "queries/gw.sql"')
        (home.path / "queries").mkdir()
        (home.path / "queries" / "gw.sql").write_text(
            "SELECT created_at, model_name, 200 AS status_code FROM log_records WHERE model_name = 'claude'"
        )
        assert outcomes(home.ask("close")) == [(ago(1), "closed", 1)]
        assert home.ask("stats", "yesterday")["totals"]["success"] == 1
        assert home.ask("sources")["sources"][0]["preset"] == "query"

    def test_it_cannot_be_attached_or_detached(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        configure(home, "[sources.gw]", f'url = "{gateway.url}"', 'preset = "new-api"')
        assert home.run("detach", "gw").failed_plainly(2) == (
            "The source 'gw' is in tallybook.toml. Take it out there, and restart the server."
        )
        assert home.run("attach", "gw", gateway.url).failed_plainly(2) == (
            "The source 'gw' is in tallybook.toml. Change it there, or choose another name."
        )

    def test_a_name_that_is_attached_as_well_is_refused(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db")
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        configure(home, "[sources.gw]", f'url = "{gateway.url}"', 'preset = "new-api"')
        assert home.run("status").failed_plainly(2) == (
            "The source 'gw' is in tallybook.toml and attached as well. "
            "Take it out of the file, or run: tallybook detach gw, without it there."
        )

    @pytest.mark.parametrize(
        ("lines", "sentence"),
        [
            (
                ["[sources.gw]", 'url = "x.csv"', 'presets = "new-api"'],
                "There is no setting 'presets' in [sources.gw] of tallybook.toml. "
                "Use one of: url, preset, query, map, set.",
            ),
            (
                ["[sources.gw]", 'url = "x.csv"', "columns = {}"],
                "There is no setting 'columns' in [sources.gw] of tallybook.toml. "
                "Use one of: url, preset, query, map, set.",
            ),
            (
                ["[sources.gw]", 'preset = "new-api"'],
                "There is no url in [sources.gw] of tallybook.toml. Name the database or the files there.",
            ),
            (
                ["[sources.gw]", 'url = ["postgresql://ann:secret@db/x"]'],
                "url in [sources.gw] of tallybook.toml must be a text. Mend it and try again.",
            ),
            (
                ["[sources.gw]", 'url = "x.csv"', 'map = "team"'],
                'map in [sources.gw] of tallybook.toml must be a table, as in map = {team = "group"}. '
                "Mend it and try again.",
            ),
            (
                ["[sources.gw]", 'url = "x.csv"', 'preset = "new-api"', 'query = "gw.sql"'],
                "Both preset and query are given in [sources.gw] of tallybook.toml. Give one of them.",
            ),
            (
                ["[sources.gw]", 'url = "x.csv"', "set = {timeout_s = 0}"],
                "--set timeout_s=0 is not from 1 to 86400. Mend it and try again.",
            ),
            (
                ['[sources."Big Gateway"]', 'url = "x.csv"'],
                "A source cannot be named 'Big Gateway'. Use small letters, digits, '.', '-' and '_', beginning with a "
                "letter or digit; 'local' is our own logs.",
            ),
            (
                ["[sources.gw]", 'url = "x.csv"', 'preset = "nope"'],
                "There is no preset 'nope'. Use one of: log_records, litellm, new-api, one-api, one-hub, aiproxy, "
                "bifrost, tensorzero, helicone, langfuse.",
            ),
            (
                ["[sources]", 'gw = "x.csv"'],
                "sources in tallybook.toml is no table. Write [sources.NAME] with url and preset.",
            ),
        ],
    )
    def test_a_fault_in_it_is_named(self, home: Home, lines: list[str], sentence: str) -> None:
        configure(home, *lines)
        (home.path / "gw.sql").write_text("SELECT 1")
        assert home.run("status").failed_plainly(2) == sentence


class TestStrangeRecords:
    def test_records_without_a_clock_make_no_thousands_of_missing_days(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(2, 1))
        gateway.run("INSERT INTO logs (created_at, type, model_name) VALUES (?, 2, 'gpt-5')", (0,), (1,), (946684799,))
        found = home.ask("attach", "gw", gateway.url, "--preset", "new-api")
        assert found["first_record"] == f"{ago(2)}T10:00:00Z"
        assert home.ask("status")["sources"][0]["missing"] == [ago(2), ago(1)]
        assert outcomes(home.ask("backfill", ago(2), ago(1))) == [(ago(2), "closed", 1), (ago(1), "closed", 1)]

    def test_names_that_break_a_terminal_come_out_clean(self, home: Home, tmp_path: Path) -> None:
        name = "\x1b[31mred\x07[bold]"
        on = on_sqlite(tmp_path / "gateway.db", [(f"{ago(1)} 10:00:00", name, 200, 1, 1, None, "ann")])
        home.do("attach", "gw", on.url)
        home.do("close")
        assert "\x1b" not in home.do("stats", "yesterday", "--by", "model")


class TestOurOwnHome:
    def test_our_own_logs_are_no_source_to_attach(self, home: Home) -> None:
        home.do("status")
        refused = home.run("attach", "gw", f"duckdb:///{home.path}/logs.duckdb").failed_plainly(1)
        assert refused == f"{home.path}/logs.duckdb holds our own logs. They are the source 'local' already."

    def test_a_list_of_sources_that_is_broken_is_told(self, home: Home) -> None:
        home.do("status")
        (home.path / "sources.json").write_text("[{")
        refused = home.run("status").failed_plainly(2)
        assert refused.startswith(f"{home.path}/sources.json cannot be read: ")
        assert refused.endswith("Move it away, and attach the sources anew.")


class TestASourceOfNoRecordOfOurs:
    def test_a_gateway_s_own_file_beside_other_tables(self, home: Home, tmp_path: Path) -> None:
        with duckdb.connect(tmp_path / "gateway.duckdb") as connection:
            connection.execute("CREATE TABLE tokens (id INTEGER)")
            connection.execute(
                f"CREATE TABLE calls AS SELECT TIMESTAMP '{ago(1)} 10:00:00' AS created_at, 'm' AS model_name"
            )
        words = ["attach", "gw", f"duckdb:///{tmp_path}/gateway.duckdb"]
        assert (
            home.run(*words)
            .failed_plainly(1)
            .endswith("Name the gateway with --preset, or a table with --set table=NAME.")
        )
        found = home.ask(*words, "--set", "table=calls")
        assert (found["table"], found["limits"]["failures"]) == ("calls", "none")
        assert json.loads((home.path / "sources.json").read_text())[0]["settings"] == {"table": "calls"}


def test_a_command_that_is_not_understood_says_how_it_is_written(home: Home) -> None:
    ran: Ran = home.run("attach", "gw")
    assert ran.failed_plainly(2) == "Missing argument 'URL'. See `tallybook --help`."
