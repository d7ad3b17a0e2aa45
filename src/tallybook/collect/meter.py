"""What the collecting side counts, for Prometheus: since this process began."""

from __future__ import annotations

import re
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tallybook.collect.budget import Budget
from tallybook.records import RECORD_FIELDS, Rejected

COMMIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_FIELDS = {*RECORD_FIELDS, "startTime", "status", "litellm_call_id", "trace_id", "span_id", "start_time_unix_nano"}
_WORD = re.compile(r"\w+")


class Meter:
    """The counters of one server, in a registry of their own."""

    def __init__(self, budget: Budget) -> None:
        self.registry = registry = CollectorRegistry()
        self._accepted = _counter(registry, "records_accepted", "Records that were stored.", "sender")
        self._duplicates = _counter(registry, "records_duplicate", "Records that were stored already.", "sender")
        self._rejected = _counter(registry, "records_rejected", "Records that break a rule.", "sender", "reason")
        self._ignored = _counter(registry, "records_ignored", "What was sent and is no LLM request.", "sender")
        self._received = _counter(registry, "received_bytes", "Bytes of bodies, unpacked.", "sender")
        self._refused = _counter(registry, "requests_refused", "Requests of which nothing was taken.", "sender", "code")
        self._commits = Histogram(
            "tallybook_commit_seconds", "How long commits take.", registry=registry, buckets=COMMIT_BUCKETS_S
        )
        queued = Gauge("tallybook_queue_bytes", "Bytes that are read or wait to be stored.", registry=registry)
        queued.set_function(lambda: budget.taken_bytes)

    def received(self, sender: str, size_bytes: int, ignored: int, rejected: Iterable[Rejected]) -> None:
        """A body was read."""
        self._received.labels(sender).inc(size_bytes)
        self._ignored.labels(sender).inc(ignored)
        for entry in rejected:
            self._rejected.labels(sender, reason_label(entry.reason)).inc()

    def stored(self, sender: str, accepted: int, duplicates: int) -> None:
        """Records of a body are durable, or were already."""
        self._accepted.labels(sender).inc(accepted)
        self._duplicates.labels(sender).inc(duplicates)

    def refused(self, sender: str, code: str) -> None:
        """A request was turned away whole, with an error of this code."""
        self._refused.labels(sender, code).inc()

    def committed(self, seconds: float) -> None:
        """A commit took so long."""
        self._commits.observe(seconds)


def reason_label(reason: str) -> str:
    """A reason as a label of few values: the field at fault, `json`, or `other`; never what a sender wrote."""
    if reason.startswith("not JSON"):
        return "json"
    return next((word for word in _WORD.findall(reason) if word in _FIELDS), "other")


def _counter(registry: CollectorRegistry, name: str, what: str, *labels: str) -> Counter:
    return Counter(f"tallybook_{name}", what, labels, registry=registry)
