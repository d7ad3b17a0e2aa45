from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from acceptance.running import Server, ago


def test_a_day_tells_its_figures_hours_latencies_and_closing(month: Server, new_page: Callable[..., Page]) -> None:
    day = ago(2)
    page = new_page(f"{month.url}/day?day={day}")
    told = month.http.get("/v1/stats", params={"period": day}).json()["totals"]
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{told['requests']:,}")
    hours = page.get_by_label("By hour, requests").first.locator(".slots a")
    expect(hours).to_have_count(24)
    counted = [
        int(line.partition("\t")[2].replace(",", ""))
        for told in (slot.get_attribute("data-told") or "" for slot in hours.all())
        for line in told.splitlines()
        if line.startswith("Requests\t")
    ]
    assert sum(counted) == told["requests"]
    expect(page.get_by_label("Requests by latency").first.locator("text=p95")).to_be_visible()
    closing = next(each for each in month.http.get("/v1/closings").json()["closings"] if each["day"] == day)
    expect(page.locator("#closing")).to_contain_text(closing["digest"])
    expect(page.locator("#closing")).to_contain_text(closing["closed_at"])


def test_it_says_in_plain_words_why_another_page_may_differ(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(3)}")
    expect(page.locator("#why")).to_contain_text("1 adjustment for records that came late or were changed, +1 requests")
    expect(page.locator("#why")).to_contain_text("The day is UTC")
    before = page.locator("dl.tiles dd").first.inner_text()
    page.get_by_role("link", name="Show it as first closed").click()
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{int(before.replace(',', '')) - 1:,}")


def test_a_day_that_was_adjusted_says_so_beside_its_name(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(3)}")
    expect(page.locator(".state")).to_have_text("closed, restated by 1 adjustment")
    expect(page.locator(".note.demo")).to_have_text("Synthetic demo traffic: nobody sent these requests.")


def test_a_day_that_is_not_here_yet_is_a_sentence(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(-3)}")
    expect(page.locator(".lead")).to_contain_text(f"{ago(-3)} is not here yet.")
    expect(page.locator("dl.tiles")).to_have_count(0)
    expect(page.get_by_role("link", name="Day after")).to_have_count(0)
    page.get_by_role("link", name="Today", exact=True).click()
    expect(page).to_have_url(f"{month.url}/day?day={ago(0)}")
    expect(page.get_by_role("link", name="Day after")).to_have_count(0)


def test_a_day_before_the_first_record_is_a_sentence(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(400)}")
    expect(page.locator(".lead")).to_contain_text(f"{ago(400)} is before the first record.")
    expect(page.locator("dl.tiles")).to_have_count(0)


def test_latencies_of_one_model_are_drawn(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(2)}&filter=model%3Dgpt-5")
    expect(page.get_by_label("Requests by latency").first.locator("text=p95")).to_be_visible()
    page = new_page(f"{month.url}/day?day={ago(2)}&filter=team%3Dsearch")
    expect(page.locator("section[aria-label=Latency]")).to_contain_text(
        "Latencies are kept by provider and model only."
    )


def test_days_are_walked_one_by_one(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(5)}")
    page.get_by_role("link", name="Day before").click()
    expect(page).to_have_url(f"{month.url}/day?day={ago(6)}")
    page.get_by_role("link", name="Day after").click()
    expect(page).to_have_url(f"{month.url}/day?day={ago(5)}")


def test_today_is_open_and_has_its_hours(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(0)}")
    expect(page.locator(".state")).to_have_text("open: not over yet")
    expect(page.locator("#closing")).to_contain_text("not yet")


def test_a_filter_keeps_to_the_day(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/day?day={ago(2)}")
    page.locator("#by-team").get_by_role("link", name="search", exact=True).click()
    expect(page).to_have_url(f"{month.url}/day?filter=team%3Dsearch&day={ago(2)}")
    told = month.http.get("/v1/stats", params={"period": ago(2), "filter": "team=search"}).json()["totals"]
    expect(page.locator("dl.tiles dd").first).to_have_text(f"{told['requests']:,}")
