"""What must hold of a home at any time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from oracle import DIMENSIONS
from reliability.model import Model
from reliability.model_answers import Vintage, adjusted, as_of, as_stored, expected_standing, expected_stats, original
from reliability.stateful_home import Home
from tallybook.anchoring.anchor import read_anchors
from tallybook.logs.store import LogStore
from tallybook.verification import Verification, verify_book


def check_logs(home: Home, model: Model) -> None:
    """Every record that was acknowledged is there, once, unless it was deleted on purpose."""
    assert isinstance(home.keeper.logs, LogStore)
    with home.keeper.logs.connect() as connection:
        rows = connection.execute("SELECT * EXCLUDE (priced_by) FROM log_records").fetchall()
    assert sorted(map(repr, rows)) == sorted(repr(as_stored(entry)) for entry in model.records)
    assert model.accepted == len(model.records) + model.deleted + model.pruned_records


def check_adjusted(home: Home, model: Model, first: date, last: date) -> None:
    """What the book knows is what the records were when each day was last posted; every day is told what it is."""
    _check_stats(home, model, adjusted(model), first, last, None)


def check_vintages(home: Home, model: Model, first: date, last: date, instants: list[datetime]) -> int:
    """As first closed, by every dimension, and as known at these instants; answers how many those are."""
    _check_stats(home, model, original(model), first, last, None)
    for dimension in DIMENSIONS:
        _check_stats(home, model, adjusted(model), first, last, dimension)
    for instant in instants:
        _check_stats(home, model, as_of(model, instant), first, last, "provider")
    return len(instants)


def _check_stats(home: Home, model: Model, vintage: Vintage, first: date, last: date, by: str | None) -> None:
    answer = home.keeper.stats(
        first=str(first),
        last=str(last),
        by=by,
        basis=vintage.basis,
        as_of=vintage.as_of.isoformat() if vintage.as_of else None,
    )
    expected = expected_stats(model, vintage, first, last, by)
    assert list(_differences(answer, expected)) == []


def _differences(answer: dict[str, Any], expected: dict[str, Any]) -> Iterator[Any]:
    """What is not as expected, as small as can be said."""
    for name in {*answer, *expected} - {"series"}:
        if answer.get(name) != expected.get(name):
            yield name, answer.get(name), expected.get(name)
    for told, wanted in zip(answer["series"], expected["series"], strict=True):
        if told != wanted:
            yield (
                told["date"],
                {
                    name: (told.get(name), wanted.get(name))
                    for name in {*told, *wanted}
                    if told.get(name) != wanted.get(name)
                },
            )


def check_standing(home: Home, model: Model) -> None:
    """The status says how far the source is closed, what is missing, and in which days it and the book differ."""
    sources = home.keeper.status()["sources"]
    if model.first_day() is None:
        assert sources == []
        return
    (told,) = sources
    expected = expected_standing(model)
    assert {name: told[name] for name in expected} == expected


def check_chain(home: Home, model: Model) -> None:
    """The book is intact and guarded, and goes on from every head that left it."""
    heads = home.keeper.book.heads()
    kept = read_anchors(home.anchors) if home.anchors.exists() and home.anchors.stat().st_size else []
    assert [(head.seq, head.at) for head in heads] == [(entry.seq, entry.recorded_at) for entry in model.entries]
    assert kept == heads[: len(kept)]
    assert verify_book(home.keeper.book, kept) == Verification(
        verdict="intact",
        closings=len(model.closings()),
        adjustments=sum(entry.adjusts for entry in model.entries),
        head=heads[-1].chain if heads else None,
        anchored=bool(kept),
        anchored_through=len(kept) or None,
        faults=(),
        unguarded=(),
    )
