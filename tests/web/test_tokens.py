"""Who may call what: tokens, their roles, and what a server on loopback answers without any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from litestar import get
from litestar.testing import TestClient

from acceptance.running import wait_for
from stories import NOW
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.home import new_server
from tallybook.tokens import Role
from tallybook.web import guard
from tallybook.web.app import build_app
from tallybook.web.guard import ROLES
from web.asking import GOOD, Client, error

Bearer = dict[str, str]


@pytest.fixture
def bearer(keeper: Bookkeeper) -> Callable[[str], Bearer]:
    """A function that makes a token of a role, and answers the header that shows it."""
    return lambda role: {"Authorization": f"Bearer {keeper.book.credentials.create(Role(role), None, NOW)[0]}"}


@contextmanager
def serving(keeper: Bookkeeper, home: Path, url: str = "http://127.0.0.1:0") -> Iterator[Client]:
    """The application as if it listened at the URL."""
    app = build_app(keeper, new_server(url, "", ""), home)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as started:
        yield started


CALLS = {
    ("POST", "/v1/log-records"): "ingest",
    ("POST", "/v1/litellm"): "ingest",
    ("POST", "/v1/traces"): "ingest",
    ("POST", "/v1/logs"): "ingest",
    ("POST", "/v1/metrics"): "ingest",
    ("GET", "/"): "read",
    ("GET", "/v1/stats?period=last7d"): "read",
    ("GET", "/v1/daily-stats"): "read",
    ("GET", "/v1/closings"): "read",
    ("GET", "/v1/status"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/openapi.json"): "read",
    ("POST", "/v1/close"): "admin",
    ("POST", "/v1/backfill"): "admin",
    ("GET", "/v1/schema/openapi.json"): "admin",
}


class TestRoles:
    def test_every_registered_call_has_a_row_in_the_table(self, client: Client) -> None:
        registered = {
            (method, route.path_format)
            for route in client.app.routes
            for method in getattr(route, "methods", ())
            if method != "OPTIONS" and not route.path.startswith("/v1/schema")
        }
        assert len(registered) >= 13
        assert registered == set(ROLES)

    @pytest.mark.parametrize(("call", "needed"), CALLS.items(), ids=str)
    def test_each_call_is_for_its_role_and_admin(
        self, client: Client, bearer: Callable[[str], Bearer], call: tuple[str, str], needed: str
    ) -> None:
        statuses = {
            role: client.request(*call, headers=bearer(role)).status_code for role in ("ingest", "read", "admin")
        }
        assert {role for role, status in statuses.items() if status != 403} == {needed, "admin"}
        assert 401 not in statuses.values()

    def test_a_wrong_role_is_told_which_one_is_right(self, client: Client, bearer: Callable[[str], Bearer]) -> None:
        assert error(client.post("/v1/log-records", json=GOOD, headers=bearer("read")), 403) == (
            "forbidden",
            "This call needs a token of the role ingest, and this one has the role read.",
            "Send it as `Authorization: Bearer TOKEN`; `tallybook token create --role ingest` makes one.",
        )
        stats = client.get("/v1/stats?period=all", headers=bearer("admin")).json()
        assert stats["totals"]["requests"] == 0

    def test_a_call_without_a_row_is_for_admin_alone(
        self, keeper: Bookkeeper, bearer: Callable[[str], Bearer], tmp_path: Path
    ) -> None:
        @get("/v1/new")
        async def get_new() -> str:
            return "new"

        app = build_app(keeper, new_server("http://127.0.0.1:0", "", ""), tmp_path / "home")
        app.register(get_new)
        with TestClient(app, base_url="http://127.0.0.1") as client:
            answers = {role: client.get("/v1/new", headers=bearer(role)) for role in ("ingest", "read", "admin")}
        assert {role: answer.status_code for role, answer in answers.items()} == {
            "ingest": 403,
            "read": 403,
            "admin": 200,
        }

    def test_a_path_with_a_slash_too_many_is_the_same_call(
        self, client: Client, bearer: Callable[[str], Bearer]
    ) -> None:
        assert client.post("/v1/close/", json={}, headers=bearer("read")).status_code == 403
        assert client.get("/v1/status/", headers=bearer("read")).status_code == 200

    def test_probes_need_no_token_and_operations_their_own_secret(
        self, client: Client, bearer: Callable[[str], Bearer]
    ) -> None:
        admin = bearer("admin")
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
        refused = client.post("/v1/operations/status", json={}, headers=admin)
        assert error(refused, 403)[1] == "This call is for the commands of this home."

    def test_a_path_that_is_none_is_told_as_ever(self, client: Client, bearer: Callable[[str], Bearer]) -> None:
        assert error(client.get("/v1/nothing", headers=bearer("read")), 404)[0] == "not_found"


class TestATokenIsNeeded:
    def test_from_the_first_one_on_and_at_once(self, client: Client, bearer: Callable[[str], Bearer]) -> None:
        assert client.get("/v1/status").status_code == 200
        read = bearer("read")
        refused = client.get("/v1/status")
        assert error(refused, 401) == (
            "unauthorized",
            "This call needs a token of the role read.",
            "Send it as `Authorization: Bearer TOKEN`; `tallybook token create --role read` makes one.",
        )
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/status", headers=read).status_code == 200

    def test_until_it_is_revoked_and_still_when_the_last_one_is(
        self, client: Client, keeper: Bookkeeper, bearer: Callable[[str], Bearer]
    ) -> None:
        read = bearer("read")
        assert client.get("/v1/status", headers=read).status_code == 200
        keeper.book.credentials.revoke(keeper.book.credentials.list()[0].id, NOW)
        refused = client.get("/v1/status", headers=read)
        assert error(refused, 401)[1] == "The token is not known here, or it was revoked."
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/status").status_code == 401

    def test_by_a_server_that_starts_when_all_are_revoked(
        self, keeper: Bookkeeper, bearer: Callable[[str], Bearer], tmp_path: Path
    ) -> None:
        read = bearer("read")
        keeper.book.credentials.revoke(keeper.book.credentials.list()[0].id, NOW)
        with serving(keeper, tmp_path / "home") as client:
            assert [client.get("/v1/status", headers=each).status_code for each in (read, {})] == [401, 401]

    @pytest.mark.parametrize("url", ["http://0.0.0.0:0", "http://[::]:0", "http://192.0.2.1:0"])
    def test_by_a_server_for_the_network_even_where_none_was_made(
        self, keeper: Bookkeeper, tmp_path: Path, url: str
    ) -> None:
        with serving(keeper, tmp_path / "home", url) as client:
            assert client.get("/v1/status").status_code == 401
            assert client.get("/healthz").status_code == 200

    @pytest.mark.parametrize("scheme", ["Bearer {}", "bearer {}", "BEARER {}", " Bearer   {} ", "Bearer\t{}"])
    def test_however_its_scheme_is_written(self, client: Client, bearer: Callable[[str], Bearer], scheme: str) -> None:
        token = bearer("read")["Authorization"].removeprefix("Bearer ")
        assert client.get("/v1/status", headers={"Authorization": scheme.format(token)}).status_code == 200

    @pytest.mark.parametrize(
        "scheme", ["{}", "Basic {}", "Bearer", "Bearer {}x", "Bearer {} x", 'Bearer "{}"', "Bearer é"]
    )
    def test_and_nothing_else_will_do(self, client: Client, bearer: Callable[[str], Bearer], scheme: str) -> None:
        token = bearer("admin")["Authorization"].removeprefix("Bearer ")
        headers = {b"Authorization": scheme.format(token).encode()}
        assert error(client.get("/v1/status", headers=headers), 401)[0] == "unauthorized"
        assert client.get(f"/v1/status?token={token}").status_code == 401

    def test_nothing_of_a_refused_body_is_stored(self, client: Client, bearer: Callable[[str], Bearer]) -> None:
        admin = bearer("admin")
        assert client.post("/v1/log-records", json=GOOD).status_code == 401
        assert client.get("/v1/status", headers=admin).json()["sources"] == []


class TestWithoutTokens:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "127.0.0.1:8787", "127.8.8.8", "localhost", "LocalHost:80", "[::1]", "[::1]:8787"],
    )
    def test_this_machine_may_call(self, client: Client, host: str) -> None:
        assert client.get("/v1/status", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.7"),
            *("0.0.0.0:8787", "[::]:8787", "[::1", "::1", "127.0.0.1:x", "127.0.0.1@evil.example", "127.1", ""),
        ],
    )
    def test_no_page_may_whose_name_was_led_to_this_machine(self, client: Client, host: str) -> None:
        refused = client.post("/v1/log-records", json=GOOD, headers={"Host": host})
        assert error(refused, 403) == (
            "forbidden",
            f"The call is for the host {host!r}, and without tokens this server answers as localhost only.",
            "Call http://127.0.0.1, or make tokens: `tallybook token create --role admin`.",
        )
        assert client.get("/v1/status").json()["sources"] == []

    def test_with_tokens_a_server_may_have_any_name(self, client: Client, bearer: Callable[[str], Bearer]) -> None:
        headers = {**bearer("read"), "Host": "tallybook.example.com"}
        assert client.get("/v1/status", headers=headers).status_code == 200

    def test_a_page_of_another_site_is_refused_with_a_token_too(
        self, client: Client, bearer: Callable[[str], Bearer]
    ) -> None:
        headers = {**bearer("admin"), "Origin": "https://evil.example"}
        assert error(client.get("/v1/status", headers=headers), 403)[1] == "A page of another site asked."

    def test_whatever_authorization_is_sent_means_nothing(self, client: Client) -> None:
        assert client.get("/v1/status", headers={"Authorization": "Bearer of elsewhere"}).status_code == 200


def test_the_day_of_the_last_use_is_noted(client: Client, keeper: Bookkeeper, bearer: Callable[[str], Bearer]) -> None:
    read, never = bearer("read"), bearer("ingest")
    for headers in (read, read, never):
        client.get("/v1/status", headers=headers)
    wait_for(lambda: keeper.book.credentials.find(read["Authorization"][7:]).last_used_on)  # type: ignore[union-attr]
    assert {(each.role, each.last_used_on) for each in keeper.book.credentials.list()} == {
        ("read", "2026-11-23"),
        ("ingest", None),
    }


class TestABookThatDoesNotAnswer:
    @pytest.fixture
    def keeper(self, postgres_url: str, tmp_path: Path) -> Iterator[Bookkeeper]:
        """A bookkeeper whose book is in PostgreSQL."""
        opened = Bookkeeper(load_settings({"home": str(tmp_path / "home"), "book": postgres_url}, {}), lambda: NOW)
        yield opened
        opened.close_all()

    def test_lets_nobody_in_but_says_when_to_try_again(
        self, client: Client, bearer: Callable[[str], Bearer], postgres_server: str, postgres_url: str
    ) -> None:
        ingest = bearer("ingest")
        assert client.post("/v1/log-records", json=[], headers=ingest).status_code == 200
        with away(postgres_server, postgres_url):
            refused = client.post("/v1/log-records", json=GOOD, headers=ingest)
            assert error(refused, 503)[0] == "book"
            assert refused.headers["retry-after"] == "5"
            assert client.post("/v1/log-records", json=GOOD).status_code == 401
        assert client.post("/v1/log-records", json=GOOD, headers=ingest).json()["accepted"] == 1

    def test_is_not_waited_for_long(
        self, client: Client, bearer: Callable[[str], Bearer], postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guard, "PATIENCE_S", 0.3)
        read = bearer("read")
        with psycopg.connect(postgres_url) as connection:
            connection.execute("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE")
            for headers in (read, {}):
                refused = client.get("/v1/status", headers=headers)
                assert error(refused, 503) == ("book", "The book does not answer.", "Check that its database is up.")
        assert client.get("/v1/status", headers=read).status_code == 200

    def test_stops_no_sender_on_this_machine_while_no_token_is_known(
        self, client: Client, postgres_server: str, postgres_url: str
    ) -> None:
        with away(postgres_server, postgres_url):
            assert client.post("/v1/log-records", json=GOOD).json()["accepted"] == 1
            assert client.post("/v1/log-records", json=GOOD, headers={"Host": "evil.example"}).status_code == 403


@contextmanager
def away(server: str, url: str) -> Iterator[None]:
    """While this lasts, nobody can connect to the database, and nobody is connected."""
    name = url.rpartition("?")[0].rpartition("/")[2]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


def test_a_token_is_neither_logged_nor_answered(
    client: Client, keeper: Bookkeeper, bearer: Callable[[str], Bearer], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever becomes of the call, at the finest level of every logger, the database's own too."""
    caplog.set_level(logging.DEBUG)
    for name in ("sqlalchemy.engine", "sqlalchemy.pool", "tallybook"):
        caplog.set_level(logging.DEBUG, logger=name)
    right = bearer("read")["Authorization"].removeprefix("Bearer ")
    wrong = right[:16] + "5ec2e7" + right[22:]
    answers = [
        client.request(method, path, headers={"Authorization": scheme.format(shown)}, content=b"{")
        for shown in (right, wrong, f"{right}0")
        for scheme in ("Bearer {}", "Basic {}", "{}")
        for method, path in [*CALLS, ("POST", "/v1/operations/status"), ("GET", "/v1/nothing"), ("DELETE", "/")]
    ]
    assert {answer.status_code for answer in answers} >= {200, 401, 403, 404, 405}
    keeper.book.credentials.revoke(right[3:15], NOW)
    answers.append(client.get("/v1/status", headers={"Authorization": f"Bearer {right}"}))
    keeper.book._engine.dispose()
    (Path(str(keeper.book._engine.url.database))).write_bytes(b"no database at all" * 400)
    broken = client.get("/v1/status", headers={"Authorization": f"Bearer {right}"})
    assert broken.status_code == 503
    said = "\n".join([caplog.text, *(f"{answer.headers} {answer.text}" for answer in (*answers, broken))])
    assert right[3:15] in said
    assert right[16:] not in said
    assert wrong[16:] not in said
