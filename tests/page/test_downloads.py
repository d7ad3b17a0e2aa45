"""What is on the screen, taken out of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from playwright.sync_api import Page, expect

from acceptance.running import Server


def saved(page: Page, section: str, link: str) -> Path:
    with page.expect_download() as download:
        page.locator(section).get_by_role("link", name=link, exact=True).click()
    return download.value.path()


def test_a_table_is_saved_in_three_formats_that_say_the_same(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?period=last7d&filter=team%3Dsearch&sort=cost")
    by = {"period": "last7d", "filter": "team=search", "by": "model"}
    rows = month.http.get("/v1/stats", params=by).json()["by"]["rows"]
    rows.sort(key=lambda row: (row["cost_usd"] is None, -float(row["cost_usd"] or 0)))
    assert json.loads(saved(page, "#by-model", "JSON").read_bytes()) == rows
    table = list(csv.DictReader(io.StringIO(saved(page, "#by-model", "CSV").read_text())))
    assert [(row["value"], int(row["requests"]), row["cost_usd"] or None) for row in table] == [
        (row["value"], row["requests"], row["cost_usd"]) for row in rows
    ]
    parquet = pq.read_table(saved(page, "#by-model", "Parquet")).to_pylist()
    assert [(row["value"], row["tokens_in"]) for row in parquet] == [(row["value"], row["tokens_in"]) for row in rows]
    assert [row["cost_usd"] for row in parquet if row["cost_usd"] is None] == [None]


def test_the_days_are_saved(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?period=last7d")
    days = json.loads(saved(page, "section[aria-label=Chart]", "JSON").read_bytes())
    assert days == month.http.get("/v1/stats", params={"period": "last7d"}).json()["series"]


def test_the_chart_is_saved_as_a_picture(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    svg = saved(page, "section[aria-label=Chart]", "SVG").read_text()
    assert svg.startswith("<svg")
    assert "<style" not in svg
    png = saved(page, "section[aria-label=Chart]", "PNG").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 2 * 1080


def test_a_report_is_one_file_that_asks_nobody(month: Server, tmp_path: Path, new_page: Callable[..., Page]) -> None:
    file = tmp_path / "report.html"
    month.home.do("report", "last30d", "-o", str(file))
    page = new_page("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    expect(page.get_by_role("heading", level=1)).to_have_text("LLM API traffic")
    expect(page.locator("svg.chart.wide")).to_have_count(4)
    assert asked == [file.as_uri()]
