"""`verify` by those who do not trust: it changes nothing, and says of how much the anchors tell."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from acceptance.running import Home


@pytest.fixture
def closed(home: Home) -> Home:
    """Three closed days: 2026-03-01 to 2026-03-03."""
    lines = [f"2026-03-0{day}T10:00:00Z,gpt-5,200" for day in (1, 2, 3)]
    home.do("import", home.file("records.csv", "created_at,model_name,status_code", *lines))
    home.do("backfill", "2026-03-01", "2026-03-03")
    return home


def by_owner(book: Path, *statements: str) -> None:
    connection = sqlite3.connect(book)
    for (guard,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {guard}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def body(home: Home) -> str:
    """What a webhook gets of the heads of this home's book."""
    lines = [line.split() for line in (home.path / "anchors.log").read_text().splitlines()]
    anchors = [{"seq": int(seq), "chain": chain, "at": at} for seq, chain, at in lines]
    return json.dumps({"book_id": identity(home), "anchors": anchors})


def identity(home: Home) -> str:
    connection = sqlite3.connect(home.path / "book.sqlite")
    (book_id,) = connection.execute("SELECT book_id FROM book").fetchone()
    connection.close()
    return str(book_id)


def test_an_anchor_vouches_for_the_entries_up_to_it_and_no_more(closed: Home) -> None:
    anchors = (closed.path / "anchors.log").read_text().splitlines(keepends=True)
    for many, said in ((3, "intact  3 closings, anchored\n"), (1, "intact  3 closings, anchored up to entry 1 of 3\n")):
        file = closed.path.parent / "kept.log"
        file.write_text("".join(anchors[:many]))
        assert closed.do("verify", "--anchor", str(file)).startswith(said)
        assert json.loads(closed.do("verify", "--anchor", str(file), "--json"))["anchored_through"] == many


def test_every_verdict_is_a_document_too(closed: Home) -> None:
    """Whatever is wrong: a link, a sequence, a row without a closing, a version."""
    book = closed.path / "book.sqlite"
    for statement, verdict in (
        ("UPDATE closings SET digest = upper(digest) WHERE seq = 2", "altered"),
        ("INSERT INTO daily_stats SELECT * FROM daily_stats WHERE false", "altered"),
        ("UPDATE daily_stats SET source = 'nobody' WHERE date = '2026-03-03'", "missing"),
        ("UPDATE closings SET seq = 7 WHERE seq = 3", "missing"),
        ("UPDATE alembic_version SET version_num = '0003'", "missing"),
        ("UPDATE alembic_version SET version_num = '9999'", "unreadable"),
    ):
        by_owner(book, statement)
        ran = closed.run("verify", "--json")
        assert (ran.code, json.loads(ran.out)["verdict"]) == (1, verdict), statement


def test_a_book_that_cannot_be_opened_has_a_verdict_for_people_too(closed: Home) -> None:
    book = closed.path / "book.sqlite"
    by_owner(book, "UPDATE alembic_version SET version_num = '9999'")
    newer = closed.run("verify")
    book.write_bytes(b"no database, and longer than the hundred bytes of a header" * 9)
    damaged = closed.run("verify")
    book.unlink()
    missing = closed.run("verify")
    for ran, verdict, sentence in (
        (newer, "unreadable", "The book was written by a newer tallybook (schema 9999, this one knows up to 0005)."),
        (damaged, "unreadable", "The book's file is not a SQLite database."),
        (missing, "missing", f"There is no book at {book}."),
    ):
        assert ran.out == f"{verdict}  0 closings, NOT anchored\n  the book  book: {sentence}\n"
        assert ran.failed_plainly(1).startswith(sentence)


