"""Whatever is sent, the server answers in its own words and never with a fault of its own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from stories import NOW
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.home import new_server
from tallybook.records import RECORD_FIELDS
from tallybook.web.app import build_app
from web.asking import Client


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One application for all that is thrown at it."""
    home = tmp_path_factory.mktemp("fuzzed")
    keeper = Bookkeeper(load_settings({"home": str(home)}, {}), lambda: NOW)
    app = build_app(keeper, new_server("http://127.0.0.1:0", "", ""), Path(home))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def dumped(value: object) -> bytes:
    """The value as JSON."""
    return json.dumps(value).encode()


numbers = st.integers() | st.floats() | st.sampled_from([-1, 0, 2**31, 2**53, 2**63, 2**64, 1e400])
values = (
    st.none()
    | st.booleans()
    | numbers
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.integers())
)
moments = values | st.sampled_from(
    ["2026-11-22T10:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "24:00", 10**30]
)
optional: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(RECORD_FIELDS, values)
required: dict[str, st.SearchStrategy[Any]] = {
    "created_at": moments,
    "model_name": st.text(min_size=1),
    "status_code": st.integers(0, 999),
}
records = st.fixed_dictionaries({}, optional=optional) | st.fixed_dictionaries(
    required, optional={name: strategy for name, strategy in optional.items() if name not in required}
)
trees = st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
bodies = (
    st.binary()
    | trees.map(dumped)
    | st.lists(records, max_size=5).map(dumped)
    | st.lists(records, max_size=5).map(lambda batch: b"\n".join(map(dumped, batch)))
)
gentle = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answers_in_its_own_words(answer: Any) -> bool:
    body = answer.json()
    if answer.status_code == 200:
        return True
    return 400 <= answer.status_code < 500 and set(body["error"]) == {"code", "message", "hint"}


@given(body=bodies, packed=st.booleans())
@gentle
def test_no_body_of_records_is_a_fault_of_the_server(fuzzed: Client, body: bytes, packed: bool) -> None:
    headers = {"Content-Encoding": "gzip"} if packed else {}
    answer = fuzzed.post("/v1/log-records", content=gzip.compress(body) if packed else body, headers=headers)
    assert answers_in_its_own_words(answer), (answer.status_code, answer.text)
    if answer.status_code == 200:
        acknowledged = answer.json()
        assert set(acknowledged) == {"accepted", "duplicates", "rejected"}
        assert all(entry["reason"] for entry in acknowledged["rejected"])


@given(body=st.binary(max_size=200), encoding=st.sampled_from(["gzip", "deflate", "zstd", "br", "gzip, gzip", ""]))
@gentle
def test_no_packed_body_is_a_fault_of_the_server(fuzzed: Client, body: bytes, encoding: str) -> None:
    answer = fuzzed.post("/v1/log-records", content=body, headers={"Content-Encoding": encoding})
    assert answers_in_its_own_words(answer), (answer.status_code, answer.text)


words = st.text(max_size=30) | st.sampled_from(
    [
        "last7d",
        "today",
        "all",
        "2026-11-22",
        "2026-11-20..2026-11-22",
        "9999-12-31",
        "0001-01-01",
        "model",
        "local",
        "true",
    ]
)
names = st.sampled_from(["period", "from", "to", "by", "source", "basis", "live", "as_of", "x"])


@given(parameters=st.lists(st.tuples(names, words), max_size=5))
@example(parameters=[("to", "0001-01-01")])
@gentle
def test_no_question_is_a_fault_of_the_server(fuzzed: Client, parameters: list[tuple[str, str]]) -> None:
    clean: Any = [(name, value.encode("utf-8", "replace").decode()) for name, value in parameters]
    for path in ("/v1/stats", "/v1/daily-stats", "/v1/closings"):
        answer = fuzzed.get(path, params=httpx.QueryParams(clean))
        assert answers_in_its_own_words(answer), (path, clean, answer.status_code, answer.text)


@given(body=bodies)
@gentle
def test_no_order_is_a_fault_of_the_server(fuzzed: Client, body: bytes) -> None:
    for path in ("/v1/close", "/v1/backfill"):
        answer = fuzzed.post(path, content=body)
        assert answers_in_its_own_words(answer), (path, answer.status_code, answer.text)


events = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=9), "status": st.sampled_from(["success", "failure"]) | values},
    optional=dict.fromkeys(("startTime", "endTime", "model", "metadata", "response_cost", "error_information"), values),
)
event_bodies = st.binary() | trees.map(dumped) | st.lists(events | values, max_size=5).map(dumped)
spans = st.fixed_dictionaries(
    {},
    optional={
        "traceId": st.sampled_from(["0af7651916cd43dd8448eb211c80319c", "", "x"]) | values,
        "spanId": st.sampled_from(["b7ad6b7169203331", "0" * 16]) | values,
        "startTimeUnixNano": st.sampled_from(["1795341600000000000", 0, "x", -1]) | values,
        "status": values,
        "attributes": st.just([{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]) | values,
    },
)
requests = st.lists(spans, max_size=4).map(lambda made: {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]})
trace_bodies = st.binary() | requests.map(dumped) | trees.map(dumped)


def stored(fuzzed: Client) -> int:
    return int(
        fuzzed.get("/readyz").json()["has_records"] and fuzzed.get("/v1/status").json()["sources"][0]["records_in_logs"]
    )


@given(body=event_bodies)
@gentle
def test_no_event_of_litellm_is_a_fault_of_the_server(fuzzed: Client, body: bytes) -> None:
    before = stored(fuzzed)
    answer = fuzzed.post("/v1/litellm", content=body)
    assert answers_in_its_own_words(answer), (answer.status_code, answer.text)
    assert stored(fuzzed) - before == (answer.json()["accepted"] if answer.status_code == 200 else 0)


@given(body=trace_bodies, kind=st.sampled_from(["application/json", "application/x-protobuf", "text/plain"]))
@gentle
def test_no_trace_is_a_fault_of_the_server_and_nothing_of_a_refused_one_is_stored(
    fuzzed: Client, body: bytes, kind: str
) -> None:
    before = stored(fuzzed)
    answer = fuzzed.post("/v1/traces", content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 400, 415), (answer.status_code, answer.content)
    if answer.status_code != 200:
        assert stored(fuzzed) == before
