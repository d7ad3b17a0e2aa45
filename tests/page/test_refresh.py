"""What the script changes in place: after a click, and by itself while somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago

ANSWERED_LATE = """() => {
    const asked = fetch;
    let calls = 0;
    window.fetch = async (...given) => {
        const isFirst = calls++ === 0;
        const answer = await asked(...given);
        if (isFirst) await new Promise(done => setTimeout(done, 1000));
        return answer;
    };
}"""
"""The first answer comes a second late, and so after those to later questions."""

COME_BACK = "document.dispatchEvent(new Event('visibilitychange'))"
"""The page refreshes itself when somebody comes back to its tab."""


def send(server: Server, days_ago: int = 0) -> None:
    """Sends a record of now, or of so many days ago."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    record = {"created_at": at.isoformat(), "model_name": "m", "status_code": 200}
    server.http.post("/v1/log-records", json=[record]).raise_for_status()


def press(page: Page, *names: str) -> None:
    """Clicks these links of the page in one go, faster than anything can be answered."""
    for_each = "name => [...document.links].find(link => link.textContent === name).click()"
    page.evaluate(f"names => names.forEach({for_each})", list(names))


def test_the_last_of_several_fast_clicks_wins(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.evaluate(ANSWERED_LATE)
    press(page, "7 days", "Yesterday", "90 days")
    chosen = page.get_by_role("navigation", name="Period").locator("[aria-current]")
    expect(chosen).to_have_text("90 days")
    page.wait_for_timeout(1500)
    expect(chosen).to_have_text("90 days")
    expect(page).to_have_url(f"{month.url}/?period=last90d")
    page.go_back()
    expect(chosen).to_have_text("30 days")


def test_what_takes_long_is_dimmed_until_it_is_there(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.evaluate(ANSWERED_LATE)
    press(page, "7 days")
    main = page.locator("main")
    expect(main).to_have_attribute("aria-busy", "true")
    expect(main).to_have_css("opacity", "0.65")
    expect(page).to_have_url(f"{month.url}/?period=last7d")
    expect(main).not_to_have_attribute("aria-busy", "true")
    expect(main).to_have_css("opacity", "1")


def test_a_display_on_the_wall_tells_how_the_book_stands_now(
    server: Server, home: Home, new_page: Callable[..., Page]
) -> None:
    for days in (0, 1):
        send(server, days)
    page = new_page(f"{server.url}/?period=today")
    expect(page.locator("header .standing")).to_contain_text("no day closed yet")
    home.do("close", ago(1))
    page.evaluate(COME_BACK)
    expect(page.locator("header .standing")).to_have_text(f"closed through {ago(1)}")


@pytest.mark.parametrize("path", ["/", "/?period=today", "/book", f"/day?day={ago(2)}"])
def test_a_refresh_where_nothing_changed_is_less_than_a_kilobyte(month: Server, path: str) -> None:
    url = f"{month.url}{path}{'&' if '?' in path else '?'}part=main"
    first = httpx.get(url)
    again = httpx.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert sum(len(name) + len(value) + 4 for name, value in again.headers.raw) < 1000


def test_where_nothing_changed_nothing_is_replaced(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.evaluate("for (const id of ['nav', 'standing', 'main']) document.getElementById(id).isFirst = true")
    with page.expect_response(lambda answer: "part=main" in answer.url):
        page.evaluate(COME_BACK)
    page.wait_for_timeout(300)
    assert page.evaluate("['nav', 'standing', 'main'].map(id => document.getElementById(id).isFirst)") == [True] * 3


def test_the_first_run_stays_as_it_is_while_somebody_copies(server: Server) -> None:
    first = httpx.get(f"{server.url}/?part=main")
    now = datetime.now(UTC)
    assert f"{now:%Y-%m-%dT%H}:00:00Z" in first.text
    again = httpx.get(f"{server.url}/?part=main", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


def test_text_that_is_selected_stays_so(server: Server, new_page: Callable[..., Page]) -> None:
    send(server)
    page = new_page(f"{server.url}/?period=today")
    requests = page.locator("dl.tiles dd").first
    page.evaluate("getSelection().selectAllChildren(document.querySelector('dl.tiles'))")
    send(server)
    page.evaluate(COME_BACK)
    page.wait_for_timeout(1000)
    expect(requests).to_have_text("1")
    page.evaluate("getSelection().removeAllRanges()")
    page.evaluate(COME_BACK)
    expect(requests).to_have_text("2")


def test_the_focus_stays_on_the_heading_that_was_sorted_by(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    heading = page.locator("#by-provider thead").get_by_role("link", name="Tokens")
    heading.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#by-provider th[aria-sort]")).to_have_text("Tokens")
    expect(heading).to_be_focused()


def test_the_focus_stays_on_the_measure_that_was_chosen(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?period=last7d")
    measures = page.get_by_role("navigation", name="Measure")
    for name in ("Latency", "Requests"):
        link = measures.get_by_role("link", name=name)
        link.focus()
        page.keyboard.press("Enter")
        expect(measures.locator("[aria-current]")).to_have_text(name)
        expect(link).to_be_focused()


def test_the_focus_stays_on_the_row_so_that_the_same_key_undoes_its_filter(
    month: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(month.url)
    row = page.locator("#by-model tbody").get_by_role("link", name="gpt-5-mini", exact=True)
    chips = page.get_by_role("list", name="Filters").get_by_role("link")
    row.focus()
    for count in (1, 0, 1):
        page.keyboard.press("Enter")
        expect(chips).to_have_count(count)
        expect(row).to_be_focused()


def test_from_a_filter_that_is_taken_away_the_focus_goes_to_the_next_and_at_last_to_the_page(
    month: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(f"{month.url}/?filter=model%3Dgpt-5-mini&filter=provider%3Dopenai&filter=team%3Dsearch")
    chips = page.get_by_role("list", name="Filters").get_by_role("link")
    chips.nth(1).focus()
    for left, focused in ((2, "Team search"), (1, "Model gpt-5-mini")):
        page.keyboard.press("Enter")
        expect(chips).to_have_count(left)
        expect(chips.last).to_contain_text(focused)
        expect(chips.last).to_be_focused()
    page.keyboard.press("Enter")
    expect(chips).to_have_count(0)
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("navigation", name="Period").get_by_role("link").first).to_be_focused()


def test_the_focus_stays_in_the_calendar_when_figures_change(server: Server, new_page: Callable[..., Page]) -> None:
    send(server)
    page = new_page(f"{server.url}/?period=last7d")
    today = page.locator(f"svg.calendar a[href='day?day={ago(0)}']")
    yesterday = page.locator(f"svg.calendar a[href='day?day={ago(1)}']")
    today.focus()
    page.keyboard.press("ArrowUp")
    expect(yesterday).to_be_focused()
    page.evaluate("document.querySelector('main').dataset.first = ''")
    send(server, 1)
    page.evaluate(COME_BACK)
    expect(page.locator("main[data-first]")).to_have_count(0)
    expect(yesterday).to_be_focused()


def test_a_link_within_the_page_reloads_nothing(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.evaluate("window.notReloaded = true")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{month.url}/#main")
    page.wait_for_timeout(300)
    assert page.evaluate("window.notReloaded")
