"""Collecting: what one server process takes in a second, durable and without duplicates, on loopback."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.senders import litellm_events, log_records, traces
from bench.table import Finding, Findings, limit, share
from tallybook.collect.log_records import decode_log_records
from tallybook.logs.columns import to_batch
from tallybook.logs.store import LogStore

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CLIENTS = 8
ROUNDS = 3
BATCH, SPANS, EVENTS = 5_000, 512, 512
BATCHES = 100
STORED = 10_000_000
PACED_BATCH = 500
PACED_FOR_S = 10

_run_numbers = itertools.count()


@dataclass(frozen=True)
class Kind:
    """What is posted, and where."""

    path: str
    content_type: str
    make: Callable[[int, int, str], list[bytes]]
    batch: int
    bodies: int


KINDS = {
    "NDJSON": Kind("/v1/log-records", "application/x-ndjson", log_records, BATCH, BATCHES),
    "OTLP": Kind("/v1/traces", "application/x-protobuf", traces, SPANS, 200),
    "LiteLLM": Kind("/v1/litellm", "application/json", litellm_events, EVENTS, 40),
}


def measure_collecting(folder: Path, divisor: int) -> list[Findings]:
    """Rates of the three kinds of senders, the wait for an acknowledgement, and the rate on a full log."""
    with serving(folder / "empty") as url:
        ndjson = _rate(url, KINDS["NDJSON"], divisor)
        bare = _bare_appends(folder / "bare.duckdb", divisor)
        otlp, parsing = _rate(url, KINDS["OTLP"], divisor), _bare_parsing(divisor)
        litellm = _rate(url, KINDS["LiteLLM"], divisor)
        p99_ms = _paced_p99_ms(url, ndjson / 10)
    stored = STORED // divisor
    _fill(folder / "full", stored)
    with serving(folder / "full") as url:
        on_full = _rate(url, KINDS["NDJSON"], divisor)
    title = f"collecting, one server process, {CLIENTS} connections, the load generator on the same machine"
    return [
        Findings(
            f"11. {title}",
            [
                *share(f"NDJSON records, {BATCH:,} a batch, against bare DuckDB appends", ndjson, bare, 0.2, 200_000),
                *share(f"OTLP spans, {SPANS} a batch, against bare protobuf parsing", otlp, parsing, 0.3, 40_000),
                *share(f"LiteLLM events of 12 kB, {EVENTS} a batch", litellm, None, None, 10_000),
                *share(f"NDJSON with {stored:,} records stored, against an empty log", on_full, ndjson, 0.7, None),
                _p99(p99_ms),
            ],
        )
    ]


def _p99(p99_ms: float) -> Finding:
    return limit(f"p99 of an acknowledgement at a tenth of full load, {PACED_BATCH} records a batch", p99_ms, "ms", 100)


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """A server on the home, in a process of its own; its URL."""
    command = [sys.executable, "-m", "tallybook", "--home", str(home), "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://[^\s\"]+", process.stderr.readline())
        assert found
        try:
            yield found[0]
        finally:
            process.terminate()
            process.wait()


def _rate(url: str, kind: Kind, divisor: int) -> float:
    """The records a second of the median round, each round with new records."""
    bodies = max(kind.bodies // divisor, 2)
    rounds = [kind.make(bodies, kind.batch, f"run{next(_run_numbers)}") for _ in range(ROUNDS)]
    _post_all(url, kind, kind.make(2, kind.batch, f"run{next(_run_numbers)}"))
    return median(bodies * kind.batch / _post_all(url, kind, made) for made in rounds)


def _post_all(url: str, kind: Kind, bodies: Sequence[bytes]) -> float:
    """The seconds until every body is acknowledged; what is refused for the moment is sent again."""
    left: SimpleQueue[bytes | None] = SimpleQueue()
    for body in (*bodies, *[None] * CLIENTS):
        left.put(body)
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        for client in [clients.submit(_client, url, kind, left) for _ in range(CLIENTS)]:
            client.result()
    return time.perf_counter() - start


def _client(url: str, kind: Kind, left: SimpleQueue[bytes | None]) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    while (body := left.get()) is not None:
        while not _post(connection, kind, body):
            time.sleep(0.05)
    connection.close()


def _post(connection: HTTPConnection, kind: Kind, body: bytes) -> bool:
    connection.request("POST", kind.path, body, {"Content-Type": kind.content_type})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 429, 503), (answer.status, text)
    return answer.status == 200


def _bare_appends(file: Path, divisor: int) -> float:
    """The records a second that DuckDB appends, each batch in a transaction of its own, with no check at all."""
    bodies = log_records(max(BATCHES // divisor, 2), BATCH, "bare")
    tables = [_as_table(body) for body in bodies]

    def append_all() -> float:
        file.unlink(missing_ok=True)
        with duckdb.connect(str(file)) as connection:
            connection.register("batch", tables[0])
            connection.execute("CREATE TABLE log_records AS FROM batch LIMIT 0")
            start = time.perf_counter()
            for table in tables:
                connection.register("batch", table)
                connection.execute("INSERT INTO log_records FROM batch")
            return time.perf_counter() - start

    return len(tables) * BATCH / median(append_all() for _ in range(ROUNDS))


def _as_table(body: bytes) -> pa.Table:
    decoded = decode_log_records(body)
    return to_batch(decoded.records, decoded.indices, decoded.rejected, NOW).table


def _bare_parsing(divisor: int) -> float:
    """The spans a second that protobuf parses, in one thread, without looking at one."""
    bodies = traces(max(KINDS["OTLP"].bodies // divisor, 2), SPANS, "bare")

    def parse_all() -> float:
        start = time.perf_counter()
        for body in bodies:
            ExportTraceServiceRequest.FromString(body)
        return time.perf_counter() - start

    return len(bodies) * SPANS / median(parse_all() for _ in range(ROUNDS))


def _paced_p99_ms(url: str, records_per_s: float) -> float:
    """Batches at a steady pace, whatever became of the one before; the 99th percentile of their waits."""
    kind = KINDS["NDJSON"]
    pause_s = PACED_BATCH / records_per_s
    bodies = kind.make(max(math.ceil(PACED_FOR_S / pause_s), 2), PACED_BATCH, f"run{next(_run_numbers)}")
    start = time.perf_counter()

    def send(number: int) -> float:
        due = start + number * pause_s
        time.sleep(max(due - time.perf_counter(), 0))
        connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        assert _post(connection, kind, bodies[number])
        connection.close()
        return (time.perf_counter() - due) * 1000

    with ThreadPoolExecutor(CLIENTS) as clients:
        waits_ms = sorted(clients.map(send, range(len(bodies))))
    return waits_ms[math.ceil(0.99 * len(waits_ms)) - 1]


def _fill(home: Path, records: int) -> None:
    """A log that holds so many records with an id each."""
    home.mkdir()
    store = LogStore.open(home / "logs.duckdb")
    lot = 100_000
    for number in range(math.ceil(records / lot)):
        (body,) = log_records(1, min(lot, records), f"stored{number}")
        store.append(_as_table(body), NOW)
    store.close()
