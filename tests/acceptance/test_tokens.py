"""Access tokens, from the command that makes one to the call that is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from acceptance.running import Home, Server, ago, serving

TOKEN = re.compile(r"tb_[0-9a-f]{12}_[0-9a-f]{64}")
NETWORK = "127.1"
"""Loopback in truth, and in no spelling that a server takes for it: it must be guarded as the network is."""


def make(home: Home, role: str, *words: str) -> str:
    """Makes a token of the role; what a script would keep of it."""
    return home.do("token", "create", "--role", role, *words).rstrip("\n")


def status(server: Server, token: str | None, path: str = "/v1/status") -> int:
    """How the server answers a call that shows the token, or none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return server.http.get(path, headers=headers).status_code


class TestMaking:
    def test_it_is_printed_alone_and_only_once(self, home: Home) -> None:
        token = make(home, "ingest", "--name", "litellm")
        assert TOKEN.fullmatch(token)
        assert token[16:] not in home.do("token", "list") + home.do("token", "list", "--json")

    def test_as_json_it_tells_what_it_is(self, home: Home) -> None:
        made = home.ask("token", "create", "--role", "read", "--name", "grafana")
        assert list(made) == ["id", "role", "name", "token", "created_at"]
        assert (made["role"], made["name"]) == ("read", "grafana")
        assert made["token"].startswith(f"tb_{made['id']}_")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["created_at"])
        assert home.ask("token", "create", "--role", "admin")["name"] is None

    def test_no_file_of_the_home_has_it(self, home: Home) -> None:
        token = make(home, "admin")
        with serving(home) as server:
            assert status(server, token) == 200
            assert status(server, f"{token[:-1]}{'0' if token[-1] != '0' else '1'}") == 401
            home.do("token", "revoke", token)
            assert status(server, token) == 401
        for path in (*home.path.iterdir(), server.log):
            assert token[16:-1].encode() not in path.read_bytes(), path
        assert token[3:15].encode() in (home.path / "book.sqlite").read_bytes()

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ([], "Missing option '--role'."),
            (["--role", "root"], "There is no role 'root'. Use one of: ingest, read, admin."),
            (["--role", "read", "--name", "n" * 65], "The token's name cannot be kept."),
        ],
    )
    def test_what_cannot_be_made_is_refused(self, home: Home, words: list[str], sentence: str) -> None:
        assert sentence in home.run("token", "create", *words).failed_plainly(2)
        assert home.ask("token", "list") == {"tokens": []}


class TestListing:
    def test_there_are_none_at_first(self, home: Home) -> None:
        assert home.do("token", "list") == "There are no tokens. Make one: `tallybook token create --role ingest`.\n"

    def test_each_is_told_apart_and_when_it_was_used_and_revoked(self, home: Home) -> None:
        used = home.ask("token", "create", "--role", "read", "--name", "gra[red]fana")
        gone = home.ask("token", "create", "--role", "ingest")
        with serving(home) as server:
            assert status(server, used["token"]) == 200
        revoked = home.ask("token", "revoke", gone["id"])
        listed = {each["id"]: each for each in home.ask("token", "list")["tokens"]}
        assert listed == {
            used["id"]: {
                **{name: used[name] for name in ("id", "role", "name", "created_at")},
                "last_used_on": ago(0),
                "revoked_at": None,
            },
            gone["id"]: {
                **{name: gone[name] for name in ("id", "role", "name", "created_at")},
                "last_used_on": None,
                "revoked_at": revoked["revoked_at"],
            },
        }
        table = home.do("token", "list")
        assert re.search(rf"^{used['id']} read +gra\[red\]fana +{ago(0)} +{ago(0)} *$", table, re.MULTILINE)
        assert re.search(rf"^{gone['id']} ingest +\S+ +{ago(0)} +\S+ +{ago(0)} *$", table, re.MULTILINE)


