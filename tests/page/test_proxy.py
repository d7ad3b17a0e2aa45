"""Behind a reverse proxy that serves the page below a prefix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago, serving
from stories import record, sqlite_table

PREFIX = "/tools/tally/"


@contextmanager
def proxy(server: Server) -> Iterator[str]:
    """The URL below which a proxy serves the server: it takes the prefix away and names the server in `Host`, as nginx."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"] or 0)))

        def _pass_on(self, body: bytes) -> None:
            if not self.path.startswith(PREFIX):
                self.send_error(404)
                return
            url = server.url + "/" + self.path.removeprefix(PREFIX)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with httpx.stream(self.command, url, headers=headers, content=body, follow_redirects=False) as answer:
                content = b"".join(answer.iter_raw())
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing: a test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}{PREFIX}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def proxied(month: Server) -> Iterator[str]:
    """The month behind the proxy."""
    with proxy(month) as url:
        yield url


def test_every_link_stays_below_the_prefix(proxied: str, new_page: Callable[..., Page]) -> None:
    page = new_page(proxied)
    expect(page.locator("dl.tiles")).to_be_visible()
    page.get_by_role("link", name="7 days").click()
    expect(page).to_have_url(f"{proxied}?period=last7d")
    page.locator("svg.chart.wide .slots a").last.click()
    expect(page).to_have_url(f"{proxied}day?day={ago(1)}")
    page.get_by_role("link", name="The book").click()
    expect(page).to_have_url(f"{proxied}book")
    page.get_by_role("link", name="tallybook", exact=True).click()
    expect(page).to_have_url(proxied)
    with page.expect_download() as saved:
        page.get_by_role("link", name="SVG").click()
    assert saved.value.path().read_text().startswith("<svg")


def test_who_has_a_token_signs_in_closes_days_and_signs_out_behind_the_proxy(
    home: Home, new_page: Callable[..., Page]
) -> None:
    path = home.path.parent / "gateway.sqlite"
    sqlite_table(path, [record(f"{ago(days)[5:]} 10:00") for days in (1, 2)], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records")
    away = path.rename(path.with_suffix(".away"))
    admin = home.ask("token", "create", "--role", "admin")["token"]
    with serving(home) as server, proxy(server) as url:
        page = new_page(f"{url}book")
        page.get_by_label("Token").fill(admin)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{url}book")
        (cookie,) = page.context.cookies()
        assert cookie["path"] == PREFIX.rstrip("/")
        away.rename(path)
        page.get_by_role("button", name="Close what is missing").click()
        expect(page.locator("#backfill")).to_contain_text("Done: ")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{url}sign-in")


def test_a_slash_too_many_is_taken_away_below_the_prefix(proxied: str, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{proxied}day/?day={ago(2)}")
    expect(page).to_have_url(f"{proxied}day?day={ago(2)}")
    page.goto(f"{proxied}book/")
    expect(page).to_have_url(f"{proxied}book")


def test_what_is_no_page_says_so_in_the_page_s_own_dress(
    proxied: str, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    page = new_page(f"{proxied}no/such/page")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page.")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(247, 247, 245)"
    back = page.get_by_role("link", name="To the overview")
    expect(back).to_have_css("text-decoration-line", "underline")
    back.click()
    expect(page).to_have_url(proxied)
    assert [text for text in complaints if "404" not in text] == []
    complaints.clear()
