from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from playwright.sync_api import Page, expect

from acceptance.running import Home, Server, ago, serving
from stories import record, sqlite_table


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
    expect(page).to_have_url(f"{server.url}/sign-in?next=.")


def test_signing_in_from_a_shared_overview_leads_to_that_overview(
    server: Server, home: Home, new_page: Callable[..., Page]
) -> None:
    record = {"created_at": datetime.now(UTC).isoformat(), "model_name": "m", "status_code": 200}
    server.http.post("/v1/log-records", json=[record, {**record, "model_name": "n"}]).raise_for_status()
    reader = token(home, "read")
    page = new_page(f"{server.url}/?period=today&filter=model%3Dm")
    sign_in(page, reader)
    expect(page).to_have_url(f"{server.url}/?period=today&filter=model%3Dm")
    expect(page.locator("dl.tiles dd").first).to_have_text("1")


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


def test_who_may_only_read_is_not_offered_to_close_days(
    home: Home, new_page: Callable[..., Page], complaints: list[str]
) -> None:
    path = home.path.parent / "gateway.sqlite"
    sqlite_table(path, [record(f"{ago(1)[5:]} 10:00")], "epoch_ms")
    home.do("attach", "gateway", f"sqlite:///{path}", "--preset", "log_records")
    path.rename(path.with_suffix(".away"))
    with serving(home) as server:
        button = (page := new_page(f"{server.url}/book")).get_by_role("button", name="Close what is missing")
        expect(button).to_have_count(1)
        admin, reader = token(home, "admin"), token(home, "read")
        for shown, count in ((admin, 1), (reader, 0)):
            page.goto(f"{server.url}/sign-in?next=book")
            sign_in(page, shown)
            expect(page.locator("#missing")).to_be_visible()
            expect(button).to_have_count(count)
        page.evaluate("document.querySelector('form').action = 'backfill'; document.querySelector('form').submit()")
        expect(page.get_by_role("heading", level=1)).to_contain_text("needs a token of the role admin")
        expect(page.locator(".lead")).to_have_text("Sign in with a token of the role admin.")
        page.get_by_role("link", name="Sign in").click()
        sign_in(page, admin)
        expect(button).to_have_count(1)
        complaints.clear()
        page.close()


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-13-01", "2026-13-02", "'2026-13-01' is not a day."),
        ("2026-11-02", "2026-11-01", "The range 2026-11-02..2026-11-01 runs backwards."),
    ],
)
def test_what_is_no_range_of_days_is_not_begun(server: Server, first: str, last: str, said: str) -> None:
    answer = server.http.post("/backfill", data={"from": first, "to": last}, headers={"Origin": server.url})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, said)
    assert "Closing" not in server.http.get("/book").text


def test_another_site_cannot_have_a_browser_that_is_signed_in_do_anything(server: Server, home: Home) -> None:
    cookies = {"tallybook": token(home, "admin")}
    form = {"from": "2026-01-01", "to": "2026-01-02"}
    for headers in ({"Origin": "https://evil.example"}, {}):
        answer = httpx.post(f"{server.url}/backfill", data=form, cookies=cookies, headers=headers)
        assert answer.status_code in (401, 403), headers
    own = httpx.post(f"{server.url}/backfill", data=form, cookies=cookies, headers={"Origin": server.url})
    assert (own.status_code, own.headers["location"]) == (303, "book")


BEHIND = "https://tally.example"
"""Where a proxy that names this machine in `Host` shows the page."""


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        (BEHIND, "same-origin", 303),
        (BEHIND, "same-site", 403),
        (BEHIND, "cross-site", 403),
        (BEHIND, "none", 403),
        (BEHIND, None, 403),
        ("null", "cross-site", 403),
        ("own", "same-origin", 303),
        ("own", None, 303),
        ("own", "cross-site", 403),
    ],
)
def test_who_asks_is_what_the_browser_says(
    server: Server, home: Home, origin: str, site: str | None, status: int
) -> None:
    told = {"Origin": server.url if origin == "own" else origin, "Sec-Fetch-Site": site}
    answer = httpx.post(
        f"{server.url}/backfill",
        data={"from": "2026-01-01", "to": "2026-01-02"},
        cookies={"tallybook": token(home, "admin")},
        headers={name: value for name, value in told.items() if value},
    )
    assert answer.status_code == status


def test_a_page_whose_name_was_led_to_a_proxy_gets_nothing_without_tokens(server: Server) -> None:
    form, browser = {"from": "2026-01-01", "to": "2026-01-02"}, {"Sec-Fetch-Site": "same-origin"}
    led = httpx.post(f"{server.url}/backfill", data=form, headers={**browser, "Origin": "http://evil.example"})
    assert (led.status_code, led.json()["error"]["code"]) == (403, "forbidden")
    unnamed = httpx.post(f"{server.url}/backfill", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert unnamed.status_code == 403
    here = httpx.post(f"{server.url}/backfill", data=form, headers={**browser, "Origin": "http://localhost:8080"})
    assert here.status_code == 303


def test_a_link_from_another_site_leads_to_the_page(server: Server) -> None:
    answer = httpx.get(f"{server.url}/book", headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"})
    assert answer.status_code == 200


def test_signing_in_leads_to_no_other_site(server: Server, home: Home) -> None:
    reader = token(home, "read")
    elsewhere = ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "book/../../x")
    for target in (*elsewhere, "", "?next=sign-in"):
        answer = httpx.post(
            f"{server.url}/sign-in", data={"token": reader, "next": target}, headers={"Origin": server.url}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "."), target


def test_behind_https_the_cookie_is_for_https_alone(server: Server, home: Home) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{server.url}/sign-in", data={"token": token(home, "read")}, headers=headers)
    assert "; Secure" in answer.headers["set-cookie"]
    assert "Path" not in answer.headers["set-cookie"]
