"""Fixtures of the tests in a browser: Chromium, pages in it that may not complain, and a server with a month of traffic."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

from acceptance.conftest import home, new_home, not_at_midnight, server
from acceptance.running import Home, Server, ago, serving

__all__ = ["home", "new_home", "not_at_midnight", "server"]

NAMES = ("chromium", "chromium-browser", "google-chrome")
DAYS = 45
PATIENCE_MS = 20_000
"""So long a busy machine may take; where nothing is wrong, nobody waits for it."""

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; skipped, or failed where a browser is required, if there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        (pytest.fail if os.environ.get("TALLYBOOK_REQUIRE_BROWSER") else pytest.skip)("there is no Chromium here")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has complained of: errors of scripts, of the policy, of the network. A test may take some out."""
    return []


@pytest.fixture
def new_page(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a context of its own; at the end nothing may be left to complain of."""
    contexts: list[BrowserContext] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def dismiss(dialog: Dialog) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def open_page(url: str, width: int = 1280, height: int = 900, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def month() -> Iterator[Server]:
    """A server on demo traffic: one day restated by a record that came late. Tests leave it as it is."""
    with tempfile.TemporaryDirectory(prefix="tb-") as folder:
        demo = Home(Path(folder) / "month")
        demo.do("demo", "--days", str(DAYS))
        with serving(demo) as started:
            late = {
                "created_at": f"{ago(3)}T10:00:00Z",
                "model_name": "gpt-5-mini",
                "status_code": 200,
                "request_id": "late",
            }
            httpx.post(f"{started.url}/v1/log-records", json=[late]).raise_for_status()
            demo.do("reconcile", "--post")
            yield started
