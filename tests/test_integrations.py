"""What docs/sql.md, the Grafana dashboard and the Prometheus alerts say of a book is what tallybook says of it."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from acceptance.running import Home, serving
from stories import NOW, YESTERDAY, put, record, totals
from tallybook.adjusting import adjust_day
from tallybook.book.ledger import Book
from tallybook.content import empty_content
from tallybook.job import DailyStatsJob
from tallybook.logs.store import LogStore
from tallybook.page.calendar import calendar
from tallybook.periods import parse_period
from tallybook.reconcile import DRIFT, SOURCE_GONE
from tallybook.source import DEFAULT_SLICING
from tallybook.standing import gone_days
from tallybook.stats import Sources, StatsQuery, StatsReader

ROOT = Path(__file__).parents[1]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "integrations" / "grafana" / "tallybook.json").read_text())
ALERTS = ROOT / "integrations" / "prometheus" / "tallybook-alerts.yml"
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("sql", "grafana", "prometheus")}

LATER = NOW + timedelta(hours=5)
FIRST_DAY = date(2026, 11, 18)

Row = tuple[Any, ...]


@pytest.fixture
def filled(book: Book, logs: LogStore) -> Book:
    """`local` with a day of two requests, one of none, one that is missing, one of twenty and one of one, and late records
    for the second and the last; and `gw`, which logs no failures, with a day of none and one of two requests.

    `local` has lost records of its first day, and we have pruned that of twenty; the last of `gw` has drifted.
    """
    put(
        logs,
        record(
            "11-18 10:00",
            "a",
            provider="openai",
            team="search",
            api_key="k1",
            tokens_in=10,
            tokens_out=2,
            latency_ms=100,
            cost_nanousd=10**6,
        ),
        record("11-18 11:00", "b", 500, provider="anthropic", team="ads", api_key="k2", latency_ms=900),
        *(
            record(
                "11-21 10:00",
                "a",
                provider="openai",
                team="search",
                tokens_in=5,
                tokens_out=1,
                latency_ms=100 * step,
                cost_nanousd=500_000,
            )
            for step in range(1, 21)
        ),
        record("11-22 10:00", "a", team="search", tokens_in=7, latency_ms=200),
    )
    job = DailyStatsJob(book, [logs])
    list(job.backfill_range(FIRST_DAY, date(2026, 11, 19), NOW))
    list(job.backfill_range(date(2026, 11, 21), YESTERDAY, NOW))
    content = next(logs.contents([FIRST_DAY], DEFAULT_SLICING))
    book.append("gw", empty_content(date(2026, 11, 21)), NOW)
    book.append("gw", replace(content, day=YESTERDAY, unknown=("failed",)), NOW)
    put(
        logs,
        record("11-19 10:00", "c", provider="anthropic", team="ads", latency_ms=50),
        record("11-22 23:59", "c", 500, tokens_in=3, tokens_out=4, latency_ms=5000, cost_nanousd=25 * 10**7),
        now=LATER,
    )
    for day in (date(2026, 11, 19), YESTERDAY):
        assert adjust_day(book, logs, day, LATER, DEFAULT_SLICING)
    note_what_differs(book)
    return book


def note_what_differs(book: Book) -> None:
    lost = (SOURCE_GONE, totals(requests=-1))
    found = {FIRST_DAY: lost, date(2026, 11, 21): lost}
    book.reconciliations.note("local", found, found, LATER)
    book.prunings.note("local", date(2026, 11, 21), 20, LATER, None)
    book.reconciliations.note("gw", [YESTERDAY], {YESTERDAY: (DRIFT, totals(requests=1))}, LATER)


def answer(book: Book, by: str | None = None, source: str | None = None) -> dict[str, Any]:
    """What `GET /v1/stats` says of the five days."""
    query = StatsQuery(parse_period("2026-11-18..2026-11-22", YESTERDAY, None), by, source)
    sources = Sources({"local": FIRST_DAY, "gw": date(2026, 11, 21)}, {}, gone_days(book))
    return StatsReader(book).answer(query, sources, YESTERDAY)


def ask(book_url: str, sql: str) -> list[Row]:
    """The rows of a query as a reader that may not write has them; numbers with a fraction as floats."""
    if book_url.startswith("sqlite"):
        path = book_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute(sql).fetchall()
    else:
        with psycopg.connect(book_url, options="-c default_transaction_read_only=on -c timezone=Asia/Tokyo") as server:
            rows = server.execute(sql.encode()).fetchall()
    return [tuple(_plain(value) for value in row) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


@dataclass(frozen=True)
class Written:
    """A query of docs/sql.md: the heading above it, and the database it is for, if not for both."""

    heading: str
    dialect: str | None
    sql: str


def queries() -> list[Written]:
    sections = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGES["sql"], re.DOTALL | re.MULTILINE)
    return [
        Written(heading, dialect.lower() or None, sql)
        for heading, section in sections
        for dialect, sql in re.findall(r"```sql\n(?:-- (\w+)\n)?(.*?)```", section, re.DOTALL)
    ]


def query(heading: str, book_url: str) -> str:
    """The query under the heading for this database, as asked on the day of `NOW`."""
    dialect = book_url.partition(":")[0]
    (found,) = [each.sql for each in queries() if each.heading == heading and each.dialect in (None, dialect)]
    return found.replace("now()", "timestamptz '2026-11-23T01:00:00Z'").replace("'now'", "'2026-11-23T01:00:00'")


EXPECTED: dict[str, list[Row]] = {
    "Days": [
        ("2026-11-18", 2, 50, 10, 2, 0.001),
        ("2026-11-19", 1, 100, None, None, None),
        ("2026-11-21", 20, 100, 100, 20, 0.01),
        ("2026-11-22", 4, None, 20, 6, 0.251),
    ],
    "As closed, and as adjusted": [
        ("local", "2026-11-18", 2, None, 2, 1_000_000),
        ("local", "2026-11-19", 0, 1, 1, 0),
        ("gw", "2026-11-21", 0, None, 0, 0),
        ("local", "2026-11-21", 20, None, 20, 10_000_000),
        ("gw", "2026-11-22", 2, None, 2, 1_000_000),
        ("local", "2026-11-22", 1, 1, 2, 250_000_000),
    ],
    "By model, team or key": [
        ("a", 23, 23, 0, 127, 24, 0.012),
        ("b", 2, 0, 2, 0, 0, None),
        ("c", 2, 1, 1, 3, 4, 0.25),
    ],
    "Missing days": [("local", "2026-11-20")],
    "What was unknown": [
        ("local", "2026-11-18", "[]", 2, 2, 1, 1, 2, 1),
        ("gw", "2026-11-22", '["failed"]', 2, 2, 1, 1, 2, 1),
        ("local", "2026-11-22", "[]", 1, 1, 1, 0, 1, 0),
    ],
    "Percentiles": [("2026-11-18", 899), ("2026-11-19", 50), ("2026-11-21", 1895), ("2026-11-22", 5023)],
}


class TestSql:
    def test_every_query_of_the_page_is_for_both_databases_and_expected_here(self) -> None:
        found: dict[str, set[str | None]] = {}
        for each in queries():
            found.setdefault(each.heading, set()).add(each.dialect)
        assert list(found) == list(EXPECTED)
        assert [dialects for dialects in found.values() if dialects not in ({None}, {"sqlite", "postgresql"})] == []

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("heading", EXPECTED)
    def test_it_answers_what_was_logged(self, book_url: str, heading: str) -> None:
        assert ask(book_url, query(heading, book_url)) == EXPECTED[heading]

    def test_days_are_those_of_the_stats(self, filled: Book, book_url: str) -> None:
        told = [row for row in answer(filled)["series"] if row["state"] != "missing"]
        assert [
            (day, requests, tokens_in or 0, tokens_out or 0, cost)
            for day, requests, _, tokens_in, tokens_out, cost in ask(book_url, query("Days", book_url))
        ] == [
            (
                row["date"],
                row["requests"],
                row["tokens_in"],
                row["tokens_out"],
                row["cost_usd"] and float(row["cost_usd"]),
            )
            for row in told
        ]

    def test_percentiles_are_those_of_the_stats(self, filled: Book, book_url: str) -> None:
        for percent in (50, 95, 99):
            sql = query("Percentiles", book_url).replace("total * 95", f"total * {percent}")
            assert ask(book_url, sql) == [
                (row["date"], row[f"latency_p{percent}_ms"])
                for row in answer(filled)["series"]
                if row["state"] != "missing"
            ]

    @pytest.mark.parametrize("dimension", ["model", "team", "api_key"])
    def test_parts_are_those_of_the_stats(self, filled: Book, book_url: str, dimension: str) -> None:
        sql = re.sub(r"\bmodel\b", dimension, query("By model, team or key", book_url))
        assert {value: (requests, *tokens) for value, requests, _, _, *tokens, _ in ask(book_url, sql)} == {
            row["value"]: (row["requests"], row["tokens_in"], row["tokens_out"])
            for row in answer(filled, dimension)["by"]["rows"]
        }


on_postgresql = pytest.mark.parametrize("book_url", ["postgresql"], indirect=True)

MACROS = {
    "timeFilter": "{} BETWEEN '2026-11-18T00:00:00Z' AND '2026-11-23T23:59:59.999Z'",
    "timeFrom": "'2026-11-18T00:00:00Z'",
    "timeTo": "'2026-11-23T23:59:59.999Z'",
}
"""What Grafana's PostgreSQL data source makes of its macros; an argument ends at the first closing parenthesis."""

