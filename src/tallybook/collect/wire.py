"""Protobuf's wire format, as far as it takes to find messages without making them.

https://protobuf.dev/programming-guides/encoding has it.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}


def fields_of(body: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of the message that lies there: number, start and end of the value.

    It ends at what is no protobuf, for a parser to tell.
    """
    while start < end:
        tag, start = _varint(body, start, end)
        kind = tag & 7
        size, value = _varint(body, start, end) if kind in (VARINT, LENGTH) else (FIXED_BYTES.get(kind, end), start)
        start = value if kind == VARINT else value + size
        if start <= end:
            yield tag >> 3, value, start


def _varint(body: bytes | bytearray, start: int, end: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = shift = 0
    while start < end:
        byte = body[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    return value, end
