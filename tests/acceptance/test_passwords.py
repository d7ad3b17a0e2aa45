"""Passwords in the URLs of sources: nothing that tallybook says or writes down shows one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from acceptance.foreign import on_postgresql
from acceptance.running import Home, ago, serving, wait_for

PASSWORD = "p@ss:w/rd%?#1"  # noqa: S105 - of a role that lives as long as a test
READER = "tallybook_reader"


@pytest.fixture
def guarded(postgres_url: str) -> Iterator[str]:
    """The requests in a PostgreSQL that asks its reader for a password; the URL without user and password."""
    on_postgresql(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        ((found,),) = connection.execute("SHOW hba_file").fetchall()
        rules = Path(found)
        before = rules.read_text()
        rules.write_text(f"local all {READER} scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"GRANT SELECT ON log_records TO {READER}")
        yield postgres_url.split("@", 1)[1]
        connection.execute(f"DROP OWNED BY {READER}")
        connection.execute(f"DROP ROLE {READER}")
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


def url(guarded: str, password: str) -> str:
    return f"postgresql://{READER}:{password}@{guarded}"


def hides(*texts: str) -> bool:
    """Whether none of the texts has the password, as it is or as it stands in a URL."""
    return not any(secret in text for text in texts for secret in (PASSWORD, quote(PASSWORD, safe="")))


class TestInTheUrl:
    def test_it_lets_us_in_and_is_shown_nowhere(self, home: Home, guarded: str) -> None:
        given = url(guarded, quote(PASSWORD, safe=""))
        assert home.ask("attach", "gw", given)["url"] == url(guarded, "***")
        assert home.ask("sources")["sources"][0]["url"] == url(guarded, "***")
        printed = [home.do("attach", "again", given), home.do("sources"), home.do("status"), home.do("stats", "today")]
        assert home.ask("backfill", ago(3), ago(1))["results"][0]["outcome"] == "closed"
        assert hides(*printed)
        assert url(guarded, "***") in printed[1]

    def test_only_the_owner_can_read_where_it_is_kept(self, home: Home, guarded: str) -> None:
        home.do("attach", "gw", url(guarded, quote(PASSWORD, safe="")))
        kept = home.path / "sources.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert quote(PASSWORD, safe="") in kept.read_text()
        home.do("attach", "again", url(guarded, quote(PASSWORD, safe="")))
        home.do("detach", "gw")
        assert kept.stat().st_mode & 0o777 == 0o600
        others = [path for path in home.path.iterdir() if path != kept]
        assert [path.name for path in others if quote(PASSWORD, safe="").encode() in path.read_bytes()] == []

    def test_a_wrong_one_is_told_without_it(self, home: Home, guarded: str) -> None:
        refused = home.run("attach", "gw", url(guarded, "wr%40ng-one")).failed_plainly(1)
        assert refused.startswith('PostgreSQL cannot be reached: connection to server on socket "')
        assert refused.endswith(
            f'FATAL:  password authentication failed for user "{READER}". '
            "Check its URL, and that it is up and lets us in."
        )
        assert "ng-one" not in refused
        assert home.ask("sources") == {"sources": []}

    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            ("127.0.0.1:1/db", 'connection to server at "127.0.0.1", port 1 failed: Connection refused.'),
            ("no-such-host.invalid/db", "failed to resolve host 'no-such-host.invalid'"),
            ("127.0.0.1:port/db", 'invalid integer value "port" for connection option "port".'),
            ("127.0.0.1:1/db?sslmode=wrong", 'invalid sslmode value: "wrong".'),
            ("127.0.0.1:1/db?nonsense=1", 'invalid URI query parameter: "nonsense".'),
        ],
    )
    def test_what_cannot_be_reached_is_told_without_it(self, home: Home, place: str, reason: str) -> None:
        refused = home.run("attach", "gw", f"postgresql://reader:hunter2@{place}").failed_plainly(1)
        assert refused.startswith(f"PostgreSQL cannot be reached: {reason}")
        assert "hunter2" not in refused

    @pytest.mark.parametrize(
        "given",
        [
            "postgresql://reader:hun/ter2@127.0.0.1:1/db",
            "postgresql://reader:hun%ter2@127.0.0.1:1/db",
            "postgresql://reader:hunter2@[::1/db",
            "nonsense://reader:hunter2@db/x",
            "mysql://reader:hunter2@db:port/x",
            "clickhouse://reader:hunter2@127.0.0.1:1/db",
            "trino://reader:hunter2@127.0.0.1:1/db",
            "mssql://reader:hunter2@127.0.0.1:1/db",
            "impala://reader:hunter2@127.0.0.1:1/db",
            "polars://reader:hunter2@127.0.0.1:1/db",
            "datafusion://reader:hunter2@127.0.0.1:1/db",
            "flink://reader:hunter2@127.0.0.1:1/db",
            "singlestoredb://reader:hunter2@127.0.0.1:1/db",
            "host=127.0.0.1 port=1 password=hunter2 user=reader",
            "user=reader password = 'hun ter2' dbname=x.db",
        ],
    )
    def test_a_url_that_cannot_be_taken_is_told_without_it(self, home: Home, given: str) -> None:
        refused = home.run("attach", "gw", given)
        assert refused.code in (1, 2)
        assert refused.failed_plainly(refused.code)
        assert "hun" not in refused.err
        assert "ter2" not in refused.err

    def test_a_server_logs_and_answers_without_it(self, home: Home, guarded: str) -> None:
        configure(home, url(guarded, quote(PASSWORD + "x", safe="")))
        with serving(home) as server:
            wait_for(lambda: "tallybook_failure{" in server.http.get("/metrics").text)
            answers = [server.http.get(path).text for path in ("/v1/status", "/metrics", "/v1/stats?period=today")]
            refused = home.run("attach", "more", url(guarded, "hunter2"))
            listed = [home.do("sources"), home.do("status")]
        assert hides(*answers, *listed, server.log.read_text())
        assert "hunter2" not in refused.err + server.log.read_text()
        assert "password authentication failed" in server.log.read_text()


def configure(home: Home, given: str) -> None:
    home.path.mkdir(exist_ok=True)
    (home.path / "tallybook.toml").write_text(f'[sources.gw]\nurl = "{given}"\n')


class TestInTheEnvironment:
    def test_a_variable_is_kept_as_it_is_written_and_filled_in_each_time(self, home: Home, guarded: str) -> None:
        given, env = url(guarded, "${READERS_PASSWORD}"), {"READERS_PASSWORD": PASSWORD}
        found = home.run("attach", "gw", given, "--json", env=env).answer
        assert (found["url"], found["yesterday"]["requests"]) == (given, 1)
        assert hides((home.path / "sources.json").read_text())
        assert home.ask("sources")["sources"][0]["url"] == given
        assert home.run("close", "--json", env=env).answer["results"][0]["outcome"] == "closed"

    def test_a_whole_url_may_be_a_variable(self, home: Home, guarded: str) -> None:
        env = {"GATEWAY_URL": url(guarded, quote(PASSWORD, safe=""))}
        assert home.run("attach", "gw", "${GATEWAY_URL}", "--json", env=env).answer["url"] == "${GATEWAY_URL}"
        assert home.run("close", "--json", env=env).answer["results"][0]["outcome"] == "closed"
        assert hides((home.path / "sources.json").read_text(), home.do("sources"))

    def test_a_wrong_one_is_told_without_it(self, home: Home, guarded: str) -> None:
        for given, env in (
            (url(guarded, "${READERS_PASSWORD}"), {"READERS_PASSWORD": "wrong-one"}),
            ("${GATEWAY_URL}", {"GATEWAY_URL": url(guarded, "wrong-one")}),
        ):
            refused = home.run("attach", "gw", given, env=env).failed_plainly(1)
            assert "password authentication failed" in refused
            assert "wrong-one" not in refused

    def test_a_variable_that_is_not_set_is_named(self, home: Home, guarded: str) -> None:
        given = url(guarded, "${READERS_PASSWORD}")
        sentence = "The environment has no variable READERS_PASSWORD, which the source's URL names."
        assert home.run("attach", "gw", given).failed_plainly(1) == (
            f"{sentence} Set it where tallybook runs, the server too."
        )
        home.run("attach", "gw", given, env={"READERS_PASSWORD": PASSWORD})
        ran = home.run("close", "--json")
        assert ran.code == 1
        assert f'"reason": "{sentence}"' in ran.out
        assert home.ask("status")["sources"][0]["failed"] == [
            {"day": ago(days), "reason": sentence} for days in (3, 2, 1)
        ]

    def test_a_server_fills_in_its_own(self, home: Home, guarded: str) -> None:
        given = url(guarded, "${READERS_PASSWORD}")
        with serving(home):
            assert "no variable READERS_PASSWORD" in home.run(
                "attach", "gw", given, env={"READERS_PASSWORD": PASSWORD}
            ).failed_plainly(1)
        with serving(home, env={"READERS_PASSWORD": PASSWORD}) as server:
            assert home.ask("attach", "gw", given)["yesterday"]["requests"] == 1
            (result,) = server.post("/v1/close", {})["results"]
            assert result["requests"] == 1
        assert hides(server.log.read_text())
