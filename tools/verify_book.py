#!/usr/bin/env python3
"""A second verifier of tallybook's books on SQLite: one file of plain Python that shares no line with tallybook.

    python3 tools/verify_book.py book.sqlite [--anchor anchors.log] [--json]

docs/verify.md publishes the format, and this is its reference: canonical bytes, digests and links, then the checks,
numbered as on the page. The book is only read. Exits with 0 for an intact book, 1 for a fault, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

MEASURES = (
    *("requests", "success", "failed", "status_count"),
    *("tokens_in", "tokens_in_count", "tokens_out", "tokens_out_count"),
    *("tokens_cached", "tokens_cached_count", "tokens_reasoning", "tokens_reasoning_count"),
    *("latency_sum_ms", "latency_count", "ttft_sum_ms", "ttft_count", "cost_nanousd", "priced_requests"),
)
NOTHING = [0] * len(MEASURES)
DIMENSIONS = ("model", "provider", "team", "api_key", "user", "operation", "error_type")
HISTOGRAM_DIMENSIONS = ("provider", "model")
FINGERPRINT = ("requests", "tokens_in", "tokens_out", "latency_sum_ms", "cost_nanousd")
DAY_TABLES = ("daily_stats", "daily_slices", "daily_histograms")
BESIDE = ("tokens", "reconciliations", "comparisons", "prunings", "alembic_version")
SCHEMA = "0005"
NUMBERS = ("id", "seq", "records", "payload_version", "position", *MEASURES)
_ENTRY = ("seq", "source", "day", "payload_version", "digest", "prev_chain")
_CLOSING = (*_ENTRY, "state", "records", "fingerprint", "closed_at")
_ADJUSTMENT = (*_ENTRY, "recorded_at", "reason", "fingerprint_before", "fingerprint_after")
LINKED = {
    ("closings", 1): _CLOSING,
    ("closings", 2): (*_CLOSING, "unknown", "prices", "schema_version"),
    ("adjustments", 2): (*_ADJUSTMENT, "prices", "schema_version"),
}
"""The columns that a link covers, by table and payload_version. There are no other entries."""

VERDICTS = ("unreadable", "missing", "altered", "forked", "truncated")
MAX_SAFE = 2**53 - 1

Row = dict[str, Any]
"""A row of the book by column, and under `table` where it lies."""


@dataclass
class Fault(Exception):
    """What is not as it was written, and where, as far as it can be told."""

    verdict: str
    table: str
    field: str | None
    fault: str
    seq: Any = None
    source: Any = None
    day: Any = None


# Canonical bytes, digests and links


def as_text(value: Any) -> str:
    """The value as canonical JSON with whole numbers as they are: so compound values are stored."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def safe(value: Any) -> Any:
    """The value with every whole number outside ±(2^53 - 1) as a decimal string: so everything is hashed."""
    if isinstance(value, int):
        return value if abs(value) <= MAX_SAFE else str(value)
    if isinstance(value, dict):
        return {key: safe(item) for key, item in value.items()}
    return [safe(item) for item in value] if isinstance(value, (list, tuple)) else value


def hash_of(value: Any) -> str:
    return sha256(as_text(safe(value)).encode()).hexdigest()


def digest_of(figures: Row, kind: str, **more: Any) -> str:
    """The digest of a `day` or of a `change`; a day has `top_models`, and `unknown` where there is any."""
    named = {"format": f"tallybook-{kind}/1", "measures": MEASURES, "histogram_dimensions": HISTOGRAM_DIMENSIONS}
    return hash_of({**figures, **named, **more})


def link_of(entry: Row) -> str:
    """What the entry's `chain` must be."""
    table, version = entry["table"], entry["payload_version"]
    kind = {"kind": table.removesuffix("s")} if version > 1 else {}
    covered = {name: entry[name] for name in LINKED[table, version]}
    return hash_of({"format": f"tallybook-chain/{version}", **kind, **covered})


def genesis(identity: Row, version: int) -> str:
    """What the first entry, of that payload_version, must have as `prev_chain`."""
    bound = {name: identity[name] for name in ("book_id", "created_at")[:version]}
    return hash_of({"format": f"tallybook-book/{version}", **bound})


def fingerprint_of(totals: Sequence[int]) -> str:
    return as_text({name: totals[MEASURES.index(name)] for name in FINGERPRINT})


def sum_of(rows: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(NOTHING, *rows, strict=True)]


def merged(histograms: Iterable[Sequence[Any]]) -> list[tuple[int, int]]:
    """The sum of the histograms in order of bucket, empty buckets left out."""
    counts: dict[int, int] = {}
    for bucket, count in (pair for *_, pairs in histograms for pair in pairs):
        counts[bucket] = counts.get(bucket, 0) + count
    return sorted((bucket, count) for bucket, count in counts.items() if count)