CHOOSERS = {entry["name"]: entry["query"] for entry in DASHBOARD["templating"]["list"] if entry["type"] == "query"}
(STATES,) = re.findall(r"```sql\n(.*?)```", PAGES["grafana"], re.DOTALL)
PANELS = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"] if "targets" in panel}


def expanded(sql: str, chosen: Mapping[str, Iterable[str]]) -> str:
    """The query as Grafana sends it, on the day of `NOW`, with these values chosen in the variables."""
    for name, values in chosen.items():
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in values)
        sql = sql.replace(f"${{{name}:sqlstring}}", quoted)
    sql = sql.replace("now()", "timestamptz '2026-11-23T01:00:00Z'")
    sql = re.sub(r"\$__(\w+)\(([^)]*)\)", lambda call: MACROS[call[1]].format(call[2]), sql)
    assert "$" not in sql, sql
    return sql


def offered(url: str) -> dict[str, list[str]]:
    """What the dashboard's variables offer, all of it chosen."""
    chosen: dict[str, list[str]] = {}
    for name, sql in CHOOSERS.items():
        chosen[name] = [value for (value,) in ask(url, expanded(sql, chosen))]
    return chosen


def shown(url: str, title: str, **chosen: Sequence[str]) -> list[Row]:
    """The rows of a panel, its times as texts in UTC."""
    return [
        tuple(f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value for value in row)
        for row in ask(url, expanded(PANELS[title], {**offered(url), **chosen}))
    ]


def overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


THE_18TH, THE_19TH, THE_20TH, THE_21ST, THE_22ND, THE_23RD = (f"2026-11-{day}T00:00:00Z" for day in range(18, 24))
LATE = "1 record came after the day was closed"
SHOWN: dict[str, list[Row]] = {
    "Requests": [(27,)],
    "Success rate": [(None,)],
    "Tokens": [(130, 28)],
    "Cost": [(0.262,)],
    "p95 latency": [(2007,)],
    "Requests by day": [(THE_18TH, 1, 1, 0), (THE_19TH, 1, 0, 0), (THE_21ST, 20, 0, 0), (THE_22ND, None, None, 4)],
    "Tokens by day": [(THE_18TH, 10, 2), (THE_19TH, 0, 0), (THE_21ST, 100, 20), (THE_22ND, 20, 6)],
    "Cost by day": [(THE_18TH, 0.001), (THE_19TH, None), (THE_21ST, 0.01), (THE_22ND, 0.251)],
    "Latency by day": [
        (THE_18TH, 100, 899, 899),
        (THE_19TH, 50, 50, 50),
        (THE_21ST, 1003, 1895, 2007),
        (THE_22ND, 200, 5023, 5023),
    ],
    "Top models": [("a", 23, None, 151, 0.012), ("b", 2, None, 0, None), ("c", 2, 0.5, 7, 0.25)],
    "Top providers": [
        ("openai", 22, None, 144, 0.012),
        ("anthropic", 3, None, 0, None),
        ("(unknown)", 2, 0.5, 14, 0.25),
    ],
    "Top teams": [("search", 23, None, 151, 0.012), ("ads", 3, None, 0, None), ("(unknown)", 1, 0, 7, 0.25)],
    "Top keys": [("(unknown)", 23, 22 / 23, 134, 0.26), ("k1", 2, None, 24, 0.002), ("k2", 2, None, 0, None)],
    "State of days": [
        (THE_18TH, "local", 5),
        (THE_19TH, "local", 4),
        (THE_20TH, "local", 1),
        (THE_21ST, "gw", 2),
        (THE_21ST, "local", 3),
        (THE_22ND, "gw", 3),
        (THE_22ND, "local", 4),
        (THE_23RD, "gw", 0),
        (THE_23RD, "local", 0),
    ],
    "Adjustments": [
        ("2026-11-23T06:00:00Z", "local", "2026-11-22", LATE, 1, 1, 3, 4, 0.25),
        ("2026-11-23T06:00:00Z", "local", "2026-11-19", LATE, 1, 0, 0, 0, 0),
    ],
}


