from __future__ import annotations

from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

from acceptance.running import Home, Server


def token(home: Home, role: str) -> str:
    made: str = home.ask("token", "create", "--role", role)["token"]
    return made


def sign_in(page: Page, shown: str) -> None:
    page.get_by_label("Token").fill(shown)
    page.get_by_role("button", name="Sign in").click()


def test_who_has_a_token_signs_in_once_and_comes_to_where_they_wanted(
    server: Server, home: Home, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    reader = token(home, "read")
    page = new_page(f"{server.url}/book?source=local")
    expect(page).to_have_url(f"{server.url}/sign-in?next=book%3Fsource%3Dlocal")
    sign_in(page, "tb_wrong")
    expect(page.get_by_role("alert")).to_contain_text("The token is not known here")
    complaints.clear()
    sign_in(page, reader)
    expect(page).to_have_url(f"{server.url}/book?source=local")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Lax", False)
    assert page.evaluate("document.cookie") == ""
    page.goto(server.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready. Nothing has arrived yet.")
    page.get_by_role("button", name="Sign out").click()
    page.goto(server.url)
    expect(page).to_have_url(f"{server.url}/sign-in?next=")


def test_a_token_that_is_revoked_opens_nothing_from_then_on(
    server: Server, home: Home, new_page: Callable[..., Page]
) -> None:
    token(home, "admin")
    reader = home.ask("token", "create", "--role", "read")
    page = new_page(server.url)
    sign_in(page, reader["token"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Ready. Nothing has arrived yet.")
    home.do("token", "revoke", reader["id"])
    page.goto(f"{server.url}/book")
    expect(page).to_have_url(f"{server.url}/sign-in?next=book")


def test_a_token_that_only_sends_cannot_look(
    server: Server, home: Home, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    page = new_page(server.url) if token(home, "read") else None
    assert page
    sign_in(page, token(home, "ingest"))
    expect(page.get_by_role("alert")).to_contain_text("needs a token of the role read")
    complaints.clear()


def test_another_site_cannot_have_a_browser_that_is_signed_in_do_anything(server: Server, home: Home) -> None:
    cookies = {"tallybook": token(home, "admin")}
    form = {"from": "2026-01-01", "to": "2026-01-02"}
    for headers in ({"Origin": "https://evil.example"}, {}):
        answer = httpx.post(f"{server.url}/backfill", data=form, cookies=cookies, headers=headers)
        assert answer.status_code in (401, 403), headers
    own = httpx.post(f"{server.url}/backfill", data=form, cookies=cookies, headers={"Origin": server.url})
    assert (own.status_code, own.headers["location"]) == (303, "book")


def test_signing_in_leads_to_no_other_site(server: Server, home: Home) -> None:
    reader = token(home, "read")
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "book/../../x"):
        answer = httpx.post(
            f"{server.url}/sign-in", data={"token": reader, "next": target}, headers={"Origin": server.url}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "."), target


def test_behind_https_the_cookie_is_for_https_alone(server: Server, home: Home) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{server.url}/sign-in", data={"token": token(home, "read")}, headers=headers)
    assert "; Secure" in answer.headers["set-cookie"]
    assert "Path" not in answer.headers["set-cookie"]
