"""What is on the screen, taken out of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Server, ago


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


def fetched(server: Server, **asked: str) -> bytes:
    return server.http.get("/download", params=asked).raise_for_status().content


def rows_of(server: Server, **asked: str) -> dict[str, list[dict[str, Any]]]:
    """The same table in each format; CSV has numbers as text and nothing as an empty field."""
    return {
        "csv": list(csv.DictReader(io.StringIO(fetched(server, **asked, format="csv").decode()))),
        "json": json.loads(fetched(server, **asked, format="json")),
        "parquet": pq.read_table(io.BytesIO(fetched(server, **asked, format="parquet"))).to_pylist(),
    }


@pytest.mark.parametrize("table", ["days", "model", "hours"])
def test_a_sum_that_nobody_told_is_nothing_and_no_zero(server: Server, table: str) -> None:
    silent = {"created_at": f"{ago(0)}T00:00:00Z", "model_name": "m", "status_code": 200}
    server.http.post("/v1/log-records", json=[silent, {**silent, "tokens_in": 0}]).raise_for_status()
    found = rows_of(server, period="today", table=table)
    names = ("requests", "failed", "tokens_in", "tokens_out", "latency_sum_ms")
    assert {name: [rows[0][each] for each in names] for name, rows in found.items()} == {
        "csv": ["2", "0", "0", "", ""],
        "json": [2, 0, 0, None, None],
        "parquet": [2, 0, 0, None, None],
    }


def test_a_table_without_rows_has_its_columns(month: Server) -> None:
    asked = {"period": "last7d", "table": "model"}
    full = fetched(month, **asked).decode().splitlines()[0]
    empty = {**asked, "filter": "model=none"}
    assert fetched(month, **empty).decode().splitlines() == [full]
    assert fetched(month, **empty, format="json") == b"[]"
    parquet, of_some = (pq.read_table(io.BytesIO(fetched(month, **each, format="parquet"))) for each in (empty, asked))
    assert (parquet.num_rows, parquet.schema) == (0, of_some.schema)


def test_the_hours_of_a_day_are_saved_where_they_are_drawn(month: Server, new_page: Callable[..., Page]) -> None:
    requests = month.http.get("/v1/stats", params={"period": "yesterday"}).json()["totals"]["requests"]
    for path, section in (("?period=yesterday", "Chart"), (f"day?day={ago(1)}", "Hours")):
        links = new_page(f"{month.url}/{path}").locator(
            f"section[aria-label={section}] .downloads", has_text="Hours as"
        )
        assert links.inner_text().split() == ["Hours", "as", "CSV", "JSON", "Parquet"]
        href = links.get_by_role("link", name="JSON").get_attribute("href")
        hours = month.http.get(f"/{href}").json()
        assert [hour["hour"] for hour in hours] == [f"{ago(1)}T{hour:02}:00:00Z" for hour in range(24)]
        assert sum(hour["requests"] for hour in hours) == requests
        assert "latency_p95_ms" not in hours[0]
    assert new_page(f"{month.url}/?period=last7d").get_by_text("Hours as").count() == 0


@pytest.mark.parametrize("asked", [{"period": "last7d"}, {"period": "yesterday", "filter": "team=search"}])
def test_hours_that_nobody_tells_are_refused(month: Server, asked: dict[str, str]) -> None:
    answer = month.http.get("/download", params={**asked, "table": "hours"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "No hours are known of that.")


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
    assert "unsafe-inline" not in file.read_text()
    assert page.locator("dl.tiles").evaluate("each => getComputedStyle(each).display") == "grid"
