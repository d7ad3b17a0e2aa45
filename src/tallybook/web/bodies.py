"""Reading request bodies: within limits, and unpacked within limits, so that no body costs more memory than it may."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

import zstandard
from litestar import Request

from tallybook.collect.budget import Allowance
from tallybook.errors import LogsBusy, TallybookError

MAX_BODY_BYTES = 64 << 20
MAX_UNPACKED_BYTES = 64 << 20
PATIENCE_S = 15
"""How long a sender may take between two pieces of a body; one that is slower holds up memory for nothing."""
MAX_READING_S = 60
_PIECE = 1 << 20
_ZSTD_CUT = 1 << 10
_ZSTD_WINDOW = 1 << 23


class BodyTooLarge(TallybookError):
    """A body is larger than the server takes."""

    code = "too_large"


class UnknownEncoding(TallybookError):
    """A body is packed in a way that the server does not know."""

    code = "unknown_encoding"


class CorruptBody(TallybookError):
    """A body is not what its encoding says."""

    code = "unreadable_body"


class SlowSender(TallybookError):
    """A body does not arrive in the time that it may take."""

    code = "slow"


class Unpacker(Protocol):
    """Unpacks a body chunk by chunk, in bounded pieces."""

    def unpack(self, data: bytes) -> Iterator[bytes]: ...

    def is_complete(self) -> bool:
        """Whether the packed data ended where it should."""


class _Identity:
    def unpack(self, data: bytes) -> Iterator[bytes]:
        yield data

    def is_complete(self) -> bool:
        return True


class _Zlib:
    """zlib in bounded pieces: what unpacks to gigabytes is left at the limit. Members in a row are one body."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._stream = zlib.decompressobj(window_bits)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream.eof:
                self._stream = zlib.decompressobj(self._window_bits)
            yield self._stream.decompress(data, _PIECE)
            data = self._stream.unconsumed_tail or self._stream.unused_data

    def is_complete(self) -> bool:
        return self._stream.eof


class _Zstd:
    """Zstandard, its input cut small: one chunk can unpack to thousands of times its size."""

    def __init__(self) -> None:
        self._stream = self._new_stream()

    @staticmethod
    def _new_stream() -> zstandard.ZstdDecompressionObj:
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def unpack(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_CUT):
            rest = data[start : start + _ZSTD_CUT]
            while rest:
                if self._stream.eof:
                    self._stream = self._new_stream()
                yield self._stream.decompress(rest)
                rest = self._stream.unused_data

    def is_complete(self) -> bool:
        return self._stream.eof


UNPACKERS: dict[str, Callable[[], Unpacker]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "zstd": _Zstd,
    "identity": _Identity,
}


async def read_body(request: Request[Any, Any, Any], allowance: Allowance | None = None) -> bytearray:
    """The whole body, unpacked, taken from the allowance as it grows.

    Raises `BodyTooLarge`, `UnknownEncoding`, `CorruptBody`, `SlowSender` or `Overloaded`.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
    unpacker = _new_unpacker(encoding)
    body, received = bytearray(), 0
    async for chunk in _patiently(request.stream()):
        received += len(chunk)
        if received > MAX_BODY_BYTES:
            raise _too_large()
        for piece in _unpack(unpacker, chunk, encoding):
            if len(body) + len(piece) > MAX_UNPACKED_BYTES:
                raise _too_large()
            if allowance:
                allowance.take(len(piece))
            body += piece
    if not unpacker.is_complete():
        raise _corrupt(encoding)
    return body


def _new_unpacker(encoding: str) -> Unpacker:
    if encoding not in UNPACKERS:
        known = ", ".join(name for name in UNPACKERS if name != "identity")
        raise UnknownEncoding(
            f"The body is packed as {encoding[:40]!r}, which is not known here.", f"Use one of: {known}."
        )
    return UNPACKERS[encoding]()


def _unpack(unpacker: Unpacker, chunk: bytes, encoding: str) -> Iterator[bytes]:
    try:
        yield from unpacker.unpack(chunk)
    except (zlib.error, zstandard.ZstdError) as error:
        raise _corrupt(encoding) from error


async def _patiently(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, each within `PATIENCE_S` of the one before and all within `MAX_READING_S`."""
    clock = asyncio.get_running_loop().time
    end = clock() + MAX_READING_S
    try:
        while True:
            async with asyncio.timeout_at(min(clock() + PATIENCE_S, end)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError:
        raise SlowSender("The body came too slowly.", f"Send it within {MAX_READING_S} seconds.") from None
    except asyncio.CancelledError:  # only the server's stop cancels a request, and this one has brought nothing yet
        raise LogsBusy("The server is stopping.", "Send the batch again to the next one.") from None


def _corrupt(encoding: str) -> CorruptBody:
    return CorruptBody(f"The body is not valid {encoding}.", "Send it again, whole, packed as its header says.")


def _too_large() -> BodyTooLarge:
    limits = f"{MAX_BODY_BYTES >> 20} MiB, {MAX_UNPACKED_BYTES >> 20} MiB unpacked"
    return BodyTooLarge(f"The body is larger than {limits}.", "Send smaller batches.")
