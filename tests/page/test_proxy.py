"""Behind a reverse proxy that serves the page below a prefix."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Server, ago

PREFIX = "/tools/tally/"


@pytest.fixture
def proxied(month: Server) -> Iterator[str]:
    """The URL below which a proxy serves the month, taking the prefix away as nginx does."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(PREFIX):
                self.send_error(404)
                return
            url = month.url + "/" + self.path.removeprefix(PREFIX)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with httpx.stream("GET", url, headers=headers, follow_redirects=False) as answer:
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

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}{PREFIX}"
        proxy.shutdown()
        thread.join()


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