def test_the_anchors_of_two_books_may_lie_in_one_file(closed: Home) -> None:
    """A receiver of webhooks appends what comes, from whichever book."""
    other = Home(closed.path.parent / "other")
    other.do("import", other.file("others.csv", "created_at,model_name,status_code", "2026-03-01T10:00:00Z,o1,200"))
    other.do("backfill", "2026-03-01", "2026-03-01")
    kept, others = closed.file("kept", body(closed), body(other)), closed.file("others", body(other))
    assert closed.do("verify", "--anchor", kept).startswith("intact  3 closings, anchored\n")
    assert other.do("verify", "--anchor", kept).startswith("intact  1 closings, anchored\n")
    assert closed.run("verify", "--anchor", others).failed_plainly(1) == (
        f"{others} holds no anchors of the book {identity(closed)}, only of others. "
        "Give the anchors.log of the book's home, or a copy of it."
    )
    by_owner(closed.path / "book.sqlite", "DELETE FROM book")
    assert closed.run("verify", "--anchor", kept).out.startswith("unreadable  3 closings, compared with the anchors\n")


def test_the_column_is_named_for_people_too(closed: Home) -> None:
    by_owner(closed.path / "book.sqlite", "UPDATE daily_slices SET tokens_in = 9 WHERE date = '2026-03-02'")
    assert "local 2026-03-02  daily_slices.tokens_in: tokens_in is 0 for the day, and 9" in closed.run("verify").out


def test_nothing_is_written_to_what_is_verified(closed: Home) -> None:
    copy = closed.path.parent / "evidence" / "book.sqlite"
    copy.parent.mkdir()
    closed.do("backup", str(copy))
    before = hashlib.sha256(copy.read_bytes()).hexdigest()
    assert closed.do("verify", "--book", f"sqlite:///{copy}").startswith("intact  3 closings")
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == before
    assert [file.name for file in copy.parent.iterdir()] == ["book.sqlite"]


def test_a_book_of_an_older_tallybook_is_not_migrated_to_be_verified(closed: Home) -> None:
    book = closed.path / "book.sqlite"
    by_owner(
        book,
        "ALTER TABLE closings DROP COLUMN schema_version",
        "UPDATE alembic_version SET version_num = '0004'",
    )
    before = book.read_bytes()
    ran = closed.run("verify")
    assert ran.code == 1
    assert ran.err == (
        "tallybook: The book has schema 0004, and is verified from 0005 on. "
        "Bring it there by `tallybook migrate`, on a copy if it is evidence.\n"
    )
    assert book.read_bytes() == before


def test_a_home_of_any_name_can_be_verified(home: Home) -> None:
    odd = Home(home.path.parent / "100% ours #1")
    odd.do("import", odd.file("records.csv", "created_at,model_name,status_code", "2026-03-01T10:00:00Z,gpt-5,200"))
    odd.do("backfill", "2026-03-01", "2026-03-01")
    assert odd.do("verify").startswith("intact  1 closings")
    assert (odd.path / "book.sqlite").exists()


def test_a_restored_old_copy_is_told_by_status_until_somebody_sees_to_it(closed: Home) -> None:
    old = closed.path.parent / "old.sqlite"
    closed.do("backup", str(old))
    closed.do("import", closed.file("more.csv", "created_at,model_name,status_code", "2026-03-04T10:00:00Z,gpt-5,200"))
    closed.do("close", "2026-03-04")
    closed.run("restore", str(old), "--yes")
    closed.do("import", closed.file("other.csv", "created_at,model_name,status_code", "2026-03-04T11:00:00Z,o1,500"))
    closed.do("close", "2026-03-04")
    for _ in range(2):
        (file, *_) = json.loads(closed.do("status", "--json"))["chain"]["anchors"]
        assert file["failing"] == f"{closed.path}/anchors.log holds two histories of the book, from entry 4 on."


def test_it_is_said_that_nothing_was_there_to_compare(closed: Home) -> None:
    assert closed.do("reconcile", "2026-05-01", "2026-05-02") == "There is no closed day to compare.\n"
    assert closed.do("reconcile") == "Every closed day is as its source tells it: 3 compared.\n"
    assert closed.do("adjustments", "2026-03-01", "2026-03-02") == "None of these closed days was adjusted.\n"
