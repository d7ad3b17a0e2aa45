"""Clients that cost more than they bring: bombs, dawdlers, and those that go away."""

from __future__ import annotations

import gzip
import socket
import time
from urllib.parse import urlsplit

import pytest

from acceptance.running import Server, ago

RECORD = f'{{"created_at":"{ago(0)}T00:00:01Z","model_name":"gpt-5","status_code":200}}'.encode()


def spans(made: bytes) -> bytes:
    """An ExportTraceServiceRequest of one scope with these spans."""
    for number in (2, 1):
        made = bytes([number << 3 | 2]) + length(len(made)) + made
    return made


def length(number: int) -> bytes:
    """A varint."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + length(rest) if rest else bytes([low])


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=60)


def test_a_bomb_of_ten_gigabytes_is_413_and_costs_no_memory(server: Server) -> None:
    assert server.http.post("/v1/log-records", content=RECORD).status_code == 200
    before = server.memory_peak_bytes()
    bomb = gzip.compress(bytes(100 << 20)) * 100
    assert len(bomb) < 11 << 20
    for path in ("/v1/log-records", "/v1/litellm", "/v1/traces"):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        assert server.http.post(path, content=bomb, headers=headers).status_code == 413
    assert server.memory_peak_bytes() - before < 200 << 20
    assert server.http.post("/v1/log-records", content=RECORD).status_code == 200


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/litellm", "application/json", b"[" + b"{}," * 1_300_000 + b"{}]"),
        ("/v1/log-records", "application/json", b"[" + b"{}," * 8_000_000 + b"{}]"),
        ("/v1/log-records", "application/x-ndjson", b"{}\n" * 1_300_000),
        ("/v1/log-records", "application/x-ndjson", (RECORD + b"\n") * 100_001),
        ("/v1/traces", "application/x-protobuf", spans(b"\x12\x00" * 2_000_000)),
    ],
)
def test_more_records_than_a_body_may_have_are_413_before_they_cost_anything(
    server: Server, path: str, kind: str, body: bytes
) -> None:
    assert server.http.post("/v1/log-records", content=RECORD).status_code == 200
    before = server.memory_peak_bytes()
    headers = {"content-encoding": "gzip", "content-type": kind}
    answer = server.http.post(path, content=gzip.compress(body), headers=headers)
    assert answer.status_code == 413
    assert "The body holds more than 100,000 records." in answer.text
    assert server.memory_peak_bytes() - before < 300 << 20


def test_nesting_without_end_spoils_its_record_alone(server: Server) -> None:
    deep = RECORD[:-1] + b',"x":' + b"[" * 3_000 + b"]" * 3_000 + b"}"
    for body in (RECORD + b"\n" + deep, b"[" + RECORD + b"," + deep + b"]"):
        answer = server.http.post("/v1/log-records", content=body)
        assert answer.status_code in (200, 400)
    assert server.http.post("/v1/log-records", content=RECORD + b"\n" + deep).json()["accepted"] == 1
    for body in (b"[" * 50_000, b'{"a":' * 100_000):
        for path in ("/v1/log-records", "/v1/litellm", "/v1/traces"):
            headers = {"content-type": "application/json"}
            assert server.http.post(path, content=body, headers=headers).status_code == 400
    assert "traceback" not in server.log.read_text().lower()


@pytest.mark.slow
def test_who_does_not_finish_the_head_of_a_request_is_let_go(server: Server) -> None:
    with connect(server) as silent, connect(server) as dawdling:
        begun = time.monotonic()
        dawdling.sendall(b"POST /v1/log-records HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert silent.recv(1) == b""
        assert dawdling.recv(1) == b""
        assert 10 < time.monotonic() - begun < 40


@pytest.mark.slow
def test_who_does_not_send_on_gets_408(server: Server) -> None:
    with connect(server) as dawdling:
        dawdling.sendall(b"POST /v1/log-records HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
        assert dawdling.recv(100).startswith(b"HTTP/1.1 408 ")
    assert server.http.post("/v1/log-records", content=RECORD).status_code == 200


def test_who_goes_away_in_the_middle_of_a_body_leaves_nothing(server: Server) -> None:
    for _ in range(20):
        with connect(server) as leaving:
            leaving.sendall(
                b"POST /v1/log-records HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n" + RECORD
            )
    assert server.http.post("/v1/log-records", content=RECORD).json()["accepted"] == 1
    assert server.get("/v1/stats", period="today")["totals"]["requests"] == 1
    assert "tallybook_queue_bytes 0.0" in server.http.get("/metrics").text
    assert "traceback" not in server.log.read_text().lower()


@pytest.mark.slow
def test_who_dawdles_does_not_keep_a_server_from_stopping_in_ten_seconds(server: Server) -> None:
    with connect(server) as dawdling:
        dawdling.sendall(b"POST /v1/log-records HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(0.5)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 10
    assert "traceback" not in server.log.read_text().lower()
