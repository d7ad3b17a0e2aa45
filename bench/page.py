"""The overview over HTTP and in a browser: what the server takes, what goes over the wire, when the chart is there."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median, quantiles

import httpx

from bench.books import NOW, close_all
from bench.collecting import serving
from bench.engines import fill_own_logs, own_logs
from bench.servers import REQUIRED
from bench.table import Finding, Findings, limit
from bench.traffic import SLICES_PER_DAY, Traffic
from tallybook.book.ledger import Book

MONTHS = Traffic(days=90, per_day=20_000)
CALLS = 200
VIEWS = 9
SERVER_BELOW_MS = 30
FIRST_VIEW_BELOW_KB, REFRESH_BELOW_KB = 500, 30
DRAWN_BELOW_MS = 1_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>
    done(document.querySelector("svg.chart.wide path.bar") ? performance.now() : Infinity))))"""
"""Milliseconds from the start of the navigation to the second frame in which the chart stands."""


def measure_page(folder: Path, divisor: int) -> list[Findings]:
    """The overview of 90 days of 1,000 slices, as a browser asks for it."""
    home = folder / "home"
    _fill(home, MONTHS.scaled(divisor))
    path = f"/?from={MONTHS.day(0)}&to={MONTHS.day(MONTHS.days - 1)}"
    with serving(home) as url, httpx.Client(base_url=url, headers={"Accept-Encoding": "gzip"}) as client:
        rows = [*_over_http(client, path, max(CALLS // divisor, 10)), *_in_a_browser(url + path)]
    return [Findings(f"12. the overview of {MONTHS.days} days of {SLICES_PER_DAY:,} slices", rows)]


def _fill(home: Path, traffic: Traffic) -> None:
    """A home in which the traffic is closed."""
    home.mkdir()
    fill_own_logs(home / "logs.duckdb", traffic)
    book = Book.open(f"sqlite:///{home}/book.sqlite", NOW)
    try:
        with own_logs(home / "logs.duckdb") as logs:
            close_all(book, logs.source, traffic.all_days)
    finally:
        book.close()


def _over_http(client: httpx.Client, path: str, calls: int) -> list[Finding]:
    first = _timed_ms(client, path)
    times = [_timed_ms(client, path) for _ in range(calls)]
    narrowed = [_timed_ms(client, f"{path}&filter=team%3Dteam-{number % 10}") for number in range(calls)]
    page = client.get(path)
    known = {"If-None-Match": page.headers["etag"]}
    return [
        limit(f"server, median of {calls} views", median(times), "ms", SERVER_BELOW_MS),
        limit(f"server, p99 of {calls} views", quantiles(times, n=100)[98], "ms"),
        limit(f"server, median of {calls} views with a filter", median(narrowed), "ms"),
        limit("server, first view after a start", first, "ms"),
        limit("first view with style and script, compressed", _first_view_kb(client, page), "kB", FIRST_VIEW_BELOW_KB),
        limit("a refresh, compressed", _wire_kb(client.get(f"{path}&part=main")), "kB", REFRESH_BELOW_KB),
        limit("a refresh where nothing has changed", _wire_kb(client.get(path, headers=known)), "kB"),
    ]


def _timed_ms(client: httpx.Client, path: str) -> float:
    """From asking to the last byte."""
    start = time.perf_counter()
    client.get(path).raise_for_status()
    return (time.perf_counter() - start) * 1000


def _first_view_kb(client: httpx.Client, page: httpx.Response) -> float:
    links = [part.split('"')[0] for part in page.text.split('"assets/')[1:]]
    return _wire_kb(page) + sum(_wire_kb(client.get(f"/assets/{name}")) for name in links)


def _wire_kb(answer: httpx.Response) -> float:
    """What was sent, headers among it."""
    headers = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    return (answer.num_bytes_downloaded + headers) / 1000


def _in_a_browser(url: str) -> list[Finding]:
    """The chart in a browser that has nothing cached; left out where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if os.environ.get(REQUIRED):
            raise FileNotFoundError("there is no Chromium; on Debian: apt-get install chromium")
        print("The browser is left out: there is no Chromium")
        return []
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser to drive

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        times = []
        for _ in range(VIEWS):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto(url, wait_until="load")
            times.append(float(page.evaluate(DRAWN)))
            context.close()
        browser.close()
    return [limit(f"headless Chromium, chart drawn, median of {VIEWS}", median(times), "ms", DRAWN_BELOW_MS)]
