"""The book's database refuses to change what was written, whoever asks it; and where it no longer would, that is told."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from stories import NOW, YESTERDAY, facts, totals
from tallybook.book.guards import GUARDED, raise_guards
from tallybook.book.ledger import Book
from tallybook.book.schema import metadata
from tallybook.change import Change
from tallybook.content import DayContent, LatencyHistogram, Slice, empty_content, top_models
from tallybook.errors import BookError
from tallybook.verification import verify_book

CLOSED = "a closed day is never changed; post an adjustment instead"
SAID = {
    "book": "book: a book has one identity, for good",
    "closings": f"closings: {CLOSED}",
    "daily_stats": f"daily_stats: {CLOSED}",
    "daily_slices": f"daily_slices: {CLOSED}",
    "daily_histograms": f"daily_histograms: {CLOSED}",
    "adjustments": "adjustments: an adjustment is never changed; post another one",
    "prunings": "prunings: the note that a day was pruned is never changed",
}
OUT_OF_SEQUENCE = "seq must be the next of the sequence that closings and adjustments share"

CHANGES = {
    "book": "created_at = '2026-01-01T00:00:00Z'",
    "closings": "records = 3",
    "daily_stats": "requests = 3",
    "daily_slices": "requests = 3",
    "daily_histograms": "histogram = '[]'",
    "adjustments": "reason = 'none'",
    "prunings": "records = 3",
}
FIRST = {
    "book": "id = 1",
    "closings": "seq = 1",
    "adjustments": "seq = 3",
    "prunings": "source = 'local'",
    "daily_stats": "date = '2026-11-21'",
    **dict.fromkeys(("daily_slices", "daily_histograms"), "date = '2026-11-21' AND position = 0"),
}
"""The row of each table that somebody is after."""

SQLITE_COMMAND = shutil.which("sqlite3") or ""

ONE = totals(requests=1, success=1, status_count=1, latency_sum_ms=250, latency_count=1)
TWO = totals(requests=2, success=2, status_count=2, latency_sum_ms=500, latency_count=2)
DAY_BEFORE = date(2026, 11, 21)


def day_of_two(day: date) -> DayContent:
    """A request to each of two models."""
    slices = (Slice(("gpt-5",), ONE), Slice(("o3",), ONE))
    histograms = tuple(LatencyHistogram(("openai", model), ((189, 1),)) for model in ("gpt-5", "o3"))
    return DayContent(day, ("model",), TWO, top_models(("model",), slices), slices, histograms)


def fill(book: Book) -> Book:
    """Two closed days, entries 1 and 2; an adjustment of the first, entry 3; and the note that it was pruned."""
    for day in (DAY_BEFORE, YESTERDAY):
        book.append("local", day_of_two(day), NOW)
    latency = LatencyHistogram(("openai", "gpt-5"), ((189, 1),))
    late = Change(DAY_BEFORE, ("model",), ONE, (Slice(("gpt-5",), ONE),), (latency,))
    assert book.adjust("local", DAY_BEFORE, NOW, lambda _: (late, "drift"))
    book.prunings.note("local", DAY_BEFORE, 2, NOW, None)
    return book


@pytest.fixture
def kept(book: Book) -> Book:
    """Such a book, on each of the databases."""
    return fill(book)


@pytest.fixture
def in_file(sqlite_book: Book) -> Book:
    """Such a book in a SQLite file."""
    return fill(sqlite_book)


@pytest.fixture
def file(tmp_path: Path, in_file: Book) -> Path:
    """That file."""
    return tmp_path / "book.sqlite"


@pytest.fixture
def in_postgresql(postgres_url: str) -> Iterator[Book]:
    """Such a book in PostgreSQL."""
    book = Book.open(postgres_url, NOW)
    yield fill(book)
    book.close()


def run(book: Book, *statements: str) -> None:
    """Runs the statements in one transaction, past everything that tallybook heeds."""
    with book._engine.connect().execution_options(writes=True) as connection, connection.begin():
        for statement in statements:
            connection.execute(sa.text(statement))


def raise_again(book: Book) -> None:
    """Puts the guards up, as `tallybook migrate` does."""
    with book._engine.connect().execution_options(writes=True) as connection, connection.begin():
        raise_guards(connection)


def missing(book: Book) -> list[str]:
    """The guards that do not stand, as `verify` tells them."""
    return list(verify_book(book).unguarded)


def rows(book: Book) -> dict[str, list[tuple[object, ...]]]:
    """Everything that must stay as it is, by table."""
    with book._engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(sa.select(metadata.tables[name]))), key=repr)
            for name in GUARDED
        }


def refusal(book: Book, *statements: str) -> str:
    """What the database says when it refuses the statements, after which it holds what it held."""
    before = rows(book)
    with pytest.raises(sa.exc.IntegrityError) as refused:
        run(book, *statements)
    assert rows(book) == before
    return str(refused.value.orig).splitlines()[0]


def again(table: str, verb: str = "INSERT", **other: str) -> str:
    """An INSERT of the table's row once more, with other values where they are given as SQL."""
    values = {column.name: other.get(column.name, f'"{column.name}"') for column in metadata.tables[table].columns}
    values |= other
    names = ", ".join(f'"{name}"' for name in values)
    return f"{verb} INTO {table} ({names}) SELECT {', '.join(values.values())} FROM {table} WHERE {FIRST[table]}"


