"""Records posted to the real server, in every form that is accepted, and what it says of them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard

from acceptance.running import Home, Server, ago, serving, today


def moment(days_ago: int, clock: str = "12:00:00") -> str:
    return f"{ago(days_ago)}T{clock}Z"


def records(*request_ids: str) -> list[dict[str, Any]]:
    """Two-token records of yesterday noon, one for each id."""
    return [
        {"created_at": moment(1), "model_name": "gpt-5", "status_code": 200, "tokens_in": 2, "request_id": request_id}
        for request_id in request_ids
    ]


def ndjson(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


FORMS: dict[str, tuple[Callable[[list[dict[str, Any]]], bytes], dict[str, str]]] = {
    "array": (lambda batch: json.dumps(batch).encode(), {}),
    "NDJSON": (lambda batch: ndjson(*batch), {"Content-Type": "application/x-ndjson"}),
    "NDJSON without a last newline": (lambda batch: ndjson(*batch).rstrip(), {}),
    "gzip": (lambda batch: gzip.compress(json.dumps(batch).encode()), {"Content-Encoding": "gzip"}),
    "deflate": (lambda batch: zlib.compress(json.dumps(batch).encode()), {"Content-Encoding": "deflate"}),
    "zstd": (lambda batch: zstandard.compress(json.dumps(batch).encode()), {"Content-Encoding": "zstd"}),
    "gzipped NDJSON": (lambda batch: gzip.compress(ndjson(*batch)), {"Content-Encoding": "gzip"}),
}


def test_every_form_is_accepted_and_a_request_sent_again_counts_once(server: Server) -> None:
    for form, (write, headers) in FORMS.items():
        batch = records(f"{form}-1", f"{form}-2")
        first = server.http.post("/v1/log-records", content=write(batch), headers=headers)
        assert (first.status_code, first.json()) == (200, {"accepted": 2, "duplicates": 0, "rejected": []}), form
        again = server.http.post("/v1/log-records", content=write(batch), headers=headers)
        assert (again.status_code, again.json()) == (200, {"accepted": 0, "duplicates": 2, "rejected": []}), form

    assert server.post("/v1/log-records", records("single")[0]) == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert server.get("/v1/status")["sources"][0]["records_in_logs"] == 15


def test_a_body_in_chunks_is_taken_as_a_whole(server: Server) -> None:
    body = json.dumps(records("a", "b", "c")).encode()

    def chunks() -> Iterator[bytes]:
        yield from (body[start : start + 10] for start in range(0, len(body), 10))

    answer = server.http.post("/v1/log-records", content=chunks())
    assert answer.json() == {"accepted": 3, "duplicates": 0, "rejected": []}


def test_bad_records_are_named_with_index_and_reason_and_the_good_ones_are_kept(server: Server) -> None:
    good = {"created_at": moment(1), "model_name": "gpt-5", "status_code": 200}
    answer = server.post(
        "/v1/log-records",
        [
            good,
            {**good, "tokens_in": -1},
            {**good, "latency_ms": 1.5},
            {"model_name": "gpt-5", "status_code": 200},
            {**good, "created_at": f"{ago(-2)}T00:00:00Z"},
            {**good, "created_at": f"{ago(1)}T12:00:00"},
            {**good, "tokens_in": 10, "tokens_cached": 11},
            good,
        ],
    )
    assert answer == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [
            {"index": 1, "reason": "tokens_in: expected int >= 0"},
            {"index": 2, "reason": "latency_ms: expected int | null, got float"},
            {"index": 3, "reason": "object missing required field created_at"},
            {"index": 4, "reason": "created_at is more than 10 minutes ahead of this server's clock"},
            {"index": 5, "reason": f"created_at '{ago(1)}T12:00:00' has no offset; add Z for UTC"},
            {"index": 6, "reason": "tokens_cached 11 is more than tokens_in 10"},
        ],
    }


def test_a_request_that_failed_and_was_tried_again_counts_as_two(server: Server) -> None:
    failed, retried = (
        {**record, "status_code": code} for record, code in zip(records("r", "r"), (500, 200), strict=True)
    )
    assert server.post("/v1/log-records", [failed, retried, failed]) == {"accepted": 2, "duplicates": 1, "rejected": []}


def test_what_was_acknowledged_is_there_after_the_server_has_stopped(home: Home) -> None:
    with serving(home) as server:
        noon = {"created_at": f"{today()}T00:00:30Z", "model_name": "gpt-5", "status_code": 200, "tokens_in": 7}
        server.post("/v1/log-records", [noon, {**noon, "status_code": 0, "latency_ms": 250}])
        live = server.get("/v1/stats", period="today")
        assert server.stop() == 0
    assert live == home.ask("stats", "today")
    totals = live["totals"]
    assert [totals[name] for name in ("requests", "success", "failed", "tokens_in")] == [2, 1, 1, 14]
    assert [totals[name] for name in ("latency_count", "latency_p50_ms", "latency_p99_ms")] == [1, 250, 250]
    assert live["days"] == {"closed": 0, "zero": 0, "missing": 0, "open": 1}


@pytest.mark.parametrize("secret", ["sk-proj-abcdefgh12345678", "Bearer abcdefgh12345678"])
def test_a_secret_key_is_nowhere_in_the_home(home: Home, secret: str) -> None:
    with serving(home) as server:
        server.post("/v1/log-records", [{**records("k")[0], "api_key": secret}])
        assert server.stop() == 0
    rows = home.ask("stats", ago(1), "--by", "api_key")["by"]["rows"] if home.do("close") else []
    assert [row["value"][:3] for row in rows] == ["fp_"]
    token = secret.rsplit(maxsplit=1)[-1].encode()
    assert [file.name for file in home.path.iterdir() if token in file.read_bytes()] == []
