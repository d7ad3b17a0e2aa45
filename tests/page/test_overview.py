from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Server, ago


def headline(page: Page) -> dict[str, str]:
    names = page.locator("dl.tiles dt").evaluate_all("all => all.map(each => each.firstChild.textContent.trim())")
    return dict(zip(names, page.locator("dl.tiles dd:not(.change)").all_inner_texts(), strict=True))


def totals(server: Server, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = server.http.get("/v1/stats", params=parameters).json()["totals"]
    return found


def test_the_headline_is_what_the_statistics_say(month: Server, new_page: Callable[..., Page]) -> None:
    shown, told = headline(new_page(month.url)), totals(month, period="last30d")
    assert shown["Requests"] == f"{told['requests']:,}"
    assert shown["Success"] == f"{100 * told['success'] / told['status_count']:.2f} %"
    assert shown["Cost"] == f"${float(told['cost_usd']):,.2f}"
    assert list(shown) == ["Requests", "Success", "Tokens in", "Tokens out", "Cost", "p50", "p95"]


@pytest.mark.parametrize(
    ("title", "period"), [("Yesterday", "yesterday"), ("7 days", "last7d"), ("90 days", "last90d"), ("Today", "today")]
)
def test_the_period_is_switched_and_stands_in_the_url(
    month: Server, new_page: Callable[..., Page], title: str, period: str
) -> None:
    page = new_page(month.url)
    page.get_by_role("link", name=title, exact=True).click()
    expect(page).to_have_url(f"{month.url}/?period={period}")
    requests = totals(month, period=period)["requests"]
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{requests:,}")
    assert headline(new_page(page.url))["Requests"] == f"{requests:,}"
    page.go_back()
    expect(page.get_by_role("link", name="30 days", exact=True)).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("path", ["/", "/day", "/book", "/sign-in", "/download", "/chart.svg", "/healthz"])
def test_whether_a_page_is_there_can_be_asked_without_its_content(month: Server, path: str) -> None:
    parameters = {"day": ago(1)} if path == "/day" else {}
    whole, told = (month.http.request(method, path, params=parameters) for method in ("GET", "HEAD"))
    assert (whole.status_code, told.status_code, told.content) == (200, 200, b"")
    assert told.headers["content-type"] == whole.headers["content-type"]


def test_any_range_can_be_chosen(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.locator("input[name=from]").fill(ago(10))
    page.locator("input[name=to]").fill(ago(9))
    page.get_by_role("button", name="Show").click()
    expect(page.locator("dl.tiles dd").first).to_have_text(
        f"{totals(month, **{'from': ago(10), 'to': ago(9)})['requests']:,}"
    )


def test_another_range_is_asked_the_same(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?period=last7d&sort=cost&basis=original&filter=team%3Dsearch")
    page.locator("input[name=from]").fill(ago(10))
    page.locator("input[name=to]").fill(ago(9))
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(f"{month.url}/?from={ago(10)}&to={ago(9)}&filter=team%3Dsearch&sort=cost&basis=original")
    page.get_by_role("link", name="Show it with adjustments").click()
    expect(page).to_have_url(f"{month.url}/?from={ago(10)}&to={ago(9)}&filter=team%3Dsearch&sort=cost")


def test_a_range_up_to_today_has_today_in_it(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?from={ago(1)}&to={ago(0)}")
    both = [totals(month, period=period)["requests"] for period in ("yesterday", "today")]
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{sum(both):,}")
    expect(page.locator("section[aria-label=Chart] .more")).to_contain_text("today so far")


def test_days_that_are_not_here_yet_are_not_zero(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?from={ago(-1)}&to={ago(-2)}")
    assert set(headline(page).values()) == {"unknown"}
    expect(page.locator(".note.unknown")).to_have_text(f"{ago(-1)} to {ago(-2)} is not here yet.")
    expect(page.locator("section[aria-label=Chart] .more")).not_to_contain_text("today so far")


def test_what_the_changes_are_against_stands_there_once(month: Server, new_page: Callable[..., Page]) -> None:
    expect(new_page(f"{month.url}/?period=last7d").locator(".against")).to_have_text(re.compile(r"against .+ to .+"))
    expect(new_page(f"{month.url}/?period=last90d").locator(".against")).to_have_count(0)


def test_a_cost_says_of_how_many_requests_it_is(month: Server, new_page: Callable[..., Page]) -> None:
    told = totals(month, period="last30d")
    share = f"{100 * told['priced_requests'] / told['requests']:.0f} %"
    part = new_page(month.url).locator("dl.tiles small")
    expect(part).to_have_text(f"{share} priced")
    expect(part).to_have_attribute("title", f"{share} of requests priced")


def test_latencies_that_a_filter_hides_say_why(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?filter=team%3Dsearch&measure=latency")
    why = "Latencies are kept by provider and model only."
    assert [each.get_attribute("title") for each in page.locator("dl.tiles .unknown").all()] == [why, why]
    expect(page.locator("svg.chart.wide .nothing")).to_have_text(why.rstrip("."))


def test_a_name_of_blanks_is_seen_and_a_row_like_others(server: Server, new_page: Callable[..., Page]) -> None:
    now = datetime.now(UTC).isoformat()
    posted = {"created_at": now, "model_name": "gpt-5", "team": "  ", "status_code": 200}
    server.http.post("/v1/log-records", json=[posted]).raise_for_status()
    page = new_page(f"{server.url}/?period=today")
    page.locator("#by-team").get_by_role("link", name="(blank)").click()
    expect(page.locator(".chips bdi")).to_have_text("(blank)")
    expect(page.locator("#by-model tbody bdi")).to_have_attribute("title", "gpt-5")
    expect(page.locator("svg.chart.wide .grid text")).to_have_text(["0", "1"])


def test_a_day_without_records_is_marked_in_the_chart(month: Server, new_page: Callable[..., Page]) -> None:
    expect(new_page(month.url).locator("svg.chart.wide .days rect.zero")).to_have_count(1)


def test_a_row_is_a_filter_and_the_chip_takes_it_away(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.locator("#by-model").get_by_role("link", name="gpt-5", exact=True).click()
    expect(page).to_have_url(f"{month.url}/?filter=model%3Dgpt-5")
    told = totals(month, period="last30d", filter="model=gpt-5")
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{told['requests']:,}")
    expect(page.locator("#by-provider tbody tr")).to_have_count(1)
    page.locator("#by-team").get_by_role("link", name="unknown").click()
    narrower = totals(month, period="last30d", filter=["model=gpt-5", "team"])
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{narrower['requests']:,}")
    page.locator(".chips a").first.click()
    expect(page.locator(".chips a")).to_have_count(1)


def test_tables_are_put_in_another_order(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.locator("#by-model").get_by_role("link", name="Cost").click()
    expect(page.locator("#by-model th[aria-sort]")).to_have_text("Cost")
    first = page.locator("#by-model tbody th").first
    expect(first).to_have_text("claude-sonnet-4-5")
    assert page.locator("#by-model tbody th").last.inner_text() == "qwen3-32b"
    assert page.locator("#by-model tbody tr").last.get_by_title("unknown").is_visible()


def test_a_long_table_is_shown_whole(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    expect(page.locator("#by-api_key tbody tr")).to_have_count(8)
    page.locator("#by-api_key").get_by_role("link", name="8 more").click()
    expect(page.locator("#by-api_key tbody tr")).to_have_count(16)


def test_a_table_that_is_too_long_to_show_leads_back_and_names_the_download(
    server: Server, new_page: Callable[..., Page]
) -> None:
    now = datetime.now(UTC).isoformat()
    posted = [{"created_at": now, "model_name": f"m{number}", "status_code": 200} for number in range(503)]
    server.http.post("/v1/log-records", json=posted).raise_for_status()
    page = new_page(f"{server.url}/?period=today")
    table = page.locator("#by-model")
    table.get_by_role("link", name="495 more").click()
    expect(table.locator("tbody tr")).to_have_count(500)
    expect(table.locator(".more")).to_contain_text("and 3 more in the download")
    table.get_by_role("link", name="fewer").click()
    expect(table.locator("tbody tr")).to_have_count(8)


@pytest.mark.parametrize("measure", ["Tokens", "Cost", "Latency"])
def test_another_measure_is_drawn(month: Server, new_page: Callable[..., Page], measure: str) -> None:
    page = new_page(month.url)
    page.get_by_label("Measure").get_by_role("link", name=measure).click()
    expect(page.get_by_label(f"By day, {measure.lower()}").first).to_be_visible()
    drawn = page.locator("svg.chart.wide path.line" if measure == "Latency" else "svg.chart.wide path.bar")
    expect(drawn).to_have_count({"Tokens": 2, "Cost": 1, "Latency": 3}[measure])


def test_a_days_values_are_told_under_the_pointer_and_a_click_opens_it(
    month: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(month.url)
    day = month.http.get("/v1/stats", params={"period": "last30d"}).json()["series"][-2]
    slot = page.locator("svg.chart.wide .slots a").nth(28)
    slot.hover()
    tip = page.locator("#tip")
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(day["date"])
    expect(tip).to_contain_text(f"{day['requests']:,}")
    slot.click()
    expect(page).to_have_url(f"{month.url}/day?day={day['date']}")


def test_a_single_day_is_drawn_by_the_hour_and_leads_to_its_page(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?period=yesterday")
    slots = page.get_by_label("By hour, requests").first.locator(".slots a")
    expect(slots).to_have_count(24)
    told = [label for slot in slots.all() if (label := slot.get_attribute("aria-label"))]
    requests = [int(found[1].replace(",", "")) for label in told if (found := re.search(r"Requests ([\d,]+)", label))]
    assert sum(requests) == totals(month, period="yesterday")["requests"]
    page.get_by_role("link", name="All of this day").click()
    expect(page).to_have_url(f"{month.url}/day?day={ago(1)}")


def test_a_single_day_of_some_values_only_and_its_latencies_are_one_column(
    month: Server, new_page: Callable[..., Page]
) -> None:
    for asked in ("filter=team%3Dsearch", "measure=latency"):
        page = new_page(f"{month.url}/?period=yesterday&{asked}")
        expect(page.locator("svg.chart.wide .slots a")).to_have_count(1)


def test_a_restated_period_says_so_and_leads_to_the_adjustments(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/?from={ago(3)}&to={ago(3)}")
    note = page.locator(".note.restated")
    expect(note).to_have_text(re.compile(r"restated \+0\.\d %: 1 adjustment"))
    note.get_by_role("link").click()
    expect(page.locator("#adjustments")).to_contain_text("1 record came after the day was closed")


def test_demo_traffic_is_called_so(month: Server, new_page: Callable[..., Page]) -> None:
    expect(new_page(month.url).locator(".note.demo")).to_contain_text("Synthetic demo traffic")


def test_what_cannot_be_shown_is_said_in_a_sentence(
    month: Server, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    page = new_page(f"{month.url}/?period=lastweek")
    expect(page.get_by_role("heading", level=1)).to_contain_text("There is no period 'lastweek'")
    complaints.clear()