class TestOnBothDatabases:
    @pytest.mark.parametrize("table", GUARDED)
    def test_an_update_is_refused(self, kept: Book, table: str) -> None:
        assert refusal(kept, f"UPDATE {table} SET {CHANGES[table]} WHERE {FIRST[table]}") == SAID[table]

    @pytest.mark.parametrize("table", GUARDED)
    def test_a_delete_is_refused(self, kept: Book, table: str) -> None:
        assert refusal(kept, f"DELETE FROM {table} WHERE {FIRST[table]}") == SAID[table]
        assert refusal(kept, f"DELETE FROM {table}") == SAID[table]

    @pytest.mark.parametrize(
        ("table", "key"),
        [("daily_stats", "source, date"), ("daily_slices", "source, date, position"), ("prunings", "source, day")],
    )
    def test_an_upsert_is_refused(self, kept: Book, table: str, key: str) -> None:
        upsert = f"{again(table)} ON CONFLICT ({key}) DO UPDATE SET {CHANGES[table]}"
        assert refusal(kept, upsert) == SAID[table]

    def test_an_upsert_of_a_closing_is_refused_though_its_seq_is_the_next(self, kept: Book) -> None:
        upsert = again("closings", seq="4") + " ON CONFLICT (source, day) DO UPDATE SET records = 3"
        assert refusal(kept, upsert) == SAID["closings"]

    @pytest.mark.parametrize("table", ["closings", "adjustments"])
    @pytest.mark.parametrize("seq", ["-1", "0", "5", "9223372036854775807"])
    def test_a_seq_that_is_not_the_next_is_refused(self, kept: Book, table: str, seq: str) -> None:
        assert refusal(kept, again(table, seq=seq, source="'another'")) == f"{table}: {OUT_OF_SEQUENCE}"

    def test_closings_and_adjustments_share_one_sequence(self, kept: Book) -> None:
        assert refusal(kept, again("adjustments", seq="2")) == f"adjustments: {OUT_OF_SEQUENCE}"
        assert refusal(kept, again("closings", seq="3", source="'x'")) == f"closings: {OUT_OF_SEQUENCE}"
        run(kept, again("adjustments", seq="4"), again("closings", seq="5", source="'x'"))
        assert kept.last_seq() == 5

    def test_rows_that_come_together_follow_each_other_in_sequence(self, kept: Book) -> None:
        insert = again("closings", seq="3 + n", source="'x' || n")
        both = insert.replace("FROM", "FROM (SELECT 1 AS n UNION ALL SELECT {}) AS numbers,")
        assert refusal(kept, both.format(3)) == f"closings: {OUT_OF_SEQUENCE}"
        run(kept, both.format(2))
        assert kept.last_seq() == 5

    def test_a_second_identity_is_refused(self, kept: Book) -> None:
        assert refusal(kept, again("book", id="0", book_id="'another'")) == SAID["book"]

    def test_days_are_closed_and_adjusted_behind_them(self, kept: Book) -> None:
        assert missing(kept) == []
        assert facts(kept) == [("2026-11-21", "closed", 2), ("2026-11-22", "closed", 2)]
        assert verify_book(kept).verdict == "intact"

    def test_putting_them_up_again_changes_nothing(self, kept: Book) -> None:
        before = rows(kept)
        raise_again(kept)
        raise_again(kept)
        assert (missing(kept), rows(kept)) == ([], before)
        assert refusal(kept, "DELETE FROM closings") == SAID["closings"]

    def test_a_table_that_is_not_there_yet_keeps_no_other_from_being_guarded(self, kept: Book) -> None:
        run(kept, "DROP TABLE prunings")
        raise_again(kept)
        assert {guard.partition(":")[0] for guard in missing(kept)} == {"prunings"}


