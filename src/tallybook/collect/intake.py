"""The way in: a body is decoded, put into columns, priced and queued, each step the same for every kind of sender."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from tallybook.collect.ancestors import Ancestors
from tallybook.collect.budget import Budget
from tallybook.collect.collector import Collector, Receipt
from tallybook.collect.decoded import Decoded
from tallybook.collect.meter import Meter
from tallybook.logs.columns import PRICED_BY, Batch, to_batch
from tallybook.logs.own import OwnLogs
from tallybook.prices import PriceList

DECODERS = 1
"""Decoding holds the interpreter's lock: a second thread would make all wait for it longer, and hold another body."""

Decode = Callable[[bytes | bytearray], Decoded]


@dataclass(frozen=True)
class Sender:
    """A kind of sender: its name, how its bodies are read, and what to say of one that cannot be."""

    name: str
    decode: Decode
    remedy: str


class Intake:
    """Where all bodies of one server go. Thread-safe."""

    def __init__(self, store: OwnLogs, prices: PriceList, clock: Callable[[], datetime]) -> None:
        self.budget = Budget()
        self.meter = Meter(self.budget)
        self.ancestors = Ancestors()
        self._prices = prices
        self._clock = clock
        self._collector = Collector(store, self.budget, self.meter.committed)
        self._decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")

    def read(self, sender: Sender, body: bytes | bytearray) -> Future[Batch]:
        """The body's records, ready to be stored; `UnreadableBody` where it has none and should."""
        return self._decoders.submit(self._read, sender, body)

    def store(self, batch: Batch) -> Future[Receipt]:
        """Done when the batch's records are durable. Raises `Overloaded` or `LogsBusy` where they are not taken."""
        return self._collector.deliver(batch, self._clock())

    def close(self) -> None:
        """Stores what was accepted."""
        self._decoders.shutdown()
        self._collector.close()

    def _read(self, sender: Sender, body: bytes | bytearray) -> Batch:
        decoded = sender.decode(body)
        batch = to_batch(decoded.records, decoded.indices, decoded.rejected, self._clock())
        return replace(batch, table=_priced(batch.table, self._prices), ignored=decoded.ignored)


def _priced(table: pa.Table, prices: PriceList) -> pa.Table:
    """The table with the costs that its records did not bring, as far as they are known, and what they come from."""
    priced = prices.price(table)
    computed = pc.and_(pc.is_null(table["cost_nanousd"]), pc.is_valid(priced["cost_nanousd"]))
    by = pc.if_else(computed, pa.scalar(prices.version), pa.scalar(None, pa.string()))
    return priced.set_column(priced.schema.get_field_index(PRICED_BY), PRICED_BY, by)
