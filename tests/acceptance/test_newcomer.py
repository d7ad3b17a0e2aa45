from __future__ import annotations

import re

from acceptance.running import Home, ago, run, serving


def test_a_newcomer_fills_a_home_looks_at_it_verifies_it_and_serves_it(home: Home) -> None:
    demo = home.do("demo", "--days", "14")
    assert re.match(r"[0-9,]+ records of synthetic demo traffic stored; 13 days closed, 1 zero\.\n", demo)

    table = home.do("stats", "last7d")
    assert table.startswith(f"last7d  {ago(7)} to {ago(1)} UTC  7 closed\n")
    assert "gpt-5-mini" in table

    status = home.do("status")
    assert status.startswith("local  synthetic demo traffic\n")
    assert re.search(rf"first day +{ago(14)}", status)
    assert re.search(rf"closed through +{ago(1)}", status)
    assert status.endswith("14 closings in the book\n")

    assert home.do("verify").startswith("intact  14 closings, consistent, NOT anchored\n")
    assert home.do("verify", "--anchor", str(home.path / "anchors.log")).startswith("intact  14 closings, anchored\n")

    with serving(home) as server:
        answer = server.get("/v1/stats", period="last7d")
    assert answer == home.ask("stats", "last7d")
    assert answer["days"] == {"closed": 7, "zero": 0, "missing": 0, "open": 0}


def test_the_demo_twice_adds_nothing(home: Home) -> None:
    first = home.ask("demo", "--days", "3")
    again = home.ask("demo", "--days", "3")
    assert [result["outcome"] for result in first["results"]] == ["closed", "closed", "closed"]
    assert [result["outcome"] for result in again["results"]] == ["exists", "exists", "exists"]
    assert [result["digest"] for result in again["results"]] == [result["digest"] for result in first["results"]]
    assert home.ask("stats", "all")["totals"] == home.ask("stats", f"{ago(3)}..{ago(1)}")["totals"]
    assert home.is_intact(3)


def test_an_empty_home_says_what_to_do_first(home: Home) -> None:
    status = home.do("status")
    assert status.startswith("No records yet.")
    assert "tallybook import" in status
    assert "tallybook --home ./tallybook-demo demo" in status
    assert home.do("close") == "No source has a record yet, so there is nothing to close.\n"
    assert home.ask("close") == {"results": []}
    assert home.ask("stats", "last7d")["totals"]["requests"] == 0
    assert home.do("stats", "last7d").endswith(
        "There is nothing of these days: `tallybook status` tells from when on there is.\n"
    )


def test_every_command_has_help_that_begins_with_what_it_does() -> None:
    overview = run("--help")
    commands = re.findall(r"^  (\w+) {2,}\S", overview.out.partition("Commands:")[2], re.MULTILINE)
    assert {"serve", "import", "close", "backfill", "stats", "status", "verify", "reconcile", "prune", "demo"} <= {
        *commands
    }
    for command in commands:
        helped = run(command, "--help")
        assert helped.code == 0
        assert helped.out.startswith(f"Usage: tallybook {command} [OPTIONS]")
        assert re.search(r"\n\n  [A-Z][^\n]+", helped.out)
        assert "--home DIR" in helped.out


def test_demo_traffic_is_never_mixed_with_records_of_ones_own(home: Home) -> None:
    home.do("import", home.file("mine.csv", "created_at,model_name,status_code", "2026-03-02T10:00:00Z,gpt-5,200"))
    refused = home.run("demo").failed_plainly(2)
    assert refused == (
        "This home has records of its own, and demo traffic would be among them for good. "
        "Name another: `tallybook --home ./tallybook-demo demo`."
    )
    assert home.ask("status")["sources"][0]["records_in_logs"] == 1
