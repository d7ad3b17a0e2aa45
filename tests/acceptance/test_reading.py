"""What commands show of the book: a terminal of any width, and a report to mail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acceptance.running import Home, run


@pytest.fixture
def one_day(home: Home) -> Home:
    """2026-03-02 with three requests: two of the team search, to gpt-5, and one of ads, to claude, that failed."""
    file = home.file(
        "day.csv",
        "created_at,model_name,status_code,team,tokens_in,tokens_out,latency_ms,cost_usd",
        "2026-03-02T10:00:00Z,gpt-5,200,search,1000,50,100,0.5",
        "2026-03-02T11:00:00Z,gpt-5,200,search,2000,60,200,0.25",
        "2026-03-02T12:00:00Z,claude,500,ads,,,300,",
    )
    home.do("import", file)
    home.do("close", "2026-03-02")
    return home


HEADLINES = {
    "80": [
        "requests   success   tokens in   tokens out   cost    p50     p95     p99",
        "3          66.67 %   3,000       110          $0.75   200ms   301ms   301ms",
    ],
    "60": [
        "requests   success   tokens in   tokens out",
        "3          66.67 %   3,000       110",
        "cost       p50       p95         p99",
        "$0.75      200ms     301ms       301ms",
    ],
    "30": [
        "requests    success",
        "3           66.67 %",
        "tokens in   tokens out",
        "3,000       110",
        "cost        p50",
        "$0.75       200ms",
        "p95         p99",
        "301ms       301ms",
    ],
    "12": [
        *("requests", "3", "success", "66.67 %", "tokens in", "3,000", "tokens out", "110"),
        *("cost", "$0.75", "p50", "200ms", "p95", "301ms", "p99", "301ms"),
    ],
}


@pytest.mark.parametrize("columns", HEADLINES)
def test_the_headline_is_whole_however_narrow_the_terminal(one_day: Home, columns: str) -> None:
    shown = run("--home", str(one_day.path), "stats", "2026-03-02", env={"COLUMNS": columns})
    headline = shown.out.split("\n\n")[1]
    assert [line.rstrip() for line in headline.splitlines()] == HEADLINES[columns]


def test_a_report_of_one_team_has_its_figures_alone(one_day: Home, tmp_path: Path) -> None:
    def report(*words: str) -> tuple[str, list[str]]:
        file = tmp_path / "report.html"
        one_day.do("report", "2026-03-02", "-o", str(file), *words)
        text = file.read_text()
        (requests,) = re.findall(r"<dt>Requests</dt><dd>(\d+)</dd>", text)
        return requests, [model for model in ("gpt-5", "claude") if model in text]

    assert report() == ("3", ["gpt-5", "claude"])
    assert report("--filter", "team=search") == ("2", ["gpt-5"])
    assert report("--filter", "team=search", "--filter", "model=claude")[0] == "0"


def test_a_report_by_a_dimension_that_is_none_is_refused(one_day: Home, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    ran = one_day.run("report", "2026-03-02", "-o", str(file), "--filter", "colour=red")
    assert ran.failed_plainly(2).startswith("There is no dimension 'colour'.")
    assert not file.exists()


def test_a_long_period_shows_what_there_is_and_not_the_days_before_it(home: Home) -> None:
    days = [f"2026-03-0{day}T10:00:00Z,gpt-5,200" for day in range(1, 5)]
    home.do("import", home.file("days.csv", "created_at,model_name,status_code", *days))
    home.do("backfill", "2026-03-01", "2026-03-04")
    shown = run("--home", str(home.path), "stats", "2026-01-01..2026-03-04", env={"COLUMNS": "80"}).out
    assert "requests  ████  1 to 1 a day" in shown
    assert "tokens  " not in shown, "nobody told them"
    assert [line.split()[:2] for line in shown.splitlines() if re.match("2026-03-0. ", line)] == [
        [f"2026-03-0{day}", "closed"] for day in range(1, 5)
    ]


def test_what_is_kept_by_no_team_and_what_was_restated_is_said(one_day: Home) -> None:
    late = one_day.file("late.csv", "created_at,model_name,status_code", "2026-03-02T13:00:00Z,gpt-5,200")
    one_day.do("import", late)
    one_day.do("reconcile", "--post")
    shown = one_day.do("stats", "2026-03-02", "--by", "team")
    assert "Latencies are kept by provider and model only." in shown
    assert "Restated: 1 adjustment, counted in here." in shown
    assert "Nothing is kept by user of 1 closed day of this period." in one_day.do(
        "stats", "2026-03-02", "--by", "user"
    )
