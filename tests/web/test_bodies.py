"""Bodies at their limits: too large, packed wrongly, bombs; and records that are odd but true."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from acceptance.running import Home, Server, serving
from tallybook.bookkeeper import Bookkeeper
from tallybook.logs.store import LogStore
from web.asking import GOOD, Client, ask, error, on, post

MIB = 1 << 20


def send(client: Client, body: bytes, encoding: str | None = None) -> Any:
    return client.post("/v1/log-records", content=body, headers={"Content-Encoding": encoding} if encoding else {})


@pytest.mark.parametrize("body", [b"", b"   \n", b"not JSON", b"\xff\xfe", b"[{"])
def test_a_body_in_which_nothing_can_be_read_is_400(client: Client, body: bytes) -> None:
    code, message, hint = error(send(client, body), 400)
    assert code == "unreadable_body"
    assert message
    assert hint == "Send a JSON array, one object, or one object a line."


def test_an_empty_array_is_nothing_to_store(client: Client) -> None:
    assert post(client, []) == {"accepted": 0, "duplicates": 0, "rejected": []}


def test_a_packing_that_is_unknown_is_415_and_says_which_are_known(client: Client) -> None:
    assert error(send(client, b"[]", "br"), 415) == (
        "unknown_encoding",
        "The body is packed as 'br', which is not known here.",
        "Use one of: gzip, deflate, zstd.",
    )


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_body_that_is_not_packed_as_it_says_is_400(client: Client, encoding: str) -> None:
    assert error(send(client, b"[plain]", encoding), 400) == (
        "unreadable_body",
        f"The body is not valid {encoding}.",
        "Send it again, whole, packed as its header says.",
    )


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress)]
)
def test_a_packed_body_that_was_cut_off_is_400_even_where_its_beginning_can_be_read(
    client: Client, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    lines = "\n".join(json.dumps({**GOOD, "request_id": f"{number}"}) for number in range(5_000))
    whole = pack(lines.encode())
    code, message, _ = error(send(client, whole[: len(whole) // 2], encoding), 400)
    assert (code, message) == ("unreadable_body", f"The body is not valid {encoding}.")
    assert ask(client, "/v1/status")["sources"] == []


def test_two_gzip_members_are_one_body(client: Client) -> None:
    lines = [json.dumps(GOOD).encode() + b"\n" for _ in range(2)]
    assert send(client, b"".join(map(gzip.compress, lines)), "gzip").json()["accepted"] == 2


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server in a process of its own, whose memory can be measured."""
    with serving(Home(tmp_path / "home")) as started:
        yield started


def gzip_bomb(mib: int) -> bytes:
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * MIB) for _ in range(mib)) + packer.flush()


def zstd_bomb(mib: int) -> bytes:
    packer = zstandard.ZstdCompressor(1).compressobj()
    return b"".join(packer.compress(b" " * MIB) for _ in range(mib)) + packer.flush()


def test_a_body_beyond_the_limit_is_413_as_soon_as_that_is_known(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        yield from (b" " * MIB for _ in range(70))

    answer = server.http.post("/v1/log-records", content=endless())
    assert error(answer, 413) == (
        "too_large",
        "The body is larger than 64 MiB, 64 MiB unpacked.",
        "Send smaller batches.",
    )
    declared = server.http.post("/v1/log-records", content=b" " * (65 * MIB))
    assert error(declared, 413)[0] == "too_large"
    assert server.get("/healthz")["status"] == "ok"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip_bomb), ("zstd", zstd_bomb)])
def test_a_bomb_is_413_and_costs_little_memory(server: Server, encoding: str, pack: Callable[[int], bytes]) -> None:
    bomb = pack(1024)
    assert len(bomb) < 6 * MIB
    server.get("/readyz")
    before = server.memory_peak_bytes()
    for _ in range(2):
        answer = server.http.post("/v1/log-records", content=bomb, headers={"Content-Encoding": encoding})
        assert error(answer, 413)[0] == "too_large"
    assert server.memory_peak_bytes() - before < 300 * MIB
    assert server.get("/healthz")["status"] == "ok"


def test_a_model_s_name_may_hold_any_sign_but_nul(client: Client, keeper: Bookkeeper) -> None:
    names = [
        "🦙" * 512,
        'it\'s "quoted"; DROP TABLE log_records --',
        "a\nb\tc",
        "\u202e\u200b",
        "%s {0} ${x}",
        "' OR 1=1",
    ]
    assert post(client, [{**GOOD, "model_name": name} for name in names]) == {
        "accepted": 6,
        "duplicates": 0,
        "rejected": [],
    }
    keeper.close()
    answer = ask(client, "/v1/stats", period="yesterday", by="model")
    assert sorted(row["value"] for row in answer["by"]["rows"]) == sorted(names)
    assert sorted(top["model"] for top in answer["top_models"]) == sorted(names)


