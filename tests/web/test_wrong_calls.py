"""Calls that cannot be answered: one shape of error, the right status, and a hint that says what is allowed."""

from __future__ import annotations

import pytest

from web.asking import GOOD, Client, error, post

PERIODS = (
    "Use one of: today, yesterday, last7d, last30d, last90d, week, month, year, all, YYYY-MM-DD, "
    "YYYY-MM-DD..YYYY-MM-DD."
)
DAY = "Write days as YYYY-MM-DD, for example 2026-11-22."


@pytest.mark.parametrize(
    ("query", "code", "message", "hint"),
    [
        ("period=fortnight", "unknown_name", "There is no period 'fortnight'.", PERIODS),
        ("period=", "unknown_name", "There is no period ''.", PERIODS),
        ("period=2026-02-30", "usage", "'2026-02-30' is not a day.", DAY),
        ("period=2026-11-22..", "usage", "'' is not a day.", DAY),
        (
            "period=2026-11-22..2026-11-20",
            "usage",
            "The range 2026-11-22..2026-11-20 runs backwards.",
            "Write 2026-11-20..2026-11-22.",
        ),
        (
            "from=1990-01-01&to=2026-11-22",
            "usage",
            "The range 1990-01-01..2026-11-22 is longer than 3660 days.",
            "Ask for a shorter range.",
        ),
        ("", "usage", "No period is given.", "Give period, or both from and to."),
        ("from=2026-11-20", "usage", "No period is given.", "Give period, or both from and to."),
        ("period=last7d&from=2026-11-20", "usage", "Both a period and from/to are given.", "Give one of them."),
        (
            "period=last7d&by=colour",
            "unknown_name",
            "There is no dimension 'colour'.",
            "Use one of: model, provider, team, api_key, user, operation, error_type.",
        ),
        (
            "period=last7d&basis=guessed",
            "unknown_name",
            "There is no basis 'guessed'.",
            "Use one of: adjusted, original.",
        ),
        ("period=last7d&source=elsewhere", "unknown_name", "There is no source 'elsewhere'.", "Use one of: local."),
        (
            "period=last7d&live=maybe",
            "usage",
            "'maybe' is neither true nor false for live.",
            "Use one of: true, false.",
        ),
        (
            "period=last7d&group=model",
            "unknown_name",
            "There is no parameter 'group'.",
            "Use one of: period, from, to, by, source, basis, as_of, live, filter.",
        ),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_allowed(
    client: Client, query: str, code: str, message: str, hint: str
) -> None:
    post(client, GOOD)
    assert error(client.get(f"/v1/stats?{query}"), 400) == (code, message, hint)


@pytest.mark.parametrize("path", ["/v1/daily-stats?from=spring", "/v1/daily-stats?to=2026-11-31"])
def test_a_day_that_is_none(client: Client, path: str) -> None:
    assert error(client.get(path), 400)[2] == DAY


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/close", b'{"date": "2026-11-22"}'),
        ("/v1/close", b"[]"),
        ("/v1/close", b"\xff"),
        ("/v1/close", b'{"day": 20261122}'),
        ("/v1/close", b'{"day": "2026-11-32"}'),
        ("/v1/close?date=2026-11-22", b""),
        ("/v1/close", b'{"source": "elsewhere"}'),
        ("/v1/backfill", b""),
        ("/v1/backfill", b'{"from": "2026-11-20"}'),
        ("/v1/backfill", b'{"from": "2026-11-22", "to": "2026-11-20"}'),
        ("/v1/backfill", b'{"from": "0001-01-01", "to": "9999-12-31"}'),
    ],
)
def test_a_wrong_order_is_refused_with_a_hint(client: Client, path: str, body: bytes) -> None:
    code, message, hint = error(client.post(path, content=body), 400)
    assert code in ("usage", "unknown_name")
    assert message
    assert hint


def test_a_path_that_is_none_and_a_method_that_is_wrong(client: Client) -> None:
    hint = "The calls are listed in /openapi.json."
    assert error(client.get("/v1/nothing"), 404) == ("not_found", "Not Found", hint)
    assert error(client.get("/v1/log-records"), 405) == ("method_not_allowed", "Method Not Allowed", hint)
    assert error(client.delete("/v1/stats"), 405) == ("method_not_allowed", "Method Not Allowed", hint)
    assert error(client.get("/v1/stats/%00"), 404)[0] == "not_found"


@pytest.mark.parametrize(
    ("authorization", "status"), [(None, 403), ("Bearer guess", 403), ("Bearer ", 403), ("Basic x", 403), ("é", 403)]
)
def test_operations_are_for_the_commands_of_the_home_alone(
    client: Client, authorization: str | None, status: int
) -> None:
    headers = {} if authorization is None else {b"Authorization": authorization.encode()}
    for operation in ("close", "prune", "import", "nothing"):
        answer = client.post(f"/v1/operations/{operation}", json={}, headers=headers)
        assert error(answer, status)[0] == "forbidden"


def test_openapi_describes_every_call(client: Client) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert schema["info"]["title"] == "tallybook"
    assert {
        ("/v1/log-records", "post"),
        ("/v1/stats", "get"),
        ("/v1/daily-stats", "get"),
        ("/v1/closings", "get"),
        ("/v1/status", "get"),
        ("/v1/close", "post"),
        ("/v1/backfill", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
    } <= {(path, method) for path, methods in schema["paths"].items() for method in methods}
    assert not any(path.startswith("/v1/operations") for path in schema["paths"])
    stats = {parameter["name"] for parameter in schema["paths"]["/v1/stats"]["get"]["parameters"]}
    assert {"period", "from", "to", "by", "source", "basis", "live"} <= stats
    assert all(operation["description"] for path in schema["paths"].values() for operation in path.values())
    close, backfill = (schema["paths"][f"/v1/{name}"]["post"] for name in ("close", "backfill"))
    assert "requestBody" in close
    assert "requestBody" in backfill
