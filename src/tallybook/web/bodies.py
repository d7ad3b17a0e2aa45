"""Reading request bodies: within limits, and unpacked within limits, so that no body costs more memory than it may."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import zstandard
from litestar import Request

from tallybook.errors import TallybookError

MAX_BODY_BYTES = 64 << 20
MAX_UNPACKED_BYTES = 256 << 20
_PIECE = 1 << 20


class BodyTooLarge(TallybookError):
    """A body is larger than the server takes."""

    code = "too_large"


class UnknownEncoding(TallybookError):
    """A body is packed in a way that the server does not know."""

    code = "unknown_encoding"


class CorruptBody(TallybookError):
    """A body is not what its encoding says."""

    code = "unreadable_body"


class _Unpacker(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class _Zlib:
    """zlib in bounded pieces: a small input that unpacks to gigabytes is stopped at the limit."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    def decompress(self, data: bytes, /) -> bytes:
        pieces, size = [], 0
        while data and not self._stream.eof:
            piece = self._stream.decompress(data, _PIECE)
            size += len(piece)
            _check_unpacked(size)
            pieces.append(piece)
            data = self._stream.unconsumed_tail
        return b"".join(pieces)


class _Zstd:
    """Zstandard in pieces, each input chunk cut small, since one chunk can unpack to thousands of times its size."""

    _CUT = 1 << 10

    def __init__(self) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()

    def decompress(self, data: bytes, /) -> bytes:
        pieces, size = [], 0
        for start in range(0, len(data), self._CUT):
            piece = self._stream.decompress(data[start : start + self._CUT])
            size += len(piece)
            _check_unpacked(size)
            pieces.append(piece)
        return b"".join(pieces)


UNPACKERS: dict[str, Callable[[], _Unpacker]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
}
_IDENTITY = ("", "identity")


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """The whole body, unpacked. Raises `BodyTooLarge`, `UnknownEncoding` or `CorruptBody`."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in _IDENTITY and encoding not in UNPACKERS:
        known = ", ".join(UNPACKERS)
        raise UnknownEncoding(
            f"The body is packed as {encoding[:40]!r}, which is not known here.", f"Use one of: {known}."
        )
    unpacker = UNPACKERS[encoding]() if encoding in UNPACKERS else None
    pieces, received, unpacked = [], 0, 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > MAX_BODY_BYTES:
            raise _too_large()
        piece = _unpack(unpacker, chunk, encoding) if unpacker else chunk
        unpacked += len(piece)
        _check_unpacked(unpacked)
        pieces.append(piece)
    return b"".join(pieces)


def _unpack(unpacker: _Unpacker, chunk: bytes, encoding: str) -> bytes:
    try:
        return unpacker.decompress(chunk)
    except (zlib.error, zstandard.ZstdError) as error:
        raise CorruptBody(f"The body is not valid {encoding}.", "Send it again, packed as its header says.") from error


def _check_unpacked(size: int) -> None:
    if size > MAX_UNPACKED_BYTES:
        raise _too_large()


def _too_large() -> BodyTooLarge:
    limits = f"{MAX_BODY_BYTES >> 20} MiB, {MAX_UNPACKED_BYTES >> 20} MiB unpacked"
    return BodyTooLarge(f"The body is larger than {limits}.", "Send smaller batches.")
