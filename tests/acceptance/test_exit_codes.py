"""0 done; 1 failed, or a fault was found; 2 wrong usage, or refused."""

from __future__ import annotations

import sqlite3
import subprocess

import pytest

from acceptance.running import COMMAND, Home, ago, environment, run

DONE = (
    ["close", "2026-03-02"],
    ["backfill", "2026-03-01", "2026-03-04"],
    ["stats", "2026-03-01..2026-03-04", "--by", "team"],
    ["status"],
    ["verify"],
    ["reconcile", "2026-03-01", "2026-03-04"],
    ["prune", "--before", "2026-03-01"],
    ["--version"],
    ["--help"],
    ["stats", "-h"],
)
WRONG = (
    ["frobnicate"],
    ["close", "2026-03-32"],
    ["close", "2026-3-2"],
    ["close", "2026-03-02", "2026-03-03"],
    ["close", "--source", "elsewhere"],
    ["backfill", "2026-03-02"],
    ["backfill", "2026-03-03", "2026-03-02"],
    ["stats"],
    ["stats", "fortnight"],
    ["stats", "2026-03-02..2026-03-01"],
    ["stats", "2026-03-02.."],
    ["stats", "1900-01-01..2026-03-01"],
    ["stats", "all", "--by", "colour"],
    ["stats", "all", "--basis", "guessed"],
    ["stats", "all", "--source", "elsewhere"],
    ["stats", "all", "--json", "--csv"],
    ["status", "--colour"],
    ["reconcile", "spring", "autumn"],
    ["reconcile", "2026-03-03", "2026-03-02"],
    ["adjustments", "2026-03-03", "2026-03-02"],
    ["prune"],
    ["prune", "--before", "spring"],
    ["import"],
    ["import", "{file}", "--map", "tokens_in"],
    ["import", "{file}", "--map", "colour=x"],
    ["import", "{file}", "--set", "=x"],
    ["import", "{file}", "--map", "team=x", "--set", "team=y"],
    ["import", "{file}", "--time-unit", "days"],
    ["demo", "--days", "0"],
    ["demo", "--days", "many"],
    ["serve", "--port", "65536"],
    ["serve", "--port", "http"],
)
FAILING = (
    ["import", "/nowhere/file.csv"],
    ["import", "{file}", "--map", "tokens_in=nowhere"],
    ["verify", "--anchor", "/nowhere/anchors.log"],
    ["status", "--book", "postgresql://127.0.0.1:1/none?connect_timeout=2"],
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One request on 2026-03-02."""
    made = Home(tmp_path_factory.mktemp("exit") / "home")
    file = made.file("records.csv", "created_at,model_name,status_code", "2026-03-02T10:00:00Z,gpt-5,200")
    made.do("import", file)
    made.do("close", "2026-03-02")
    return made


def test_what_is_done_exits_with_0(home: Home) -> None:
    for words in DONE:
        ran = home.run(*words)
        assert (ran.code, ran.err) == (0, ""), words


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_usage_exits_with_2_and_says_why_in_a_sentence(home: Home, words: list[str]) -> None:
    ran = home.run(*(word.format(file=home.path.parent / "records.csv") for word in words))
    assert ran.failed_plainly(2)
    assert ran.out == ""


@pytest.mark.parametrize("words", FAILING, ids=" ".join)
def test_what_fails_exits_with_1_and_says_why_in_a_sentence(home: Home, words: list[str]) -> None:
    ran = home.run(*(word.format(file=home.path.parent / "records.csv") for word in words))
    assert ran.failed_plainly(1)
    assert ran.out == ""


def test_a_day_that_is_refused_exits_with_2_the_days_before_it_being_closed(home: Home) -> None:
    ran = home.run("backfill", ago(2), ago(0))
    assert ran.code == 2
    assert [line.split()[2] for line in ran.out.splitlines()[-4:-1]] in (
        ["zero", "zero", "refused"],
        ["exists", "exists", "refused"],
    )


def test_no_command_at_all_shows_the_commands_and_exits_with_2() -> None:
    ran = run()
    assert ran.code == 2
    assert "Usage: tallybook" in ran.out + ran.err


def test_a_fault_in_the_book_exits_with_1(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    altered = Home(tmp_path_factory.mktemp("altered") / "home")
    altered.path.mkdir()
    book = altered.path / "book.sqlite"
    book.write_bytes((home.path / "book.sqlite").read_bytes())
    connection = sqlite3.connect(book)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("UPDATE daily_stats SET requests = requests + 1 WHERE date = '2026-03-02'")
    connection.commit()
    connection.close()
    ran = altered.run("verify", "--json")
    assert ran.code == 1
    assert '"verdict": "altered"' in ran.out
    assert "Traceback" not in ran.err


def test_a_reader_that_stops_reading_is_no_failure(home: Home) -> None:
    piped = subprocess.run(
        ["/bin/bash", "-c", f"{COMMAND} --home {home.path} stats last90d | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert (piped.stdout, piped.stderr) == (b"0\n", b"")
