from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago


def test_an_empty_home_says_how_to_send_and_turns_into_the_overview_with_the_first_record(
    server: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(server.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready. Nothing has arrived yet.")
    expect(page.locator("pre").first).to_contain_text(f"curl -s {server.url}/v1/log-records")
    page.evaluate("window.notReloaded = true")

    now = datetime.now(UTC).isoformat()
    server.http.post("/v1/log-records", json=[{"created_at": now, "model_name": "first", "status_code": 200}])

    expect(page.locator("dl.tiles")).to_be_visible()
    expect(page.get_by_role("link", name="Today")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
    expect(page.locator("header")).to_contain_text("no day closed yet")
    expect(page).to_have_title(f"{ago(0)} · tallybook")
    expect(page.locator("dl.tiles dd").first).to_have_text("1")
    expect(page.get_by_role("row", name="first")).to_be_visible()
    assert page.evaluate("window.notReloaded")


def test_today_counts_on_by_itself(server: Server, new_page: Callable[..., Page]) -> None:
    record = {"created_at": datetime.now(UTC).isoformat(), "model_name": "m", "status_code": 200}
    server.http.post("/v1/log-records", json=[record])
    page = new_page(f"{server.url}/?period=today")
    expect(page.locator("dl.tiles dd").first).to_have_text("1")
    server.http.post("/v1/log-records", json=[record, record])
    expect(page.locator("dl.tiles dd").first).to_have_text("3", timeout=20_000)


def test_the_lines_to_copy_are_copied(server: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(server.url, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith(f"curl -s {server.url}/v1/log-records -d '")


def test_where_calls_need_a_token_the_lines_show_it(server: Server, home: Home, new_page: Callable[..., Page]) -> None:
    admin = home.ask("token", "create", "--role", "admin")["token"]
    page = new_page(server.url)
    page.get_by_label("Token").fill(admin)
    page.get_by_role("button", name="Sign in").click()
    lines = "\n".join(page.locator("pre code").all_inner_texts())
    for line in (
        f"export TALLYBOOK_TOKEN=$(tallybook --home {home.path} token create --role ingest)",
        f'curl -s {server.url}/v1/log-records -H "Authorization: Bearer $TALLYBOOK_TOKEN" -d \'[{{',
        'export TALLYBOOK_AUTHORIZATION="Bearer $TALLYBOOK_TOKEN"',
        "headers: { Authorization: os.environ/TALLYBOOK_AUTHORIZATION }, max_retries: 6 }",
        'export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20$TALLYBOOK_TOKEN"',
    ):
        assert line in lines


def test_the_line_with_a_token_sends_a_record(server: Server, home: Home, new_page: Callable[..., Page]) -> None:
    admin = home.ask("token", "create", "--role", "admin")["token"]
    page = new_page(server.url)
    page.get_by_label("Token").fill(admin)
    page.get_by_role("button", name="Sign in").click()
    line = page.locator("pre code").filter(has_text="curl").inner_text()
    ran = subprocess.run(
        ["/bin/sh", "-c", line], env={**os.environ, "TALLYBOOK_TOKEN": admin}, capture_output=True, check=True
    )
    assert json.loads(ran.stdout) == {"accepted": 1, "duplicates": 0, "rejected": []}
    expect(page.locator("dl.tiles dd").first).to_have_text("1")
