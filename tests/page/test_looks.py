"""How the page looks and is got at: light and dark, small, by keyboard, by those who cannot see it, on paper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from acceptance.running import Server, ago

PAGES = ("", "?measure=latency&period=last7d", f"day?day={ago(2)}", "book", "sign-in")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_by_axe(month: Server, new_page: Callable[..., Page], path: str, scheme: str) -> None:
    page = new_page(f"{month.url}/{path}", color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:120] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("path", PAGES)
def test_a_phone_scrolls_one_way_only(month: Server, new_page: Callable[..., Page], path: str, width: int) -> None:
    page = new_page(f"{month.url}/{path}", width=width, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if path == "":
        expect(page.locator("svg.chart.narrow")).to_be_visible()
        expect(page.locator("svg.chart.wide")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1142, 1240])
def test_a_table_fits_its_card_where_much_is_unknown(server: Server, new_page: Callable[..., Page], width: int) -> None:
    """At 1142 two tables begin to stand beside each other, so there they are narrowest."""
    known = {"tokens_in": 43_900_000, "tokens_out": 44_000_000, "latency_ms": 123_456, "cost_usd": "1500"}
    records = [
        {
            "created_at": datetime.now(UTC).isoformat(),
            "model_name": name,
            "provider": name,
            "status_code": 200,
            **figures,
        }
        for name, figures in (("claude-haiku-4-5-20251001-preview", {}), ("gpt-5-mini", {}), ("gpt-5", known))
    ]
    server.post("/v1/log-records", records)
    page = new_page(f"{server.url}/?period=today", width=width)
    expect(page.locator("#by-model td .unknown")).to_have_count(6)
    for dimension in ("model", "provider", "team", "api_key"):
        table = page.locator(f"#by-{dimension} .scroll")
        assert table.evaluate("table => table.scrollWidth - table.clientWidth") == 0, dimension
    for heading in ("Requests", "Tokens", "Cost", "p95"):
        expect(page.locator("#by-model thead").get_by_role("link", name=heading)).to_be_visible()


def test_a_phone_shows_the_column_that_its_rows_are_ordered_by(month: Server, new_page: Callable[..., Page]) -> None:
    failed = "#by-model thead th:has-text('Failed')"
    expect(new_page(month.url, width=390).locator(failed)).to_be_hidden()
    expect(new_page(f"{month.url}/?sort=failed", width=390).locator(failed)).to_be_visible()


def test_a_message_is_as_wide_as_the_phone(month: Server, new_page: Callable[..., Page], complaints: list[str]) -> None:
    page = new_page(f"{month.url}/?period={'x' * 80}", width=320, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    complaints.clear()


def test_it_is_dark_where_the_system_is_and_where_one_wants_it(month: Server, new_page: Callable[..., Page]) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert new_page(month.url, color_scheme="dark").evaluate(ground) == "rgb(17, 20, 23)"
    page = new_page(month.url, color_scheme="light")
    assert page.evaluate(ground) == "rgb(247, 247, 245)"
    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) == "rgb(17, 20, 23)"
    page.reload()
    assert page.evaluate(ground) == "rgb(17, 20, 23)"


def test_the_chosen_theme_is_there_before_anything_is_painted(
    month: Server, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    """The large script comes when the page is there; without it, too, the theme is the chosen one."""
    page = new_page(month.url, color_scheme="light")
    page.evaluate("localStorage.setItem('tallybook-theme', 'dark')")
    page.route("**/page.*.js", lambda route: route.abort())
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 23)"
    assert [text for text in complaints if "ERR_FAILED" not in text] == []
    complaints.clear()


def test_the_chart_is_walked_by_keyboard(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the figures"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.slots') !== null"):
            break
    expect(page.locator("#tip")).to_contain_text(ago(1))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tip")).to_contain_text(ago(2))
    page.keyboard.press("Home")
    expect(page.locator("#tip")).to_contain_text(ago(30))
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tip")).to_contain_text(ago(2))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{month.url}/day?day={ago(2)}")


def test_the_calendar_is_walked_by_weeks_and_days(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.locator("svg.calendar a").last.focus()
    for key, day in [
        ("ArrowLeft", ago(7)),
        ("ArrowUp", ago(8)),
        ("ArrowRight", ago(1)),
        ("ArrowDown", ago(0)),
        ("ArrowRight", ago(0)),
    ]:
        page.keyboard.press(key)
        expect(page.locator(f"svg.calendar a[href='day?day={day}']")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("svg.calendar a").first).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator("svg.calendar a").last).to_be_focused()


@pytest.mark.parametrize("picture", ["svg.chart.narrow", "svg.calendar"])
def test_a_first_tap_tells_the_values_and_a_second_opens_the_day(
    month: Server, new_page: Callable[..., Page], picture: str
) -> None:
    page = new_page(month.url, width=390, height=844, has_touch=True, is_mobile=True)
    yesterday, before = (page.locator(f"{picture} a[href='day?day={ago(days)}']") for days in (1, 2))
    for day, mark in ((ago(2), before), (ago(1), yesterday)):
        mark.tap()
        expect(page.locator("#tip")).to_contain_text(day)
    expect(page).to_have_url(f"{month.url}/")
    yesterday.tap()
    expect(page).to_have_url(f"{month.url}/day?day={ago(1)}")


def test_a_column_under_the_pointer_is_never_dark(month: Server, new_page: Callable[..., Page]) -> None:
    """Only its opacity changes, so that nothing is seen on the way."""
    page = new_page(month.url)
    column = page.locator("svg.chart.wide .slots rect").nth(5)
    expect(column).to_have_css("fill", "rgb(27, 31, 36)")
    expect(column).to_have_css("opacity", "0")
    column.hover()
    expect(column).to_have_css("opacity", "0.07")


@pytest.mark.parametrize("width", [390, 700, 1000, 1280])
def test_figures_leave_no_hole_in_their_table(month: Server, new_page: Callable[..., Page], width: int) -> None:
    page = new_page(f"{month.url}/book", width=width)
    expect(page.locator("dl.tiles")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("dl.tiles div").first).to_have_css("border-right-width", "1px")


def test_notes_stand_beside_each_other_and_their_links_look_like_links(
    month: Server, new_page: Callable[..., Page]
) -> None:
    page = new_page(month.url)
    demo, restated = page.locator(".notes .note.demo"), page.locator(".notes .note.restated")
    first, second = demo.bounding_box(), restated.bounding_box()
    assert first
    assert second
    assert (first["y"], first["x"] + first["width"] < second["x"]) == (second["y"], True)
    expect(restated.get_by_role("link")).to_have_css("text-decoration-line", "underline")


def test_a_label_stands_off_the_bars_behind_it(month: Server, new_page: Callable[..., Page]) -> None:
    label = new_page(month.url).locator("svg.chart.wide .grid text").first
    expect(label).to_have_css("paint-order", "stroke")
    expect(label).to_have_css("stroke", "rgb(255, 255, 255)")


def test_the_button_to_sign_in_is_the_main_one(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(f"{month.url}/sign-in")
    expect(page.get_by_role("button", name="Sign in")).to_have_css("background-color", "rgb(43, 88, 196)")


def test_what_is_chosen_is_seen_in_forced_colours(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.emulate_media(forced_colors="active")
    ground = "getComputedStyle(document.querySelector('.switch a{}')).backgroundColor"
    assert page.evaluate(ground.format("[aria-current]")) != page.evaluate(ground.format(":not([aria-current])"))


def test_every_link_and_field_shows_where_the_keyboard_is(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_on_paper_only_figures_are_left(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.emulate_media(media="print")
    expect(page.locator("dl.tiles")).to_be_visible()
    expect(page.locator("svg.calendar")).to_be_visible()
    for what in (".downloads", ".range", "nav[aria-label=Pages]", "#theme"):
        expect(page.locator(what).first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_light_whatever_the_screen_is(month: Server, new_page: Callable[..., Page], scheme: str) -> None:
    page = new_page(month.url, color_scheme=scheme)
    for theme in ("system", "light", "dark"):
        expect(page.locator("#theme")).to_have_text(f"Theme: {theme}")
        page.emulate_media(media="print")
        expect(page.locator("body")).to_have_css("color", "rgb(27, 31, 36)")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        page.emulate_media(media="screen")
        page.locator("#theme").click()


def test_a_page_works_without_scripts(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url, java_script_enabled=False)
    page.get_by_role("link", name="7 days").click()
    expect(page).to_have_url(f"{month.url}/?period=last7d")
    expect(page.locator("svg.chart.wide path.bar").first).to_be_visible()