def test_names_that_cannot_be_kept_are_rejected_with_the_reason(client: Client) -> None:
    bodies = [
        json.dumps({**GOOD, "model_name": "m" * 10_240}),
        json.dumps({**GOOD, "model_name": "a\0b"}),
        json.dumps({**GOOD, "team": "\0"}),
        json.dumps({**GOOD, "model_name": ""}),
        json.dumps(GOOD).replace("gpt-5", "\\ud800"),
        json.dumps(GOOD),
    ]
    acknowledged = send(client, f"[{','.join(bodies)}]".encode()).json()
    assert (acknowledged["accepted"], acknowledged["duplicates"]) == (1, 0)
    assert [entry["index"] for entry in acknowledged["rejected"]] == [0, 1, 2, 3, 4]
    assert [entry["reason"] for entry in acknowledged["rejected"][:4]] == [
        "model_name: expected str of length <= 512",
        "model_name holds a NUL character",
        "team holds a NUL character",
        "model_name: expected str of length >= 1",
    ]


def test_a_lone_surrogate_or_broken_utf_8_spoils_its_record_alone(client: Client) -> None:
    good = json.dumps(GOOD).encode()
    body = b"\n".join([good, good.replace(b"gpt-5", b"\\ud800"), good.replace(b"gpt-5", b"\xff"), good])
    acknowledged = send(client, body).json()
    assert acknowledged["accepted"] == 2
    assert [entry["index"] for entry in acknowledged["rejected"]] == [1, 2]


def test_numbers_beyond_all_sense_are_rejected_with_the_reason(client: Client) -> None:
    odd: list[dict[str, Any]] = [
        {"tokens_in": 1 << 62},
        {"tokens_out": 1 << 64},
        {"latency_ms": 1 << 31},
        {"cost_usd": "1e9"},
        {"status_code": 1000},
    ]
    acknowledged = post(client, [{**GOOD, **fields} for fields in odd])
    assert acknowledged["accepted"] == 0
    assert [entry["reason"] for entry in acknowledged["rejected"]] == [
        "tokens_in: expected int <= 1000000000",
        "tokens_out: expected int <= 1000000000",
        "latency_ms: expected int <= 2147483647",
        "cost_usd must be between 0 and 1,000,000",
        "status_code: expected int <= 999",
    ]


def test_money_beyond_what_json_readers_can_hold_is_text(
    client: Client, keeper: Bookkeeper, fill: Callable[..., None]
) -> None:
    fill(*(on("22", cost_usd="999999.999999999") for _ in range(10)))
    keeper.close()
    assert ask(client, "/v1/stats", period="yesterday")["totals"]["cost_usd"] == "9999999.99999999"
    (day,) = ask(client, "/v1/daily-stats")["days"]
    assert day["cost_nanousd"] == "9999999999999990"


def test_totals_beyond_what_json_readers_can_hold_are_text(client: Client, keeper: Bookkeeper) -> None:
    assert isinstance(keeper.logs, LogStore)
    with keeper.logs.writing() as connection:
        connection.execute(
            "INSERT INTO log_records (created_at, model_name, status_code, tokens_in) VALUES "
            "('2026-11-22 10:00:00', 'gpt-5', 200, 4611686018427387904), ('2026-11-21 10:00:00', 'gpt-5', 200, 9007199254740992), "
            "('2026-11-20 10:00:00', 'gpt-5', 200, 9007199254740991), ('2026-11-19 10:00:00', 'gpt-5', 200, 4611686018427387904)"
        )
    keeper.backfill(first="2026-11-19", last="2026-11-22")
    answer = ask(client, "/v1/stats", **{"from": "2026-11-20", "to": "2026-11-22", "by": "model"})
    assert answer["totals"]["tokens_in"] == "4629700416936869887"
    assert answer["by"]["rows"][0]["tokens_in"] == "4629700416936869887"
    assert answer["top_models"] == [{"model": "gpt-5", "requests": 3, "tokens": "4629700416936869887"}]
    assert [row["tokens_in"] for row in answer["series"]] == [
        9007199254740991,
        "9007199254740992",
        "4611686018427387904",
    ]
    assert error(client.get("/v1/stats?from=2026-11-19&to=2026-11-22"), 400)[1] == (
        "The totals of the range are beyond 64 bits."
    )
    assert keeper.verify()["verdict"] == "intact"