class TestInAFile:
    IN_THE_WAY = (
        ("book", {"book_id": "'another'"}),
        ("closings", {"source": "'another'"}),
        ("closings", {"seq": "4"}),
        ("closings", {"seq": "4", "source": "'another'", "rowid": "rowid"}),
        ("closings", {"seq": "4", "source": "'another'", "rowid": "rowid || '.0'"}),
        ("daily_stats", {"requests": "3"}),
        ("daily_stats", {"source": "'another'", "rowid": "rowid"}),
        ("daily_slices", {"requests": "3"}),
        ("daily_histograms", {"histogram": "'[]'"}),
        ("adjustments", {"reason": "'none'"}),
        ("adjustments", {"seq": "4", "rowid": "rowid"}),
        ("prunings", {"records": "3"}),
        ("prunings", {"source": "'another'", "rowid": "rowid"}),
    )
    """Rows that would take the place of one that is there, by each key of each table, the hidden one too."""

    @pytest.mark.parametrize(("table", "values"), IN_THE_WAY)
    def test_insert_or_replace_is_refused(self, in_file: Book, table: str, values: dict[str, str]) -> None:
        assert refusal(in_file, again(table, "INSERT OR REPLACE", **values)) == SAID[table]

    @pytest.mark.parametrize(("table", "values"), IN_THE_WAY)
    def test_insert_or_ignore_changes_nothing(self, in_file: Book, table: str, values: dict[str, str]) -> None:
        assert refusal(in_file, again(table, "INSERT OR IGNORE", **values)) == SAID[table]

    @pytest.mark.parametrize("table", GUARDED)
    def test_update_or_replace_is_refused(self, in_file: Book, table: str) -> None:
        assert refusal(in_file, f"UPDATE OR REPLACE {table} SET {CHANGES[table]}") == SAID[table]

    @pytest.mark.parametrize("recursive", ["ON", "OFF"])
    def test_triggers_that_fire_each_other_make_no_difference(self, in_file: Book, recursive: str) -> None:
        pragma = f"PRAGMA recursive_triggers = {recursive}"
        assert refusal(in_file, pragma, "DELETE FROM daily_slices") == SAID["daily_slices"]
        assert refusal(in_file, pragma, again("daily_slices", "REPLACE", requests="3")) == SAID["daily_slices"]

    def test_a_temporary_table_of_the_same_name_misleads_nobody(self, in_file: Book) -> None:
        with in_file._engine.connect().execution_options(writes=True) as connection:
            for table in ("closings", "adjustments"):
                connection.execute(sa.text(f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table} WHERE false"))
            replace = again("closings", "REPLACE", source="'another'").replace("closings", "main.closings")
            with pytest.raises(sa.exc.IntegrityError, match=CLOSED):
                connection.execute(sa.text(replace))

    def test_another_database_that_attaches_the_file_is_refused(self, file: Path) -> None:
        with sqlite3.connect(":memory:") as other:
            other.execute("ATTACH ? AS kept", [str(file)])
            with pytest.raises(sqlite3.IntegrityError, match=CLOSED):
                other.execute("UPDATE kept.closings SET records = 3")
        other.close()

    def test_a_dropped_trigger_is_told_by_missing_guards(self, in_file: Book) -> None:
        with in_file._engine.connect() as connection:
            triggers = connection.execute(
                sa.text("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'")
            ).all()
        assert len(triggers) == 21
        for name, table in triggers:
            run(in_file, f"DROP TRIGGER {name}")
            assert missing(in_file) == [f"{table}: {name.rpartition('_')[2].upper()}"]
            raise_again(in_file)
            assert missing(in_file) == []

    def test_who_writes_the_file_wins_and_it_is_told(self, in_file: Book) -> None:
        run(in_file, "DROP TRIGGER guard_closings_update", "UPDATE closings SET records = 3 WHERE seq = 1")
        verification = verify_book(in_file)
        assert (verification.verdict, verification.unguarded) == ("altered", ("closings: UPDATE",))

    def test_a_trigger_of_somebody_else_is_told_and_drops_no_row_unseen(self, in_file: Book) -> None:
        run(in_file, "CREATE TRIGGER evil BEFORE INSERT ON closings BEGIN SELECT RAISE(IGNORE); END")
        before = len(in_file.closings())
        with pytest.raises(BookError, match="did not take what was written to closings"):
            in_file.append("another", empty_content(YESTERDAY), NOW)
        assert len(in_file.closings()) == before
        found = verify_book(in_file)
        assert (found.verdict, found.strangers, found.unguarded) == ("intact", ("closings: evil",), ())

    @pytest.mark.parametrize(
        "body",
        [
            "BEFORE UPDATE ON closings BEGIN SELECT 1; END",
            "AFTER UPDATE ON closings BEGIN SELECT 1; END",
            "BEFORE UPDATE OF chain ON closings BEGIN SELECT RAISE(ABORT, 'closed'); END",
            "BEFORE UPDATE ON tokens BEGIN SELECT RAISE(ABORT, 'closed'); END",
        ],
    )
    def test_another_trigger_of_the_same_name_is_told(self, in_file: Book, body: str) -> None:
        run(in_file, "DROP TRIGGER guard_closings_update", f"CREATE TRIGGER guard_closings_update {body}")
        assert missing(in_file) == ["closings: UPDATE"]
        raise_again(in_file)
        assert missing(in_file) == []

    def test_a_trigger_whose_text_was_rewritten_in_the_file_is_told(self, in_file: Book) -> None:
        run(
            in_file,
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'WHERE true', 'WHERE false') WHERE name = 'guard_book_delete'",
            "PRAGMA writable_schema = RESET",
        )
        assert missing(in_file) == ["book: DELETE"]

    def test_a_table_put_in_the_place_of_another_is_told(self, in_file: Book) -> None:
        run(in_file, "ALTER TABLE prunings RENAME TO kept", "CREATE TABLE prunings AS SELECT * FROM kept WHERE false")
        assert missing(in_file) == ["prunings: UPDATE", "prunings: DELETE", "prunings: INSERT"]

    @pytest.mark.skipif(not SQLITE_COMMAND, reason="there is no sqlite3 command")
    def test_a_connection_without_triggers_leaves_no_trace_but_is_told_by_the_chain(
        self, in_file: Book, file: Path
    ) -> None:
        commands = [".dbconfig enable_trigger off", "UPDATE closings SET records = 3 WHERE seq = 1"]
        subprocess.run([SQLITE_COMMAND, file, *commands], check=True, capture_output=True)
        verification = verify_book(in_file)
        assert (verification.verdict, verification.unguarded) == ("altered", ())


