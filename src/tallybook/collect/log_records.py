"""Our own wire format: log records as JSON, an array, one object, or one a line."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from tallybook.collect.decoded import Decoded, check_number, check_pieces
from tallybook.records import LogRecord, Rejected, UnreadableBody

_ONE = msgspec.json.Decoder(LogRecord)
_MANY = msgspec.json.Decoder(list[LogRecord])
_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_UNFIT = (msgspec.ValidationError, *_NOT_JSON)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_log_records(body: bytes | bytearray) -> Decoded:
    """The records of a JSON array, one object, or NDJSON; rejected are those that do not fit the shape of a record.

    A batch without a fault is decoded in one call; only one with a fault is taken apart record by record. Raises
    `UnreadableBody` when there is nothing in it that could be called a record.
    """
    check_pieces(body)
    plain = body.removeprefix(BYTE_ORDER_MARK).strip()
    if not plain:
        raise UnreadableBody("The body is empty.")
    try:
        records = _decode_all(plain)
    except _UNFIT:
        parts = _split(plain)
        check_number(len(parts))
        return _decode_each(parts)
    check_number(len(records))
    return Decoded(records, range(len(records)))


def _decode_all(body: bytes | bytearray) -> list[LogRecord]:
    return _MANY.decode(body) if body.lstrip()[:1] == b"[" else _ONE.decode_lines(body)


def _split(body: bytes | bytearray) -> list[bytes]:
    if body.lstrip()[:1] == b"[":
        try:
            return [bytes(raw) for raw in _RAW.decode(body)]
        except _NOT_JSON as error:
            return _split_leniently(body, error)
    try:
        msgspec.json.decode(body)
    except _NOT_JSON:
        return [bytes(line) for line in body.splitlines() if line.strip()]
    return [bytes(body)]


def _split_leniently(body: bytes | bytearray, error: Exception) -> list[bytes]:
    """The standard library reads text that is no Unicode, so that only the record that has it is rejected."""
    try:
        return [json.dumps(item).encode() for item in json.loads(body)]
    except (ValueError, RecursionError):
        raise UnreadableBody(f"The body is not a JSON array: {error}") from None


def _decode_each(parts: Iterable[bytes]) -> Decoded:
    records, indices, rejected, readable = [], [], [], False
    for index, part in enumerate(parts):
        try:
            records.append(_ONE.decode(part))
            indices.append(index)
            readable = True
        except msgspec.ValidationError as error:
            rejected.append(Rejected(index, _plain_reason(str(error))))
            readable = True
        except _NOT_JSON as error:
            rejected.append(Rejected(index, f"not JSON: {error}"))
    if not readable:
        raise UnreadableBody("The body holds no JSON record.")
    return Decoded(records, indices, rejected)


def _plain_reason(message: str) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.tokens_in`" as "tokens_in: expected int, got str"."""
    text, _, path = message.partition(" - at `$")
    plain = text.replace("`", "")
    name = path.strip(".`")
    return f"{name}: {plain[:1].lower()}{plain[1:]}" if name else f"{plain[:1].lower()}{plain[1:]}"
