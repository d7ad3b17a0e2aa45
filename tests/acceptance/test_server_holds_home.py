"""Every command works the same with a server on the home as without one: same answer, same exit code, same words."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.running import Home, Ran, ago, serving

READING = (
    ["close", ago(0), "--json"],
    ["close", "--source", "elsewhere"],
    ["stats", "today", "--json"],
    ["stats", "today"],
    ["stats", "last7d", "--live", "--by", "model", "--json"],
    ["stats", "fortnight"],
    ["status", "--json"],
    ["status"],
    ["reconcile"],
    ["import", "/nowhere/gone.csv"],
    ["verify", "--json"],
)
CHANGING = (
    ["import", "{more}", "--json"],
    ["import", "{more}", "{bad}"],
    ["close", ago(3), "--json"],
    ["close", ago(3)],
    ["backfill", ago(9), ago(1), "--json"],
    ["backfill", ago(9), ago(1)],
    ["prune", "--before", ago(1), "--json"],
    ["prune", "--before", ago(1)],
)
HEADER = "created_at,model_name,status_code,tokens_in,request_id"


@pytest.fixture(scope="module")
def pattern() -> Iterator[Home]:
    """Requests 4, 3 and 2 days ago and today; the first of these days closed, and grown since; yesterday closed."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        home = Home(Path(folder) / "home")
        lines = (
            f"{ago(4)}T10:00:00Z,gpt-5,200,10,a",
            f"{ago(3)}T10:00:00Z,gpt-5,500,,b",
            f"{ago(2)}T10:00:00Z,claude,200,30,c",
            f"{ago(0)}T00:00:01Z,claude,200,40,d",
        )
        home.do("import", home.file("first.csv", HEADER, *lines))
        home.do("close", ago(4))
        home.do("close", ago(1))
        home.do("import", home.file("late.csv", HEADER, f"{ago(4)}T11:00:00Z,gpt-5,200,1,late"))
        yield home


@pytest.fixture
def filled(pattern: Home, new_home: Callable[[], Home]) -> Home:
    """A home like the pattern, and beside it a file that can be imported and one that cannot."""
    home = new_home()
    shutil.copytree(pattern.path, home.path)
    home.file("more.csv", HEADER, f"{ago(3)}T12:00:00Z,gpt-5,200,5,e", f"{ago(3)}T10:00:00Z,gpt-5,500,,b")
    home.file("bad.csv", HEADER, "never,gpt-5,200,5,f")
    return home


def days_and_records(home: Home) -> list[list[Any]]:
    """What the home holds: each day of the series with its state, requests and tokens."""
    return [
        [row["date"], row["state"], row["requests"], row["tokens_in"]] for row in home.ask("stats", "last7d")["series"]
    ]


def told(ran: Ran) -> tuple[int, Any, str]:
    """What a command did, without what is never twice the same: the time of a status, the identity of a book."""
    lines = [line for line in ran.out.splitlines() if '"now":' not in line and '"head":' not in line]
    return ran.code, lines, ran.err


def test_with_a_server_a_command_that_reads_or_fails_answers_as_without(filled: Home) -> None:
    with serving(filled):
        with_server = [told(filled.run(*words)) for words in READING]
    for words, answer in zip(READING, with_server, strict=True):
        assert answer == told(filled.run(*words)), words


@pytest.mark.parametrize("words", CHANGING, ids=" ".join)
def test_with_a_server_a_command_that_changes_something_answers_as_without(filled: Home, words: list[str]) -> None:
    folder = filled.path.parent
    named = [word.format(more=folder / "more.csv", bad=folder / "bad.csv") for word in words]
    held = Home(folder / "held")
    shutil.copytree(filled.path, held.path)
    with serving(held):
        with_server = told(held.run(*named))
    assert with_server == told(filled.run(*named))
    assert days_and_records(held) == days_and_records(filled)


def test_the_demo_goes_into_a_server_too(home: Home) -> None:
    with serving(home):
        first = home.ask("demo", "--days", "2")
        assert [result["outcome"] for result in first["results"]] == ["closed", "closed"]
        assert home.do("status").startswith("local  synthetic demo traffic\n")
    again = home.ask("demo", "--days", "2")
    assert [{**result, "outcome": "closed"} for result in again["results"]] == first["results"]


def test_after_the_server_was_killed_the_next_command_does_not_ask_it(filled: Home) -> None:
    with serving(filled) as server:
        server.process.kill()
        server.process.wait()
    assert (filled.path / "server.json").exists()
    assert filled.ask("status")["sources"][0]["records_in_logs"] == 5


def test_a_second_server_on_the_home_is_refused_while_the_first_goes_on(filled: Home) -> None:
    with serving(filled) as server:
        refused = filled.run("serve", "--port", "0").failed_plainly(1)
        assert refused == "Another process holds the logs. Stop it, or let it finish, and try again."
        assert server.get("/v1/status")["sources"][0]["records_in_logs"] == 5


def test_a_command_that_names_another_book_than_the_server_s_is_refused(filled: Home, tmp_path: Path) -> None:
    with serving(filled) as server:
        refused = filled.run("--book", f"sqlite:///{tmp_path}/other.sqlite", "status").failed_plainly(1)
        assert refused == (
            f"The server at {server.url} keeps another book or other logs than this command names. "
            "Leave out --book and --logs, or stop the server."
        )


def test_only_the_owner_can_read_the_secret_of_the_home(filled: Home) -> None:
    with serving(filled):
        assert (filled.path / "server.json").stat().st_mode & 0o777 == 0o600
    assert not (filled.path / "server.json").exists()