# Reading rows


def open_book(file: Path) -> sqlite3.Connection:
    """One reading transaction. Without a -wal nobody writes, and `immutable` then leaves no file beside the book."""
    still = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    book = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro{still}", uri=True, isolation_level=None, timeout=30)
    book.text_factory = lambda text: text.decode(errors="surrogateescape")
    book.execute("BEGIN")
    return book


def rows(book: sqlite3.Connection, table: str, where: str = "true", *given: Any) -> list[Row]:
    try:
        found = book.execute(f"SELECT * FROM {table} WHERE {where}", given)  # noqa: S608 - our names
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such table"):
            raise Fault("missing", table, None, "there is no such table") from None
        raise
    names = [column[0] for column in found.description]
    return [{"table": table, **dict(zip(names, row, strict=True))} for row in found]


def is_number(value: Any) -> bool:
    return type(value) is int


def is_text(value: Any) -> bool:
    """Whether it was UTF-8: what was not has become surrogates."""
    return type(value) is str and not re.search("[\ud800-\udfff]", value)


def unfit(row: Row, name: str, verdict: str = "unreadable") -> Fault:
    return Fault(verdict, row["table"], name, f"{name} does not hold what it must")


def check_types(row: Row) -> None:
    """A book holds whole numbers, texts and NULL, and whole numbers where they belong."""
    for name, value in row.items():
        if not (is_number(value) or (name not in NUMBERS and (value is None or is_text(value)))):
            raise unfit(row, name)


ITEMS = {
    "dimensions": "a",
    "unknown": "a",
    "top_models": '{"model":[a-],"requests":0,"tokens":0}',
    "histogram": r"\[0,0\]",
    "slices": r"\[[a0,-]*\]",
    "histograms": r"\[[a-],[a-],\[(,?\[0,0\])*\]\]",
}
"""What the items of compound columns look like, with `a` for each text, `0` for each whole number, `-` for null."""


def compound(row: Row, name: str) -> Any:
    """The array in a compound column, which must stand there in canonical form."""
    try:
        value = json.loads(row[name])
    except (TypeError, ValueError):
        raise unfit(row, name) from None
    text = as_text(value)
    masked = re.sub(r'"(?:\\.|[^"\\])*"(:?)', lambda string: string[0] if string[1] else "a", text)
    shape = re.sub("-?[0-9]+", "0", masked).replace("null", "-")
    if not re.fullmatch(rf"\[(,?{ITEMS[name]})*\]", shape) or not is_text(text):
        raise unfit(row, name)
    if text != row[name]:
        raise unfit(row, name, "altered")
    return value


def rows_of_day(book: sqlite3.Connection, table: str, closing: Row) -> list[Row]:
    """The day's rows of the table, in order of position: 0, 1, 2 and so on."""
    found = rows(book, table, "source = ? AND date = ?", closing["source"], closing["day"])
    for row in found:
        check_types(row)
    found.sort(key=lambda row: int(row.get("position", 0)))
    if table == "daily_stats" and len(found) != 1:
        raise Fault("altered" if found else "missing", table, None, f"the day has {len(found)} rows, not one")
    if any(row.get("position", place) != place for place, row in enumerate(found)):
        raise Fault("missing", table, "position", "position is not 0, 1, 2 and so on")
    return found


def key_of(row: Row, dimensions: Sequence[str]) -> list[str | None]:
    """The row's values of the dimensions; it must have none of any other."""
    for name in DIMENSIONS:
        if is_number(row.get(name)):
            raise unfit(row, name)
        if row.get(name) is not None and name not in dimensions:
            raise unfit(row, name, "altered")
    return [row[name] for name in dimensions]


def measures_of(row: Row) -> list[int]:
    return [row[name] for name in MEASURES]


def read_day(book: sqlite3.Connection, closing: Row) -> tuple[Row | None, Row]:
    """The day's row of `daily_stats`, and what all its rows say; a zero day has none."""
    if closing["state"] != "closed":
        nothing: Row = {name: [] for name in ("dimensions", "slices", "histograms", "top_models")}
        return None, {"day": closing["day"], "totals": NOTHING, **nothing}
    (stat,), slices, histograms = (rows_of_day(book, table, closing) for table in DAY_TABLES)
    dimensions = compound(stat, "dimensions")
    if not set(dimensions) <= set(DIMENSIONS):
        raise unfit(stat, "dimensions")
    return stat, {
        "day": closing["day"],
        "dimensions": dimensions,
        "totals": measures_of(stat),
        "slices": [[*key_of(row, dimensions), *measures_of(row)] for row in slices],
        "histograms": [[*key_of(row, HISTOGRAM_DIMENSIONS), compound(row, "histogram")] for row in histograms],
        "top_models": compound(stat, "top_models"),
    }


