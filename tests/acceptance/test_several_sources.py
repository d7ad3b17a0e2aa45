"""Several sources in one book: added up, or one by itself; what one of them cannot know is unknown of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acceptance.foreign import new_api, on_sqlite
from acceptance.running import Home, ago, serving


@pytest.fixture
def both(home: Home, tmp_path: Path) -> Home:
    """`gw`, a new-api that logs no failures, and `own`, a table that does; closed from three days ago to yesterday.

    gw     3, 2 and 1 days ago a request of gpt-5, 100 tokens in
    own    3 days ago two of gpt-5, 150 tokens in; yesterday a failed one of claude, 30 tokens in
    """
    home.do("attach", "gw", new_api(tmp_path / "one-api.db").url, "--preset", "new-api")
    home.do("attach", "own", on_sqlite(tmp_path / "own.db").url)
    home.do("backfill", ago(3), ago(1))
    return home


def told(row: Any) -> tuple[Any, ...]:
    return row["requests"], row["success"], row["failed"], row["tokens_in"], row["cost_usd"]


class TestAddedUp:
    def test_all_sources_are_added_up_where_none_is_named(self, both: Home) -> None:
        answer = both.ask("stats", "last7d")
        assert answer["sources"] == ["gw", "own"]
        assert told(answer["totals"]) == (6, 5, None, 480, "0.753")
        assert answer["days"] == {"closed": 3, "zero": 0, "missing": 0, "open": 0}
        assert [(top["model"], top["requests"], top["tokens"]) for top in answer["top_models"]] == [
            ("gpt-5", 5, 495),
            ("claude", 1, 30),
        ]

    def test_one_is_answered_by_itself_where_it_is_named(self, both: Home) -> None:
        gw, own = (both.ask("stats", "last7d", "--source", name) for name in ("gw", "own"))
        assert told(gw["totals"]) == (3, 3, None, 300, "0.003")
        assert told(own["totals"]) == (3, 2, 1, 180, "0.75")
        assert gw["sources"] == ["gw"]
        assert own["days"] == {"closed": 2, "zero": 1, "missing": 0, "open": 0}

    def test_a_source_that_is_none_is_refused_with_those_that_are(self, both: Home) -> None:
        refused = both.run("stats", "last7d", "--source", "nobody").failed_plainly(2)
        assert refused == "There is no source 'nobody'. Use one of: gw, own."

    def test_each_has_a_standing_and_digests_of_its_own(self, both: Home) -> None:
        assert [
            (each["source"], each["first_day"], each["closed_through"], each["days_closed"], each["days_zero"])
            for each in both.ask("status")["sources"]
        ] == [("gw", ago(3), ago(1), 3, 0), ("own", ago(3), ago(1), 2, 1)]
        assert both.is_intact(6)

    def test_our_own_logs_are_one_source_more(self, both: Home) -> None:
        header = "created_at,model_name,status_code,tokens_in"
        both.do("import", both.file("local.csv", header, f"{ago(2)}T10:00:00Z,gpt-5,200,1"))
        both.do("backfill", ago(3), ago(1))
        answer = both.ask("stats", "last7d")
        assert answer["sources"] == ["gw", "local", "own"]
        assert (answer["totals"]["requests"], answer["totals"]["tokens_in"]) == (7, 481)
        assert [each["source"] for each in both.ask("status")["sources"]] == ["local", "gw", "own"]

    def test_a_day_is_missing_where_it_is_missing_of_one(self, both: Home, tmp_path: Path) -> None:
        late = new_api(tmp_path / "late.db", days=(2, 1))
        both.do("attach", "late", late.url, "--preset", "new-api")
        both.do("close", ago(2), "--source", "late")
        answer = both.ask("stats", "last7d")
        assert answer["days"] == {"closed": 2, "zero": 0, "missing": 1, "open": 0}
        assert [row["state"] for row in answer["series"][-3:]] == ["closed", "closed", "missing"]
        assert "1 closable days are missing" in both.do("stats", "last7d")


class TestWhatOneCannotKnow:
    def test_failures_are_unknown_of_all_and_who_does_not_know_them_is_named(self, both: Home) -> None:
        answer = both.ask("stats", "last7d", "--by", "model")
        assert answer["totals"]["failed"] is None
        assert answer["unknown"]["failed"] == ["gw"]
        assert [row["failed"] for row in answer["series"][-3:]] == [None, None, None]
        assert [(row["value"], row["failed"]) for row in answer["by"]["rows"]] == [("gpt-5", None), ("claude", 1)]

    def test_the_other_by_itself_shows_its_number(self, both: Home) -> None:
        answer = both.ask("stats", "last7d", "--source", "own", "--by", "model")
        assert answer["totals"]["failed"] == 1
        assert "failed" not in answer["unknown"]
        assert [row["failed"] for row in answer["series"][-3:]] == [0, 0, 1]
        assert [(row["value"], row["failed"]) for row in answer["by"]["rows"]] == [("gpt-5", 0), ("claude", 1)]

    def test_a_day_before_the_blind_one_began_is_known(self, both: Home, tmp_path: Path) -> None:
        older = [(f"{ago(5)} 10:00:00", "gpt-5", 500, 1, 1, None, "ann")]
        both.do("attach", "older", on_sqlite(tmp_path / "older.db", older).url)
        both.do("backfill", ago(5), ago(1), "--source", "older")
        answer = both.ask("stats", "last7d")
        assert [row["failed"] for row in answer["series"][-5:]] == [1, 0, None, None, None]

    def test_rows_of_the_daily_statistic_have_it_too(self, both: Home) -> None:
        with serving(both) as server:
            rows = server.get("/v1/daily-stats")["days"]
        assert [(row["source"], row["date"], row["failed"]) for row in rows] == [
            ("gw", ago(3), None),
            ("own", ago(3), 0),
            ("gw", ago(2), None),
            ("gw", ago(1), None),
            ("own", ago(1), 1),
        ]

    def test_in_csv_it_is_empty(self, both: Home) -> None:
        lines = [line.split(",") for line in both.do("stats", "last7d", "--csv").splitlines()]
        place = lines[0].index("failed")
        assert [line[place] for line in lines[-3:]] == ["", "", ""]

    def test_a_terminal_shows_a_dash_and_names_the_source(self, both: Home) -> None:
        for words in (["stats", "last7d"], ["stats", "last7d", "--by", "model"]):
            printed = both.do(*words)
            assert "\N{EN DASH} is unknown, not zero: failed of gw; latency of own\n" in printed
            figures = printed.splitlines()[3].split()
            assert figures[:2] == ["6", "\N{EN DASH}"]
        assert "not zero: latency of own\n" in both.do("stats", "last7d", "--source", "own")

    def test_a_gateway_that_logs_its_failures_knows_them(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(2, 1))
        gateway.serve(1, hour=11, failed=True)
        found = home.ask("attach", "gw", gateway.url, "--preset", "new-api")
        assert found["limits"]["failures"] == f"opt-in, logged since {ago(1)}"
        home.do("backfill", ago(2), ago(1))
        answer = home.ask("stats", "last7d")
        assert (answer["totals"]["failed"], answer["totals"]["success"]) == (None, 2)
        assert [row["failed"] for row in answer["series"][-2:]] == [None, 1]

    def test_a_gateway_that_begins_to_log_them_knows_them_from_then_on(self, home: Home, tmp_path: Path) -> None:
        gateway = new_api(tmp_path / "one-api.db", days=(4, 3, 2, 1))
        home.do("attach", "gw", gateway.url, "--preset", "new-api")
        home.do("backfill", ago(4), ago(3))
        gateway.serve(2, hour=11, failed=True)
        home.do("backfill", ago(2), ago(1))
        assert [row["failed"] for row in home.ask("stats", "last7d")["series"][-4:]] == [None, None, 1, 0]
        assert home.is_intact(4)
        assert home.ask("reconcile")["results"] == []

    @pytest.mark.parametrize(("said", "failed"), [("logged", 0), ("unknown", None)])
    def test_the_user_knows_better(self, home: Home, tmp_path: Path, said: str, failed: int | None) -> None:
        words = ["--preset", "new-api", "--set", f"failures={said}"]
        home.do("attach", "gw", new_api(tmp_path / "one-api.db", days=(1,)).url, *words)
        home.do("close")
        assert home.ask("stats", "yesterday")["totals"]["failed"] == failed
