"""Names that somebody else chose are shown as text, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago, serving
from stories import record, sqlite_table

NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "</title><script>alert(1)</script>",
    "&lt;b&gt;",
    "=HYPERLINK(1)",
    "a&b=c#d?e%00",
    "back\\slash",
)
BIDI = "abc\u202egnp.exe"


@pytest.fixture
def hostile(server: Server) -> Server:
    now = datetime.now(UTC).isoformat()
    records = [
        {"created_at": now, "model_name": name, "team": name, "provider": name, "status_code": 200}
        for name in (*NAMES, BIDI)
    ]
    server.http.post("/v1/log-records", json=records).raise_for_status()
    return server


def test_names_are_text_wherever_they_stand(hostile: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{hostile.url}/?period=today&all=model")
    shown = page.locator("#by-model tbody th").all_inner_texts()
    assert sorted(shown) == sorted([*NAMES, "abc\ufffdgnp.exe"])
    assert page.locator("main script, main img").count() == 0


@pytest.mark.parametrize("name", [*NAMES, BIDI])
def test_a_name_is_a_filter_whatever_it_holds(hostile: Server, new_page: Callable[..., Page], name: str) -> None:
    page = new_page(f"{hostile.url}/?period=today&all=model")
    row = page.locator("#by-model tbody tr").filter(has_text=name.replace("\u202e", "\ufffd")).first
    row.locator("th a").click()
    expect(page.locator(".chips a")).to_have_count(1)
    expect(page.locator("dl.tiles dd").first).to_have_text("1")
    page.reload()
    expect(page.locator("dl.tiles dd").first).to_have_text("1")


def test_a_very_long_name_is_cut_and_whole_on_hover(home: Home, tmp_path: Path, new_page: Callable[..., Page]) -> None:
    path, name = tmp_path / "gateway.sqlite", "n" * 10_000
    sqlite_table(path, [record(f"{ago(1)[5:]} 10:00", name)], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records")
    home.do("close", ago(1), "--source", "gateway")
    kept = home.ask("stats", ago(1), "--by", "model")["by"]["rows"][0]["value"]
    with serving(home) as server:
        page = new_page(f"{server.url}/?period=yesterday", width=390, height=844)
        cell = page.locator("#by-model tbody th bdi")
        assert len(cell.inner_text()) == 64
        assert cell.get_attribute("title") == kept
        assert page.evaluate("document.documentElement.scrollWidth") == 390