def read_change(entry: Row) -> tuple[Row, list[int]]:
    """What the adjustment adds to its day, and what its slices, stored as they are hashed, add up to."""
    lists = {name: compound(entry, name) for name in ("dimensions", "slices", "histograms")}
    width, slices = len(lists["dimensions"]), lists["slices"]
    try:
        numbers = [[int(cell) for cell in part[width:]] for part in slices]
        sums = sum_of(numbers)
    except (TypeError, ValueError):
        raise unfit(entry, "slices") from None
    in_key = any(is_number(name) for part in slices for name in part[:width])
    if in_key or safe(numbers) != [part[width:] for part in slices]:
        raise unfit(entry, "slices")
    return {"day": entry["day"], "totals": measures_of(entry), **lists}, sums


# Checks

Checks = Iterator[tuple[str, str, bool, str]]
"""Table, field, whether it is what it must be, and what that is."""


class Walk:
    """One pass along the chain. `known` are each day's dimensions and totals, with the adjustments passed so far."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self.book, self.identity = book, rows(book, "book")
        entries = rows(book, "closings") + rows(book, "adjustments")
        self.entries = sorted(entries, key=lambda row: (not is_number(row["seq"]), str(row["seq"]).zfill(20)))
        for row in self.identity:
            check_types(row)
        self.known: dict[tuple[str, str], tuple[Sequence[str], Sequence[int]] | None] = {}

    def faults(self) -> Iterator[Fault]:
        """Checks 0 to 5."""
        yield from database_faults(self.book)
        if [row["id"] for row in self.identity] != [1]:
            yield Fault("unreadable", "book", "id", f"there are {len(self.identity)} rows, or it is not number 1")
        for before, entry, after in zip([None, *self.entries], self.entries, [*self.entries[1:], None], strict=False):
            for fault in self.entry_faults(entry, before, after):
                fault.seq, fault.source, fault.day = entry["seq"], entry["source"], entry["day"]
                yield fault
        for table in DAY_TABLES:
            owner = f"c.source = {table}.source AND c.day = {table}.date AND c.state = 'closed'"
            without = f"NOT EXISTS (SELECT 1 FROM closings AS c WHERE {owner}) GROUP BY source, date"  # noqa: S608
            for row in rows(self.book, table, without):
                yield Fault("altered", table, None, "it belongs to no closing", None, row["source"], row["date"])

    def entry_faults(self, entry: Row, before: Row | None, after: Row | None) -> Iterator[Fault]:
        checks = self.day_checks if entry["table"] == "closings" else self.change_checks
        try:
            check_entry(entry)
            yield from chain_faults(entry, before, after, self.identity)
            for table, name, holds, wanted in checks(entry):
                if not holds:
                    yield Fault("altered", table, name, f"{name} is not {wanted}")
        except Fault as fault:
            yield fault
        except KeyError as error:
            yield Fault("missing", entry["table"], str(error.args[0]), "there is no such column")

    def day_checks(self, closing: Row) -> Checks:
        """Checks 3.1 to 3.9."""
        place = closing["source"], closing["day"]
        yield "closings", "day", place not in self.known, "of one closing only"
        self.known[place] = None
        stat, figures = read_day(self.book, closing)
        totals = figures["totals"]
        self.known[place] = figures["dimensions"], totals
        if stat:
            merged_text = as_text(merged(figures["histograms"]))
            yield "daily_stats", "created_at", stat["created_at"] == closing["closed_at"], "closed_at"
            yield "daily_stats", "histogram", stat["histogram"] == merged_text, "the sum of the day's histograms"
        yield "daily_stats", "requests", totals[0] == closing["records"], "the closing's number of records"
        yield "closings", "fingerprint", closing["fingerprint"] == fingerprint_of(totals), "that of the day's totals"
        unknown = compound(closing, "unknown")
        digest = digest_of(figures, "day", **({"unknown": unknown} if unknown else {}))
        yield "closings", "digest", closing["digest"] == digest, "that of the day's rows"
        latencies = sum(count for _, count in merged(figures["histograms"]))
        counted = totals[MEASURES.index("latency_count")]
        yield "daily_stats", "latency_count", latencies == counted, f"{latencies}, as the histograms count"
        sums = sum_of(part[len(figures["dimensions"]) :] for part in figures["slices"])
        for name, total, added in zip(MEASURES, totals, sums, strict=True):
            yield "daily_slices", name, total == added, f"{total}, as the day's row has it, but {added}"

    def change_checks(self, entry: Row) -> Checks:
        """Checks 4.1 to 4.7."""
        change, sums = read_change(entry)
        place = entry["source"], entry["day"]
        if place not in self.known:
            raise Fault("missing", "adjustments", "day", "the day that it adjusts is not in the book")
        if known := self.known[place]:
            dimensions, before = known
            after = sum_of([before, change["totals"]])
            self.known[place] = dimensions or change["dimensions"], after
            same = not dimensions or change["dimensions"] in ([], dimensions)
            yield "adjustments", "dimensions", same, "those of the day"
            for name, totals in (("fingerprint_before", before), ("fingerprint_after", after)):
                yield "adjustments", name, entry[name] == fingerprint_of(totals), "that of the day"
        for name, total, added in zip(MEASURES, change["totals"], sums, strict=True):
            yield "adjustments", name, total == added, f"{added}, as its slices have it, but {total}"
        latencies = sum(count for _, count in merged(change["histograms"]))
        yield "adjustments", "histograms", latencies == entry["latency_count"], "of as many latencies"
        yield "adjustments", "digest", entry["digest"] == digest_of(change, "change"), "that of what it changes"


def database_faults(book: sqlite3.Connection) -> Iterator[Fault]:
    """Check 0, of a file that is a database."""
    for (told,) in book.execute("PRAGMA integrity_check(20)"):
        if told != "ok":
            yield Fault("unreadable", "book", None, f"the database finds: {told}")
    tables = {name for (name,) in book.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in (table for table in BESIDE if table not in tables):
        yield Fault("missing", table, None, "there is no such table")
    versions = (
        [row["version_num"] for row in rows(book, "alembic_version")] if "alembic_version" in tables else [SCHEMA]
    )
    if versions != [SCHEMA]:
        is_known = set(versions) <= {f"{number:04}" for number in range(1, int(SCHEMA))}
        verdict = "altered" if is_known else "unreadable"
        yield Fault(verdict, "alembic_version", "version_num", f"it is not {SCHEMA}")


def check_entry(entry: Row) -> None:
    """Check 2.1."""
    check_types(entry)
    for name in (name for name in ("closed_at", "recorded_at") if entry.get(name) is not None):
        with contextlib.suppress(ValueError):
            if f"{datetime.strptime(entry[name], '%Y-%m-%dT%H:%M:%S%z'):%Y-%m-%dT%H:%M:%SZ}" == entry[name]:
                continue
        raise unfit(entry, name)
    with contextlib.suppress(TypeError, ValueError):
        if date.fromisoformat(entry["day"]).isoformat() == entry["day"]:
            if (entry["table"], entry["payload_version"]) in LINKED:
                return
            raise unfit(entry, "payload_version")
    raise unfit(entry, "day")


def chain_faults(entry: Row, before: Row | None, after: Row | None, identity: Sequence[Row]) -> Iterator[Fault]:
    """Checks 2.2 to 2.4."""
    table, seq, due = entry["table"], entry["seq"], before["seq"] + 1 if before else 1
    expected = [before["chain"]] if before else [genesis(row, entry["payload_version"]) for row in identity]
    if seq > due:
        yield Fault("missing", table, "seq", f"the sequence goes on with {seq} where {due} was due")
    elif seq < due:
        yield Fault("altered", table, "seq", f"the sequence has {seq} twice")
    link = link_of(entry)
    if seq <= due and entry["prev_chain"] not in expected:
        if before or link != entry["chain"]:
            yield Fault("altered", table, "prev_chain", "prev_chain is not the chain of the entry before")
        else:
            named = "book_id" if entry["payload_version"] == 1 else None
            yield Fault("altered", "book", named, "the first entry is not linked to this identity")
    if link != entry["chain"]:
        named = "chain" if after and after["prev_chain"] == link else changed_field(entry, before, after, expected)
        yield Fault("altered", table, named, "chain does not match the entry's fields")


def changed_field(entry: Row, before: Row | None, after: Row | None, expected: Sequence[Any]) -> str | None:
    """The one field that makes the link right where it is put back to what the entries beside this one have."""
    likely = [("prev_chain", chain) for chain in expected]
    likely += [(name, near[name]) for near in (before, after) if near for name in near.keys() - {"table", "chain"}]
    for name, value in likely:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            if name in entry and link_of({**entry, name: value}) == entry["chain"]:
                return name
    return None


def anchor_faults(chains: dict[Any, Any], anchors: Iterable[tuple[int, str]]) -> Iterator[Fault]:
    """Check 6."""
    for seq, chain in anchors:
        if seq not in chains:
            yield Fault("truncated", "closings", None, "anchored, but no longer in the book", seq)
        elif chains[seq] != chain:
            yield Fault("forked", "closings", None, "differs from the anchored head", seq)


# From a file to a verdict


def verify(file: Path, anchors: Sequence[tuple[int, str]] = ()) -> Row:
    """The verdict on the book in the file, with what it rests on."""
    entries, faults = _walk(file)
    chains = {entry["seq"]: entry["chain"] for entry in entries if is_number(entry["seq"])}
    faults += anchor_faults(chains, anchors)
    found = {fault.verdict for fault in faults}
    return {
        "verdict": next((verdict for verdict in VERDICTS if verdict in found), "intact"),
        "closings": sum(entry["table"] == "closings" for entry in entries),
        "adjustments": sum(entry["table"] == "adjustments" for entry in entries),
        "head": chains[max(chains)] if chains else None,
        "anchored": bool(anchors),
        "anchored_through": max((seq for seq, chain in anchors if chains.get(seq) == chain), default=None),
        "faults": [vars(fault) for fault in faults],
    }


def _walk(file: Path) -> tuple[list[Row], list[Fault]]:
    if not file.exists():
        return [], [Fault("missing", "book", None, f"there is no {file}")]
    try:
        with contextlib.closing(open_book(file)) as book:
            walk = Walk(book)
            return walk.entries, list(walk.faults())
    except Fault as fault:
        return [], [fault]
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return [], [Fault("unreadable", "book", None, str(error))]


def id_of(file: Path) -> str | None:
    """The book's id, or None where it cannot be read: `verify` tells why."""
    with contextlib.suppress(Fault, ValueError, KeyError, sqlite3.Error), contextlib.closing(open_book(file)) as book:
        (identity,) = rows(book, "book")
        return identity["book_id"] if is_text(identity["book_id"]) else None
    return None