class TestInPostgreSQL:
    @pytest.mark.parametrize("table", GUARDED)
    def test_truncate_is_refused(self, in_postgresql: Book, table: str) -> None:
        assert refusal(in_postgresql, f"TRUNCATE {table}") == SAID[table]
        assert refusal(in_postgresql, f"TRUNCATE tokens, {table}") == SAID[table]

    def test_truncate_cascade_is_refused(self, in_postgresql: Book) -> None:
        run(
            in_postgresql,
            "CREATE TABLE sources (name varchar(64) PRIMARY KEY)",
            "INSERT INTO sources VALUES ('local')",
            "ALTER TABLE prunings ADD FOREIGN KEY (source) REFERENCES sources ON DELETE CASCADE ON UPDATE CASCADE",
        )
        assert refusal(in_postgresql, "TRUNCATE sources CASCADE") == SAID["prunings"]
        assert refusal(in_postgresql, "DELETE FROM sources") == SAID["prunings"]
        assert refusal(in_postgresql, "UPDATE sources SET name = 'another'") == SAID["prunings"]

    @pytest.mark.parametrize("action", ["UPDATE SET requests = 3", "DELETE"])
    def test_merge_is_refused(self, in_postgresql: Book, action: str) -> None:
        merge = "MERGE INTO daily_slices USING (SELECT 0 AS n) AS given ON position = n WHEN MATCHED THEN "
        assert refusal(in_postgresql, merge + action) == SAID["daily_slices"]

    def test_copy_over_an_existing_key_is_refused(self, in_postgresql: Book, postgres_url: str) -> None:
        before = rows(in_postgresql)
        for table in GUARDED:
            with psycopg.connect(postgres_url) as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TEMP TABLE copied AS SELECT * FROM {table} WHERE {FIRST[table]}".encode())
                with cursor.copy("COPY copied TO STDOUT") as copy:
                    content = b"".join(bytes(part) for part in copy)
                with pytest.raises(psycopg.IntegrityError), cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    copy.write(content)
                connection.rollback()
        assert rows(in_postgresql) == before

    @pytest.mark.parametrize(
        ("table", "statement"),
        [
            ("closings", "UPDATE closings SET records = 3"),
            ("daily_slices", "DELETE FROM daily_slices"),
            ("adjustments", "TRUNCATE adjustments"),
        ],
    )
    def test_session_replication_role_does_not_silence_them(
        self, in_postgresql: Book, table: str, statement: str
    ) -> None:
        assert refusal(in_postgresql, "SET LOCAL session_replication_role = replica", statement) == SAID[table]

    def test_session_replication_role_does_not_silence_the_sequence(self, in_postgresql: Book) -> None:
        late = again("closings", seq="9", source="'x'")
        said = refusal(in_postgresql, "SET LOCAL session_replication_role = replica", late)
        assert said == f"closings: {OUT_OF_SEQUENCE}"

    def test_another_search_path_does_not_mislead_them(self, in_postgresql: Book) -> None:
        elsewhere = (
            "CREATE SCHEMA elsewhere",
            "CREATE TABLE elsewhere.closings AS SELECT 7 AS seq",
            "CREATE TABLE elsewhere.adjustments AS SELECT 7 AS seq",
            "CREATE FUNCTION elsewhere.max(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'",
            "SET LOCAL search_path = elsewhere, public, pg_catalog",
        )
        eighth = again("closings", seq="8", source="'x'").replace("closings", "public.closings")
        assert refusal(in_postgresql, *elsewhere, eighth) == f"closings: {OUT_OF_SEQUENCE}"
        assert refusal(in_postgresql, *elsewhere, "TRUNCATE public.closings") == SAID["closings"]

    def test_temporary_tables_of_the_same_names_do_not_mislead_them(self, in_postgresql: Book) -> None:
        eighth = again("closings", seq="8", source="'x'").replace("closings", "public.closings")
        shadows = [
            f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT 7 AS seq" for name in ("closings", "adjustments")
        ]
        assert refusal(in_postgresql, *shadows, eighth) == f"closings: {OUT_OF_SEQUENCE}"

    def test_two_sessions_cannot_both_be_the_next(self, in_postgresql: Book, postgres_url: str) -> None:
        """The one inserts a closing, the other an adjustment of the same number, before the first has committed."""
        said: list[str] = []

        def insert_adjustment() -> None:
            with pytest.raises(sa.exc.IntegrityError) as refused:
                run(in_postgresql, again("adjustments", seq="4"))
            said.append(str(refused.value.orig).splitlines()[0])

        with psycopg.connect(postgres_url) as first, psycopg.connect(postgres_url, autocommit=True) as watching:
            first.execute(again("closings", seq="4", source="'x'").encode())
            other = threading.Thread(target=insert_adjustment)
            other.start()
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
            )
            while watching.execute(waiting.encode()).fetchone() != (1,):
                assert other.is_alive()
            first.commit()
            other.join()
        assert said == [f"adjustments: {OUT_OF_SEQUENCE}"]
        assert in_postgresql.last_seq() == 4

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_a_session_that_does_not_see_the_latest_entry_adds_none(self, in_postgresql: Book, level: str) -> None:
        row = again("closings", seq="4", source="'x'")
        said = refusal(in_postgresql, f"SET TRANSACTION ISOLATION LEVEL {level}", row)
        assert said == "closings: rows are added at READ COMMITTED, which sees the latest"

    def test_a_dropped_trigger_is_told_by_missing_guards(self, in_postgresql: Book) -> None:
        with in_postgresql._engine.connect() as connection:
            triggers = connection.execute(
                sa.text("SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid")
            ).all()
        assert len(triggers) == 24
        for name, table in triggers:
            run(in_postgresql, f"DROP TRIGGER {name} ON {table}")
            assert missing(in_postgresql) == [f"{table}: {name.rpartition('_')[2].upper()}"]
            raise_again(in_postgresql)
            assert missing(in_postgresql) == []

    @pytest.mark.parametrize("how", ["DISABLE", "ENABLE", "ENABLE REPLICA"])
    def test_the_owner_can_disable_them_and_it_is_told(self, in_postgresql: Book, how: str) -> None:
        run(in_postgresql, f"ALTER TABLE closings {how} TRIGGER guard_closings_update")
        assert missing(in_postgresql) == ["closings: UPDATE"]
        raise_again(in_postgresql)
        assert missing(in_postgresql) == []

    def test_what_the_owner_changes_behind_them_is_told_by_the_chain(self, in_postgresql: Book) -> None:
        run(
            in_postgresql,
            "ALTER TABLE closings DISABLE TRIGGER ALL",
            "UPDATE closings SET records = 3 WHERE seq = 1",
            *(f"ALTER TABLE closings ENABLE ALWAYS TRIGGER guard_closings_{each}" for each in ("update", "delete")),
            *(f"ALTER TABLE closings ENABLE ALWAYS TRIGGER guard_closings_{each}" for each in ("truncate", "insert")),
        )
        verification = verify_book(in_postgresql)
        assert (verification.verdict, verification.unguarded) == ("altered", ())

    @pytest.mark.parametrize(
        "trigger",
        [
            "BEFORE UPDATE ON closings FOR EACH ROW WHEN (false) EXECUTE FUNCTION tallybook_refuse('{}')",
            "BEFORE UPDATE OF chain ON closings FOR EACH ROW EXECUTE FUNCTION tallybook_refuse('{}')",
            "BEFORE UPDATE ON closings FOR EACH STATEMENT EXECUTE FUNCTION tallybook_refuse('{}')",
            "AFTER UPDATE ON closings FOR EACH ROW EXECUTE FUNCTION tallybook_refuse('{}')",
            "BEFORE UPDATE ON closings FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ],
    )
    def test_another_trigger_of_the_same_name_is_told(self, in_postgresql: Book, trigger: str) -> None:
        run(
            in_postgresql,
            "DROP TRIGGER guard_closings_update ON closings",
            f"CREATE TRIGGER guard_closings_update {trigger.format(CLOSED)}",
            "ALTER TABLE closings ENABLE ALWAYS TRIGGER guard_closings_update",
        )
        assert missing(in_postgresql) == ["closings: UPDATE"]
        raise_again(in_postgresql)
        assert missing(in_postgresql) == []

    @pytest.mark.parametrize(
        "change",
        [
            "CREATE OR REPLACE FUNCTION tallybook_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "ALTER FUNCTION tallybook_refuse() SET search_path = public",
            "ALTER FUNCTION tallybook_refuse() SECURITY DEFINER",
        ],
    )
    def test_another_function_behind_them_is_told_for_every_guard(self, in_postgresql: Book, change: str) -> None:
        run(in_postgresql, change)
        assert len(missing(in_postgresql)) == 24
        raise_again(in_postgresql)
        assert missing(in_postgresql) == []

    def test_a_superuser_who_hides_them_in_the_catalogue_is_told(self, in_postgresql: Book) -> None:
        run(in_postgresql, "UPDATE pg_class SET relhastriggers = false WHERE relname = 'prunings'")
        assert missing(in_postgresql) == ["prunings: UPDATE", "prunings: DELETE", "prunings: TRUNCATE"]
