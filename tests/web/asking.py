"""What the web tests share: posting records and reading errors."""

from __future__ import annotations

import contextlib
from typing import Any

import duckdb
import httpx
from litestar import Litestar
from litestar.testing import TestClient

from acceptance.running import wait_for
from tallybook.bookkeeper import Bookkeeper

Client = TestClient[Litestar]
GOOD: dict[str, Any] = {"created_at": "2026-11-22T10:00:00Z", "model_name": "gpt-5", "status_code": 200}


def on(day: str, **fields: Any) -> dict[str, Any]:
    """A record at ten o'clock of a day of November 2026."""
    return {**GOOD, "created_at": f"2026-11-{day}T10:00:00Z", **fields}


def ask(client: Client, path: str, **parameters: str) -> Any:
    """The JSON of a GET that must succeed."""
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(client: Client, records: Any) -> Any:
    """The acknowledgement of records."""
    answer = client.post("/v1/log-records", json=records)
    assert answer.status_code == 200, answer.text
    return answer.json()


def error(answer: httpx.Response, status: int) -> tuple[str, str, str]:
    """Code, message and hint of an error, which has exactly these."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message", "hint"]
    return body["error"]["code"], body["error"]["message"], body["error"]["hint"]


def take_logs_away(keeper: Bookkeeper) -> None:
    """Closes the logs under the server, as soon as its scheduler's tick lets go of them."""

    def closed() -> bool:
        with contextlib.suppress(duckdb.Error):
            keeper.logs.close()
            return True
        return False

    wait_for(closed)