class TestRevoking:
    def test_it_says_what_is_left(self, home: Home) -> None:
        first, second = (home.ask("token", "create", "--role", "read") for _ in range(2))
        said = home.do("token", "revoke", first["id"])
        assert re.fullmatch(rf"Token {first['id']}, role read, is revoked since \S+Z\. 1 token in force\.\n", said)
        answer = home.ask("token", "revoke", second["token"])
        assert (answer["id"], answer["in_force"]) == (second["id"], 0)
        assert home.do("token", "revoke", second["id"]).endswith("No token is in force, and calls still need one.\n")

    @pytest.mark.parametrize("given", ["0123456789ab", f"tb_0123456789ab_{'5ec2e7' * 11}", "5ec2e7", "tb_5ec2e7"])
    def test_what_is_not_there_is_refused_and_not_repeated(self, home: Home, given: str) -> None:
        refused = home.run("token", "revoke", given).failed_plainly(2)
        assert refused == "There is no token with this id. `tallybook token list` shows the ids."


class TestServing:
    def test_to_the_network_is_refused_without_a_token_and_allowed_with_one(self, home: Home) -> None:
        refused = home.run("serve", "--host", NETWORK, "--port", "0").failed_plainly(2)
        assert refused.startswith(f"Serving on {NETWORK} needs a token, and none is in force in this book. Make one: ")
        assert "`tallybook token create --role ingest`" in refused
        made = home.ask("token", "create", "--role", "read")
        with serving(home, "--host", NETWORK) as server:
            assert [status(server, shown) for shown in (made["token"], None)] == [200, 401]
        home.do("token", "revoke", made["id"])
        assert home.run("serve", "--host", NETWORK, "--port", "0").failed_plainly(2) == refused

    def test_a_token_made_beside_a_server_is_needed_and_good_at_once(self, home: Home, server: Server) -> None:
        assert status(server, None) == 200
        token = make(home, "ingest")
        assert [status(server, shown) for shown in (None, token)] == [401, 403]
        record = {"created_at": f"{ago(1)}T10:00:00Z", "model_name": "gpt-5", "status_code": 200}
        headers = {"Authorization": f"Bearer {token}"}
        assert server.http.post("/v1/log-records", json=record, headers=headers).json()["accepted"] == 1

    def test_one_token_for_all_servers_of_a_book_and_none_once_it_is_revoked(
        self, new_home: Callable[[], Home], postgres_url: str
    ) -> None:
        one, other = new_home(), new_home()
        with serving(one, "--book", postgres_url) as first, serving(other, "--book", postgres_url) as second:
            made = new_home().ask("token", "create", "--role", "read", "--book", postgres_url)
            assert [status(each, made["token"]) for each in (first, second)] == [200, 200]
            one.do("token", "revoke", made["id"], "--book", postgres_url)
            assert [status(each, made["token"]) for each in (first, second)] == [401, 401]
            assert [status(each, None) for each in (first, second)] == [401, 401]

    def test_commands_on_the_home_need_no_token(self, home: Home, server: Server) -> None:
        home.do("token", "create", "--role", "read")
        columns = "created_at,model_name,status_code,tokens_in"
        home.do("import", home.file("day.csv", columns, f"{ago(1)}T10:00:00Z,gpt-5,200,7"))
        assert home.ask("close", ago(1))["results"][0]["outcome"] in ("closed", "exists")
        assert home.ask("stats", "yesterday")["totals"]["tokens_in"] == 7
        assert home.ask("status")["sources"][0]["closed_through"] == ago(1)
        assert status(server, None) == 401

    def test_a_large_body_without_a_token_is_refused_with_an_answer(self, home: Home, server: Server) -> None:
        home.do("token", "create", "--role", "ingest")
        body = b"[" + b" " * (32 << 20) + b"]"
        answers: list[Any] = [server.http.post("/v1/log-records", content=body) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 401]
        assert server.memory_peak_bytes() < 400 << 20

    def test_a_page_that_leads_its_name_to_this_machine_gets_nothing(self, server: Server) -> None:
        for path in ("/", "/v1/status", "/v1/stats?period=today", "/metrics"):
            refused = httpx.get(f"{server.url}{path}", headers={"Host": "evil.example"}, trust_env=False)
            assert refused.status_code == 403
            assert refused.json()["error"]["code"] == "forbidden"
