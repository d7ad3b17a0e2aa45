"""Group commit: requests that wait at the same time share one transaction, and each is answered once it is durable."""

from __future__ import annotations

import queue
import threading
from bisect import bisect_left
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

from tallybook.errors import LogsBusy, LogsError
from tallybook.logs.store import LogStore
from tallybook.records import StoredRow

MAX_WAITING_ROWS = 500_000
MAX_COMMIT_ROWS = 100_000


@dataclass(frozen=True)
class Receipt:
    """What became of the rows of one request; given only when they are on disk."""

    accepted: int
    duplicates: int


@dataclass(frozen=True)
class _Delivery:
    rows: Sequence[StoredRow]
    now: datetime
    receipt: Future[Receipt] = field(default_factory=Future)


class Collector:
    """One thread that writes what many requests deliver."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._deliveries: queue.SimpleQueue[_Delivery | None] = queue.SimpleQueue()
        self._waiting_rows = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def deliver(self, rows: Sequence[StoredRow], now: datetime) -> Future[Receipt]:
        """Queues the rows; the future is done when they are durable, or failed with a `LogsError`.

        Raises `LogsBusy` when too much is waiting already.
        """
        with self._lock:
            if self._closed:
                raise LogsBusy("The server is stopping.", "Send the batch again to the next one.")
            if self._waiting_rows and self._waiting_rows + len(rows) > MAX_WAITING_ROWS:
                raise LogsBusy(
                    "More records are waiting than can be stored at once.", "Send the batch again in a second."
                )
            self._waiting_rows += len(rows)
            delivery = _Delivery(rows, now)
            delivery.receipt.set_running_or_notify_cancel()
            self._deliveries.put(delivery)
        return delivery.receipt

    def close(self) -> None:
        """Refuses new rows, writes those that wait, and returns when they are durable."""
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
            with self._lock:
                self._waiting_rows -= sum(len(delivery.rows) for delivery in deliveries)
            if last:
                return

    def _gather(self, first: _Delivery) -> tuple[list[_Delivery], bool]:
        """Everything that waits, up to one commit's worth, and whether the collector is to stop after it."""
        deliveries, rows = [first], len(first.rows)
        while rows < MAX_COMMIT_ROWS:
            try:
                delivery = self._deliveries.get_nowait()
            except queue.Empty:
                break
            if delivery is None:
                return deliveries, True
            deliveries.append(delivery)
            rows += len(delivery.rows)
        return deliveries, False

    def _write(self, deliveries: list[_Delivery]) -> None:
        rows = [row for delivery in deliveries for row in delivery.rows]
        try:
            appended = self._store.append(rows, max(delivery.now for delivery in deliveries))
        except Exception as error:  # noqa: BLE001 - every request that waits must be told, whatever went wrong
            failure = error if isinstance(error, LogsError) else LogsError(f"The records could not be stored: {error}.")
            for delivery in deliveries:
                delivery.receipt.set_exception(failure)
            return
        duplicated = sorted(appended.duplicates)
        start = 0
        for delivery in deliveries:
            end = start + len(delivery.rows)
            duplicates = bisect_left(duplicated, end) - bisect_left(duplicated, start)
            delivery.receipt.set_result(Receipt(len(delivery.rows) - duplicates, duplicates))
            start = end
