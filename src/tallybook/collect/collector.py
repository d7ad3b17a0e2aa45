"""Group commit: requests that wait at the same time share one transaction, and each is answered once it is durable."""

from __future__ import annotations

import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from tallybook.collect.budget import Budget
from tallybook.errors import LogsBusy, LogsError
from tallybook.logs.columns import Batch
from tallybook.logs.own import Appended, OwnLogs

MAX_COMMIT_RECORDS = 100_000


@dataclass(frozen=True)
class Receipt:
    """What became of the records of one request; given only when they are on disk."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class _Delivery:
    batch: Batch
    now: datetime
    receipt: Future[Receipt] = field(default_factory=Future)


class Collector:
    """One thread that writes what many requests deliver. `on_commit` is told how many seconds each commit took."""

    def __init__(
        self, store: OwnLogs, budget: Budget | None = None, on_commit: Callable[[float], None] = lambda _seconds: None
    ) -> None:
        self._store = store
        self._budget = budget or Budget()
        self._on_commit = on_commit
        self._deliveries: queue.SimpleQueue[_Delivery | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def deliver(self, batch: Batch, now: datetime) -> Future[Receipt]:
        """Queues the batch's records; the future is done when they are durable, or failed with a `LogsError`.

        Raises `Overloaded` when too much is waiting already, `LogsBusy` when it is closed.
        """
        with self._lock:
            if self._closed:
                raise LogsBusy("The server is stopping.", "Send the batch again to the next one.")
            self._budget.take(batch.table.nbytes)
            delivery = _Delivery(batch, now)
            delivery.receipt.set_running_or_notify_cancel()
            self._deliveries.put(delivery)
        return delivery.receipt

    def close(self) -> None:
        """Refuses new records, writes those that wait, and returns when they are durable."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._deliveries.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._deliveries.get()) is not None:
            deliveries, last = self._gather(first)
            self._write(deliveries)
            if last:
                return

    def _gather(self, first: _Delivery) -> tuple[list[_Delivery], bool]:
        """Everything that waits, up to one commit's worth, and whether the collector is to stop after it."""
        deliveries, records = [first], len(first.batch.table)
        while records < MAX_COMMIT_RECORDS:
            try:
                delivery = self._deliveries.get_nowait()
            except queue.Empty:
                break
            if delivery is None:
                return deliveries, True
            deliveries.append(delivery)
            records += len(delivery.batch.table)
        return deliveries, False

    def _write(self, deliveries: list[_Delivery]) -> None:
        try:
            appended = self._append(deliveries)
        except Exception as error:  # noqa: BLE001 - every request that waits must be told, whatever went wrong
            failure = error if isinstance(error, LogsError) else LogsError(f"The records could not be stored: {error}.")
            for delivery in deliveries:
                delivery.receipt.set_exception(failure)
        else:
            _acknowledge(deliveries, sorted(appended.duplicates))

    def _append(self, deliveries: list[_Delivery]) -> Appended:
        """Stores them in one commit; their bytes are free again before anyone is told."""
        start = time.perf_counter()
        try:
            joined = pa.concat_tables([delivery.batch.table for delivery in deliveries])
            appended = self._store.append(joined, max(delivery.now for delivery in deliveries))
        finally:
            self._budget.give(sum(delivery.batch.table.nbytes for delivery in deliveries))
        self._on_commit(time.perf_counter() - start)
        return appended


def _acknowledge(deliveries: list[_Delivery], duplicated: list[int]) -> None:
    """Tells each request how many of its own records, by their positions in the commit, were duplicates."""
    start = 0
    for delivery in deliveries:
        end = start + len(delivery.batch.table)
        duplicates = bisect_left(duplicated, end) - bisect_left(duplicated, start)
        delivery.receipt.set_result(Receipt(len(delivery.batch.table) - duplicates, duplicates))
        start = end
