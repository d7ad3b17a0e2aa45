from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago, serving
from stories import record, sqlite_table

NONE = "\N{EN DASH}"


def test_every_day_is_a_cell_that_says_its_state(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/book")
    cells = page.locator("svg.calendar a")
    expect(cells.last).to_have_attribute("aria-label", f"{datetime.now(UTC):%a} {ago(0)}: open: not over yet")
    restated = page.locator(f"svg.calendar a[href='day?day={ago(3)}']")
    expect(restated).to_have_attribute(
        "aria-label",
        f"{datetime.fromisoformat(ago(3)):%a} {ago(3)}: closed; "
        + month_requests(month, ago(3))
        + " requests; restated by 1 adjustment: +1 request, 1 record came after the day was closed",
    )
    expect(restated.locator("rect")).to_have_class("restated")
    expect(page.locator(".states")).to_contain_text("zero 1")
    restated.click()
    expect(page).to_have_url(f"{month.url}/day?day={ago(3)}")


def month_requests(month: Server, day: str) -> str:
    return f"{month.http.get('/v1/stats', params={'period': day}).json()['totals']['requests']:,}"


def test_the_head_and_how_far_it_is_anchored_stand_there(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/book")
    chain = month.http.get("/v1/status").json()["chain"]
    expect(page.locator("#chain .hash")).to_have_text(chain["head"])
    expect(page.locator("#chain")).to_contain_text(f"has every head up to entry {chain['entries']}")
    expect(page.locator("dl.tiles")).to_contain_text(ago(1))
    expect(page.locator("dl.tiles")).to_contain_text("in anchors.log")


def test_a_calendar_that_is_narrower_than_the_page_stands_at_its_left(
    month: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(f"{month.url}/book")
    place = "each => each.getBoundingClientRect().left"
    assert page.locator("svg.calendar").evaluate(place) == page.locator(".scroll.end").evaluate(place)


def test_closing_many_days_shows_how_far_it_is_and_can_be_cancelled(home: Home, new_page: Callable[..., Page]) -> None:
    path = home.path.parent / "gateway.sqlite"
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    sqlite_table(path, [record(noon - timedelta(days=days)) for days in range(1, 200)], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records", "--set", "days_per_read=1")
    with serving(home) as server:
        page = new_page(f"{server.url}/book")
        page.get_by_role("button", name="Close what is missing").click()
        expect(page.locator("progress")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#backfill")).to_contain_text("Cancelled: ", timeout=30_000)
        assert len(home.ask("status")["sources"][0]["missing"]) > 1
        page.close()


def test_days_that_are_missing_say_why_and_are_closed_from_the_page(
    home: Home, new_page: Callable[..., Page], tmp_path_factory: object
) -> None:
    path = home.path.parent / "gateway.sqlite"
    sqlite_table(path, [record(f"{ago(days)[5:]} 10:00") for days in range(1, 6)], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records")
    away = path.rename(path.with_suffix(".away"))
    with serving(home) as server:
        page = new_page(f"{server.url}/book")
        expect(page.locator("#missing tr")).to_have_count(1)
        expect(page.locator("#missing tr")).to_contain_text(f"{ago(5)} to {ago(1)}")
        expect(page.locator("#missing")).to_contain_text(str(path))
        expect(page.locator(f"svg.calendar a[href='day?day={ago(1)}']")).to_have_attribute(
            "aria-label",
            f"{datetime.fromisoformat(ago(1)):%a} {ago(1)}: missing: not closed yet; gateway: "
            f"{home.ask('status')['sources'][0]['failed'][-1]['reason']}",
        )
        away.rename(path)
        page.get_by_role("button", name="Close what is missing").click()
        expect(page.locator("#backfill")).to_contain_text("Done: ")
        expect(page.locator("#missing")).to_have_count(0)
        assert home.ask("status")["sources"][0]["closed_through"] == ago(1)
        page.close()


def test_a_source_with_an_old_gap_is_not_called_unclosed_and_keeps_logs_from_being_pruned(
    home: Home, new_page: Callable[..., Page]
) -> None:
    path = home.path.parent / "gateway.sqlite"
    sqlite_table(path, [record(f"{ago(days)[5:]} 10:00") for days in range(1, 6)], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records")
    home.do("close", ago(1))
    path.rename(path.with_suffix(".away"))
    with serving(home) as server:
        page = new_page(f"{server.url}/book")
        expect(page.locator(".standing")).to_contain_text(f"1 day closed, first gap {ago(5)}")
        expect(page.locator(".standing")).to_contain_text("4 days missing")
        expect(page.locator("dl.tiles div").nth(1)).to_contain_text(NONE)
        expect(page.locator("#sources tbody td").last).to_have_text(NONE)
        page.goto(f"{server.url}/day?day={ago(3)}")
        assert set(page.locator("dl.tiles dd:not(.change)").all_inner_texts()) == {"not closed"}
        expect(page.locator(".note.warning").last).to_contain_text("This day is not closed yet.")
        page.close()