class TestGrafana:
    def test_panels_have_ids_of_their_own_and_places_on_the_grid(self) -> None:
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
        assert sorted(set(ids)) == sorted(ids)
        assert [place for place in places if place["x"] + place["w"] > 24] == []
        assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []

    def test_it_reads_the_data_source_that_is_chosen(self) -> None:
        chosen = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
        asking = [*(panel for panel in DASHBOARD["panels"] if "targets" in panel), *DASHBOARD["templating"]["list"][1:]]
        asking += [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
        assert [each for each in asking if each["datasource"] != chosen] == []
        assert DASHBOARD["templating"]["list"][0]["query"] == chosen["type"]

    def test_every_panel_is_expected_here(self) -> None:
        assert list(PANELS) == list(SHOWN)

    @on_postgresql
    @pytest.mark.usefixtures("filled")
    def test_variables_offer_every_source_and_model(self, book_url: str) -> None:
        assert offered(book_url) == {"source": ["gw", "local"], "model": ["a", "b", "c"]}

    @on_postgresql
    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("title", PANELS)
    def test_a_panel_shows_what_was_logged(self, book_url: str, title: str) -> None:
        assert shown(book_url, title) == SHOWN[title]

    @on_postgresql
    @pytest.mark.usefixtures("filled")
    def test_of_one_source_the_success_rate_is_known(self, book_url: str) -> None:
        assert shown(book_url, "Requests", source=["local"]) == [(25,)]
        assert shown(book_url, "Success rate", source=["local"]) == [(0.92,)]

    @on_postgresql
    @pytest.mark.usefixtures("filled")
    def test_a_model_is_found_in_adjustments_too(self, book_url: str) -> None:
        assert shown(book_url, "Requests", model=["c"]) == [(2,)]
        assert shown(book_url, "p95 latency", model=["c"]) == [(5023,)]
        assert shown(book_url, "Top teams", model=["c"]) == [("(unknown)", 1, 0, 7, 0.25), ("ads", 1, 1, 0, None)]

    @on_postgresql
    @pytest.mark.usefixtures("book")
    def test_an_empty_book_has_nothing_to_show(self, book_url: str) -> None:
        assert offered(book_url) == {"source": [], "model": []}
        assert [row for title in PANELS for row in shown(book_url, title) if any(row)] == []

    def test_states_are_named_in_the_dashboard(self) -> None:
        (panel,) = [panel for panel in DASHBOARD["panels"] if panel["title"] == "State of days"]
        (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
        named = {int(state): shown_as["text"] for state, shown_as in mapping["options"].items()}
        assert named == {0: "open", 1: "missing", 2: "zero", 3: "closed", 4: "restated", 5: "source-gone"}

    @pytest.mark.usefixtures("filled")
    def test_the_page_tells_states_on_both_databases(self, book_url: str) -> None:
        assert ask(book_url, STATES) == [
            ("local", "2026-11-18", "source-gone"),
            ("local", "2026-11-19", "restated"),
            ("gw", "2026-11-21", "zero"),
            ("local", "2026-11-21", "closed"),
            ("gw", "2026-11-22", "closed"),
            ("local", "2026-11-22", "restated"),
        ]

    def test_states_are_those_of_the_calendar(self, filled: Book, book_url: str) -> None:
        told = {(source, day): state for source, day, state in ask(book_url, STATES)}
        assert told == {
            (source, str(cell.day)): cell.state
            for source in ("local", "gw")
            for cell in calendar(answer(filled, source=source)["series"], {}).cells
            if cell.state not in ("missing", "before")
        }

    def test_the_page_provisions_that_data_source(self) -> None:
        (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["grafana"], re.DOTALL)
        (source,) = yaml.safe_load(block)["datasources"]
        assert source["type"] == DASHBOARD["templating"]["list"][0]["query"]


RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]


class TestPrometheus:
    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_an_alert_waits_and_says_what_is_wrong_and_what_to_do(self, rule: dict[str, Any]) -> None:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")

    def test_the_page_lists_them_all(self) -> None:
        listed = re.findall(r"^\| `(Tallybook\w+)` \| (\w+) \|", PAGES["prometheus"], re.MULTILINE)
        assert sorted(listed) == sorted((rule["alert"], rule["labels"]["severity"]) for rule in RULES)

    def test_the_job_of_the_page_is_the_one_that_they_expect(self) -> None:
        (block,) = re.findall(r"```yaml\n(.*?)```", PAGES["prometheus"], re.DOTALL)
        settings = yaml.safe_load(block)
        assert settings["rule_files"] == [ALERTS.name]
        assert {job for rule in RULES for job in re.findall(r'job="(\w+)"', rule["expr"])} == {
            each["job_name"] for each in settings["scrape_configs"]
        }

    def test_every_metric_that_they_name_is_one_of_ours(self, tmp_path: Path) -> None:
        with serving(Home(tmp_path / "home")) as server:
            ours = set(re.findall(r"^# TYPE (\w+) ", server.http.get("/metrics").text, re.MULTILINE))
        named = {name for rule in RULES for name in re.findall(r"\btallybook_\w+", rule["expr"])}
        assert sorted(named - ours) == []
