"""How the page looks and is got at: light and dark, small, by keyboard, by those who cannot see it, on paper."""

from __future__ import annotations

from collections.abc import Callable

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


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_scrolls_one_way_only(month: Server, new_page: Callable[..., Page], path: str) -> None:
    page = new_page(f"{month.url}/{path}", width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    if path == "":
        expect(page.locator("svg.chart.narrow")).to_be_visible()
        expect(page.locator("svg.chart.wide")).to_be_hidden()


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
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{month.url}/day?day={ago(2)}")


def test_every_link_and_field_shows_where_the_keyboard_is(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_on_paper_only_figures_are_left(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url)
    page.emulate_media(media="print")
    expect(page.locator("dl.tiles")).to_be_visible()
    for what in (".downloads", ".range", "nav[aria-label=Pages]"):
        expect(page.locator(what).first).to_be_hidden()


def test_a_page_works_without_scripts(month: Server, new_page: Callable[..., Page]) -> None:
    page = new_page(month.url, java_script_enabled=False)
    page.get_by_role("link", name="7 days").click()
    expect(page).to_have_url(f"{month.url}/?period=last7d")
    expect(page.locator("svg.chart.wide path.bar").first).to_be_visible()