def read_anchors(file: Path, book_id: str | None = None) -> list[tuple[int, str]]:
    """The heads in lines of anchors.log or in bodies of a webhook, one a line; a last line cut short is passed over.

    Bodies that name another book than `book_id`, if that is known, are passed over, too.
    """
    heads: list[tuple[int, str]] = []
    others = 0
    *lines, last = file.read_text(encoding="ascii").split("\n")
    for number, line in enumerate((*lines, last), start=1):
        if match := re.fullmatch("([1-9][0-9]{0,17}) ([0-9a-f]{64})( .*)?", line):
            heads.append((int(match[1]), match[2]))
        elif line.startswith("{") and line.endswith("}"):
            body = json.loads(line)
            is_ours = book_id in (None, body["book_id"])
            others += not is_ours
            heads += [(head["seq"], head["chain"]) for head in body["anchors"] if is_ours]
        elif line.strip() and number <= len(lines):
            raise ValueError(f"line {number} is no anchor")
    if not heads:
        raise ValueError(f"{file} holds no anchors" + (f" of the book {book_id}, only of others" if others else ""))
    return heads


def as_lines(answer: Row) -> str:
    is_intact = answer["verdict"] == "intact"
    anchored = "consistent, NOT anchored" if is_intact else "NOT anchored"
    if answer["anchored"]:
        anchored = f"anchored up to entry {answer['anchored_through']}" if is_intact else "compared with the anchors"
    lines = [f"{answer['verdict']}  {answer['closings']} closings, {answer['adjustments']} adjustments, {anchored}"]
    lines += [f"head  {answer['head']}"] if answer["head"] else []
    for fault in answer["faults"]:
        place = " ".join(str(fault[name]) for name in ("seq", "source", "day") if fault[name] is not None)
        lines.append(f"  {place or 'the book'}  {fault['table']}.{fault['field'] or '*'}: {fault['fault']}")
    return "\n".join([*lines, ""]).encode(errors="backslashreplace").decode()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verifies a tallybook book on SQLite, as docs/verify.md says.")
    parser.add_argument("book", type=Path, help="the file, as tallybook-data/book.sqlite")
    parser.add_argument("--anchor", metavar="FILE", type=Path, help="heads that were exported, as in anchors.log")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    try:
        answer = verify(given.book, read_anchors(given.anchor, id_of(given.book)) if given.anchor else ())
    except (OSError, ValueError, KeyError, TypeError, sqlite3.OperationalError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{json.dumps(answer, default=repr)}\n" if given.json else as_lines(answer))
    return 0 if answer["verdict"] == "intact" else 1


if __name__ == "__main__":
    sys.exit(main())
