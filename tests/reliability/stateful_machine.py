"""The machine: what may happen to a home, in any order, and what must hold after each step."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oracle import Record
from reliability import stateful_checks as checks
from reliability.model import DAY, Model
from reliability.model_answers import as_stored
from reliability.model_figures import Cut
from reliability.stateful_home import Crash, Home, Homes
from reliability.stateful_ledger import Ledger
from reliability.stateful_operations import AdjustElsewhere, Backfill, CloseElsewhere, Operation, Prune, Reconcile, Tick
from reliability.stateful_tampering import ACTS, TABLES, choose
from reliability.stateful_traffic import CHANGES, SENDINGS, Sent
from stories import stored
from tallybook.content import DayContent
from tallybook.errors import BookError
from tallybook.logs.columns import Batch
from tallybook.source import Slicing
from tallybook.verification import verify_book

START = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
LATEST = START + timedelta(days=24)
FIRST_DAY, LAST_DAY = START.date() - 9 * DAY, LATEST.date()
"""No record is of a day before the one, and the clock never comes to one after the other."""

CUTS = (Cut(), Cut(("model",)), Cut(("team", "user")), Cut(("provider", "model", "team"), 3))
JUMPS = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=7),
    DAY,
    7 * DAY,
    -timedelta(minutes=1),
    -timedelta(hours=7),
    -DAY,
)
EDGES = (time(0, 0), time(0, 4, 59, 999_999), time(0, 5), time(0, 5, 0, 1), time(0, 15), time(23, 59, 59, 999_999))
DAYS_AGO = st.integers(0, 9)


def operations(model: Model, home: Home) -> dict[str, Callable[[int, int], Operation]]:
    """What a home can be told to do, by name: two numbers of days ago say of which days."""
    today = model.now.date()

    def between(one: int, other: int) -> tuple[date, date]:
        return today - max(one, other) * DAY, today - min(one, other) * DAY

    return {
        "tick": lambda *_: Tick(model),
        "tick while importing": lambda *_: Tick(model, is_importing=True),
        "backfill": lambda one, other: Backfill(model, *between(one, other)),
        "backfill while importing": lambda one, other: Backfill(model, *between(one, other), is_importing=True),
        "reconcile": lambda one, other: Reconcile(model, *between(one, other), post=False),
        "adjust": lambda one, other: Reconcile(model, *between(one, other), post=True),
        "prune": lambda one, _: Prune(model, today - one * DAY, None),
        "prune with archive": lambda one, _: Prune(model, today - one * DAY, home.archive),
    }


OPERATIONS = (
    "tick",
    "tick while importing",
    "backfill",
    "backfill while importing",
    "reconcile",
    "adjust",
    "prune",
    "prune with archive",
)
WRITING = ("tick", "backfill", "reconcile", "adjust", "prune", "prune with archive")


class HomeMachine(RuleBasedStateMachine):
    """One home, and the model of it."""

    def __init__(self, homes: Homes, figures: Counter[str]) -> None:
        super().__init__()
        self.figures = figures
        self.model = Model(START)
        self.home = homes.new(lambda: self.model.now)
        self.ledger = Ledger(self.home, self.model, figures)
        self.named: list[Record] = []
        self.sent = 0
        self.old: Home | None = None
        self.instants: list[datetime] = []
        self.seen: Any = None
        self.figures["runs"] += 1

    @initialize(
        cut=st.sampled_from(CUTS),
        adjust_after=st.sampled_from((None, 0, 1)),
        keep=st.sampled_from((None, None, 3)),
        sendings=SENDINGS,
    )
    def the_home_is_opened(self, cut: Cut, adjust_after: int | None, keep: int | None, sendings: list[Sent]) -> None:
        self._open(cut, adjust_after, keep)
        self.ledger.check_rows()
        self.records_come(sendings)
        self.time_passes(JUMPS[2])

    def _open(self, cut: Cut, adjust_after: int | None, keep: int | None) -> None:
        self.model.cut, self.model.adjust_after_days, self.model.keep_logs_days = cut, adjust_after, keep
        flags = {"dimensions": cut.dimensions, "max_slices_per_day": cut.max_slices}
        self.home.open(**flags, adjust_after_days=adjust_after, keep_logs_days=keep)
        self.model.restart()

    # Records come

    @rule(sendings=SENDINGS)
    def records_come(self, sendings: list[Sent]) -> None:
        self._send([self._make(sending) for sending in sendings])

    def _make(self, sending: Sent) -> Record:
        self.sent += 1
        return sending.made(self.model.now.date(), self.sent)

    def _send(self, batch: list[Record]) -> None:
        receipt = self.home.keeper.intake.store(Batch(stored(batch), range(len(batch)))).result()
        assert receipt.accepted == self.model.accept(batch)
        assert receipt.accepted + receipt.duplicates == len(batch)
        self.named += [entry for entry in batch if entry["request_id"]]

    @precondition(lambda self: self.model.closings())
    @rule(number=st.integers(0, 30), kind=st.integers(0, 12), named=st.booleans(), later=st.booleans())
    def a_late_record_comes(self, number: int, kind: int, named: bool, later: bool) -> None:
        """For a day that is closed; `later` the server has the time to see that it stays so."""
        closed = sorted(self.model.closings())
        days_ago = (self.model.now.date() - closed[number % len(closed)]).days
        self._send([self._make(Sent(days_ago, 0, kind, named))])
        if later:
            self.time_passes(DAY)

    @precondition(lambda self: self.named)
    @rule(
        numbers=st.lists(st.integers(0, 50), min_size=1, max_size=4),
        days_later=st.integers(0, 1),
        status=st.sampled_from((None, 201)),
    )
    def records_come_again(self, numbers: list[int], days_later: int, status: int | None) -> None:
        """A record is the same whatever else it says, as long as `request_id` and status are."""
        again = [dict(self.named[number % len(self.named)]) for number in numbers]
        for entry in again:
            entry["created_at"] -= days_later * DAY
            entry["status_code"] = status or entry["status_code"]
        self._send(again)

    # Somebody opens the logs while the home is closed

    @contextmanager
    def _behind_our_back(self) -> Iterator[Any]:
        with self.home.behind_our_back() as connection:
            yield connection
        self.model.restart()

    @precondition(lambda self: self.model.records)
    @rule(number=st.integers(0, 50), whole_day=st.booleans())
    def records_are_deleted(self, number: int, whole_day: bool) -> None:
        chosen = self.model.records[number % len(self.model.records)]
        gone = self.model.on(chosen["created_at"].date()) if whole_day else [chosen]
        with self._behind_our_back() as connection:
            for entry in gone:
                connection.execute(*_statement("DELETE FROM log_records", entry))
        self.model.take_out(gone)

    @precondition(lambda self: self.model.records)
    @rule(number=st.integers(0, 50), change=st.sampled_from(CHANGES))
    def a_record_is_changed(self, number: int, change: dict[str, Any]) -> None:
        changed = self.model.records[number % len(self.model.records)]
        values = ", ".join(f"{name} = {'NULL' if value is None else repr(value)}" for name, value in change.items())
        with self._behind_our_back() as connection:
            connection.execute(*_statement(f"UPDATE log_records SET {values}", changed))
        self.model.change(changed, **change)

    # The home is told to do something

    @rule()
    def a_day_passes_and_is_closed(self) -> None:
        self.it_is(EDGES[2], 1)
        self.something_is_done("tick", 0, 0)

    @rule(name=st.sampled_from(OPERATIONS), one=DAYS_AGO, other=DAYS_AGO)
    def something_is_done(self, name: str, one: int, other: int) -> None:
        operation = self._operation(name, one, other)
        before = self._unaffected_by_pruning(operation)
        answer = operation.do(self.home.keeper)
        self._done(operation, answer)
        assert before == self._unaffected_by_pruning(operation)

    def _operation(self, name: str, one: int, other: int) -> Operation:
        return operations(self.model, self.home)[name](one, other)

    def _done(self, operation: Operation, answer: Any) -> None:
        self.ledger.enter(operation)
        assert answer == operation.answer()

    def _unaffected_by_pruning(self, operation: Operation) -> Any:
        """Statistics and verification, where all that is done is pruning."""
        if not isinstance(operation, Prune):
            return None
        stats = self.home.keeper.stats(first=str(FIRST_DAY), last=str(LAST_DAY), by="model")
        return stats, self.home.keeper.verify()

    @rule(name=st.sampled_from(WRITING), one=DAYS_AGO, other=DAYS_AGO, point=st.integers(1, 30), dies=st.booleans())
    def it_fails_at_a_point(self, name: str, one: int, other: int, point: int, dies: bool) -> None:
        """Before a COMMIT nothing is there of the transaction, after it all is, whatever the writer was told."""
        operation, answer = self._operation(name, one, other), None
        with suppress(Crash, BookError), self.home.failing(point, dies) as writes:
            answer = operation.do(self.home.keeper)
        if not writes.struck:
            self._done(operation, answer)
            return
        self.figures["crashes" if dies else "faults"] += 1
        if dies:
            self.model.restart()
        added = self.ledger.enter(operation, interrupted=True)
        for table in ("closings", "adjustments", "prunings", "daily_stats"):
            assert added[table] == writes.committed[table]
        if name == "tick" and not dies:
            self._restart()

    # Something happens in between, when what is done has read what it needs

    @contextmanager
    def _in_between(self, act: Callable[[], None]) -> Iterator[None]:
        """What fails in between is told at the end: a closing takes any fault for one of its source."""
        logs = self.home.keeper.logs
        read, acts, faults = logs.contents, [act], list[BaseException]()

        def contents(days: Sequence[date], slicing: Slicing) -> Generator[DayContent]:
            for content in read(days, slicing):
                if acts:
                    try:
                        acts.pop()()
                    except BaseException as fault:
                        faults.append(fault)
                        raise
                yield content

        logs.contents = contents  # type: ignore[method-assign]
        try:
            yield
        finally:
            del logs.contents
        if faults:
            raise faults[0]

    @rule(name=st.sampled_from(("tick", "backfill")), one=DAYS_AGO, other=DAYS_AGO, number=st.integers(0, 9))
    def another_server_closes_in_between(self, name: str, one: int, other: int, number: int) -> None:
        operation = self._operation(name, one, other)
        if operation.closings:
            first = number % len(operation.closings)
            elsewhere = CloseElsewhere(self.model, self.home.book_url, operation.closings[first:])
            with self._in_between(lambda: self._done(elsewhere, elsewhere.do(self.home.keeper))):
                answer = operation.do(self.home.keeper)
            operation.closings = operation.closings[:first]
            self._done(operation, answer)

    @rule(number=st.integers(0, 9))
    def another_server_adjusts_in_between(self, number: int) -> None:
        postable = [day for day in sorted(self.model.closings()) if self.model.is_postable(day)]
        if postable:
            day = postable[number % len(postable)]
            operation = Reconcile(self.model, day, LAST_DAY, post=True)
            elsewhere = AdjustElsewhere(self.model, self.home.book_url, day)
            with self._in_between(lambda: self._done(elsewhere, elsewhere.do(self.home.keeper))):
                answer = operation.do(self.home.keeper)
            self._done(operation, answer)

    @rule(name=st.sampled_from(("tick", "backfill")), one=DAYS_AGO, other=DAYS_AGO, kind=st.integers(0, 12))
    def a_record_comes_in_between(self, name: str, one: int, other: int, kind: int) -> None:
        operation = self._operation(name, one, other)
        if operation.closings:
            days_ago = (self.model.now.date() - operation.closings[0]).days
            with self._in_between(lambda: self._send([self._make(Sent(days_ago, 0, kind, named=True))])):
                answer = operation.do(self.home.keeper)
            self._done(operation, answer)

    # Time

    @rule(jump=st.sampled_from(JUMPS))
    def time_passes(self, jump: timedelta) -> None:
        self._move_clock(self.model.now + jump)

    @rule(edge=st.sampled_from(EDGES), days_later=st.integers(0, 1))
    def it_is(self, edge: time, days_later: int) -> None:
        self._move_clock(datetime.combine(self.model.now.date() + days_later * DAY, edge, UTC))

    def _move_clock(self, now: datetime) -> None:
        if START <= now <= LATEST:
            self.model.now = now

    # Restarts, copies and tampering

    @rule(cut=st.sampled_from(CUTS), adjust_after=st.sampled_from((None, 0, 1)), keep=st.sampled_from((None, None, 3)))
    def it_is_restarted(self, cut: Cut, adjust_after: int | None, keep: int | None) -> None:
        self.home.close()
        self._open(cut, adjust_after, keep)

    def _restart(self) -> None:
        """How much of what it remembers a server had noted when it failed is nobody's business."""
        self.home.close()
        self.home.open()
        self.model.restart()

    @rule(table=st.sampled_from(TABLES), number=st.integers(0, 200), act=st.sampled_from(ACTS))
    def it_is_tampered_with(self, table: str, number: int, act: str) -> None:
        """The database refuses it; when its owner does it all the same, `verify` names the table and the day."""
        book = self.home.keeper.book
        tampering = choose(book, table, number, act)
        if tampering is None:
            return
        self.figures["tamperings"] += 1
        anchors = book.heads()
        assert act == "copy" or tampering.refused(book)
        with tampering.done(book):
            found = verify_book(book, anchors)
        assert found.verdict != "intact", tampering
        assert tampering.witnesses() & {fault.table for fault in found.faults}, (tampering, found.faults)
        assert found.unguarded
        self.figures["tamperings found"] += 1
        assert verify_book(book, anchors).verdict == "intact"
        assert book.missing_guards() == []

    @precondition(lambda self: self.old is None)
    @rule()
    def a_copy_is_kept(self) -> None:
        self.home.close()
        self.old = self.home.copy()
        self.home.open()
        self.model.restart()

    @precondition(lambda self: self.old is not None)
    @rule(goes_on=st.booleans())
    def the_old_copy_is_restored(self, goes_on: bool) -> None:
        """Somebody puts the old book in the place of the new, and perhaps it goes on from there: the anchors tell."""
        assert self.old is not None
        self.figures["restored"] += 1
        anchors = self.home.keeper.book.heads()
        old, self.old = self.old, None
        old.open()
        if goes_on:
            list(old.keeper.run_once())
        heads = {head.seq: head for head in old.keeper.book.heads()}
        found = verify_book(old.keeper.book, anchors)
        old.close()
        old.erase()
        is_forked = any(heads.get(anchor.seq, anchor) != anchor for anchor in anchors)
        is_truncated = any(anchor.seq not in heads for anchor in anchors)
        assert found.verdict == ("forked" if is_forked else "truncated" if is_truncated else "intact")
        assert len(found.faults) == sum(heads.get(anchor.seq) != anchor for anchor in anchors)

    # What must hold

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        if not self.model.accepted:
            return
        self.figures["steps"] += 1
        self.ledger.check_rows()
        assert self.home.keeper.logs.counts() == self.model.counts()
        sight = (len(self.model.entries), str(self.model.notes), self.model.first_day(), self.model.last_closable())
        if sight != self.seen:
            checks.check_adjusted(self.home, self.model, FIRST_DAY, LAST_DAY)
            self.instants = [*self.instants, self.model.now][-4:]
            self.seen = sight

    @rule()
    def it_is_audited(self) -> None:
        checks.check_logs(self.home, self.model)
        checks.check_standing(self.home, self.model)
        checks.check_chain(self.home, self.model)
        checks.check_adjusted(self.home, self.model, FIRST_DAY, LAST_DAY)
        asked = checks.check_vintages(self.home, self.model, FIRST_DAY, LAST_DAY, self.instants)
        self.figures["audits"] += 1
        self.figures["vintages"] += asked

    def teardown(self) -> None:
        """A run that has failed is not audited, so that it fails with what it failed with."""
        try:
            if sys.exc_info()[0] is None:
                self.it_is_audited()
        finally:
            self.home.close()
            self.home.erase()
            if self.old:
                self.old.erase()


def _statement(act: str, entry: Record) -> tuple[str, list[Any]]:
    """The statement that does it to this record, or to one that is exactly alike."""
    alike = " AND ".join(f'"{name}" IS NOT DISTINCT FROM ?' for name in entry)
    return f"{act} WHERE rowid = (SELECT MIN(rowid) FROM log_records WHERE {alike})", list(as_stored(entry))
