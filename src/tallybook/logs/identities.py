"""Keys of records where a database has no unique index: 64 bits that are the same for the same record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Identity = tuple[str, int | None]
KEY_BYTES = 8


def keys_of(table: pa.Table, salt: bytes, positions: Sequence[int] | None = None) -> NDArray[np.uint64]:
    """Of a record with a `request_id`, the hash of that and its status; of another, of the salt and its position."""
    identities = zip(*_identities(table), positions or range(len(table)), strict=True)
    hashed = (
        _hash(f"{status}\0{request_id}".encode()) if request_id is not None else _hash(salt + b"%d" % position)
        for request_id, status, position in identities
    )
    return np.frombuffer(b"".join(hashed), "<u8")


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=KEY_BYTES).digest()


def find_repeated(table: pa.Table, stored: set[Identity]) -> frozenset[int]:
    """The positions of records that are stored, or stand earlier in the table."""
    seen, repeated = set(stored), set[int]()
    for position, identity in enumerate(zip(*_identities(table), strict=True)):
        if identity[0] is None:
            continue
        if identity in seen:
            repeated.add(position)
        seen.add(identity)
    return frozenset(repeated)


def _identities(table: pa.Table) -> tuple[list[Any], list[Any]]:
    return table["request_id"].to_pylist(), table["status_code"].to_pylist()
