"""What can be wrong, one by one: a sentence and a remedy on standard error, the exit code, and nothing half-written."""

from __future__ import annotations

import gzip
import random
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from acceptance.running import COMMAND, Home, ago, environment, serving, with_largest_file
from tallybook.anchoring.anchor import read_anchors
from tallybook.book.ledger import Book
from tallybook.verification import verify_book

HEADER = "created_at,model_name,status_code,tokens_in,request_id"
NO_TRACE = "Nothing was imported."
KINDS = "Use .csv, .jsonl, .ndjson, .json, .parquet, plain or .gz."


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two requests on 2026-03-02, closed, and one on the day after, open."""
    home = Home(tmp_path_factory.mktemp("pattern") / "home")
    lines = (f"2026-03-0{day}T10:00:00Z,gpt-5,200,{day},r{place}" for place, day in enumerate((2, 2, 3)))
    home.do("import", home.file("records.csv", HEADER, *lines))
    home.do("close", "2026-03-02")
    return home


@pytest.fixture
def kept(pattern: Home, new_home: Callable[[], Home]) -> Iterator[Home]:
    """A home like the pattern; after the test its day and records are still there, and no more than they."""
    home = new_home()
    shutil.copytree(pattern.path, home.path)
    yield home
    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        assert logs.execute("SELECT COUNT(*) FROM log_records").fetchall() == [(3,)]
    assert intact_closings(home) == [("2026-03-02", 2)]


@pytest.fixture
def fresh(pattern: Home, new_home: Callable[[], Home]) -> Home:
    """A home like the pattern, to be spoilt."""
    home = new_home()
    shutil.copytree(pattern.path, home.path)
    return home


def intact_closings(home: Home) -> list[tuple[str, int]]:
    """Day and records of every closing, of a book in which all is as it was written."""
    book = Book.open(f"sqlite:///{home.path}/book.sqlite", datetime.now(UTC), must_exist=True)
    verdict = verify_book(book, read_anchors(home.path / "anchors.log"))
    closings = [(closing.day.isoformat(), closing.records) for closing in book.closings()]
    book.close()
    assert (verdict.verdict, verdict.anchored) == ("intact", True)
    return closings


def spoil(file: Path, offset: int, length: int) -> None:
    """Overwrites a part of the file with noise."""
    with file.open("r+b") as target:
        target.seek(offset)
        target.write(random.Random(7).randbytes(length))  # the same noise every time


GOOD_LINE = "2026-03-02T11:00:00Z,gpt-5,200,1,new"
FILES: dict[str, tuple[str, bytes, str]] = {
    "a missing column": (
        "f.csv",
        b"when,model_name\n2026-03-02T10:00:00Z,gpt-5\n",
        "{file} has no column created_at; it has when, model_name. Say which it is with --map created_at=COLUMN.",
    ),
    "no model": (
        "f.csv",
        b"created_at\n2026-03-02T10:00:00Z\n",
        (
            "{file} has no column model_name; it has created_at. "
            "Say which it is with --map model_name=COLUMN, or --set model_name=NAME."
        ),
    ),
    "a bad time after a good record": (
        "f.csv",
        f"{HEADER}\n{GOOD_LINE}\nlast spring,gpt-5,200,1,r\n".encode(),
        (
            "1 of 2 records in {file} cannot be taken: record 2: created_at 'last spring' is not a time; "
            "write it as RFC 3339 or as a number with --time-unit s, ms or us. "
            "Nothing was imported. Mend the file, or give --skip-invalid to import the others."
        ),
    ),
    "a negative count": (
        "f.csv",
        f"{HEADER}\n{GOOD_LINE}\n2026-03-02T10:00:00Z,gpt-5,200,-1,r\n".encode(),
        (
            "1 of 2 records in {file} cannot be taken: record 2: tokens_in '-1' is not a whole number from 0 to 1000000000. "
            "Nothing was imported. Mend the file, or give --skip-invalid to import the others."
        ),
    ),
    "seconds read as milliseconds": (
        "f.csv",
        f"{HEADER}\n1772445600,gpt-5,200,1,r\n".encode(),
        (
            "1 of 1 records in {file} cannot be taken: record 1: created_at '1772445600' is before 2000; "
            "numbers are read as ms, see --time-unit. "
            "Nothing was imported. Mend the file, or give --skip-invalid to import the others."
        ),
    ),
    "an empty file": ("f.csv", b"", "{file} is empty. Nothing was imported."),
    "no table at all": ("f.csv", b"\x89PNG\r\n\x1a\n\x00\x01" * 20, "{file} is not readable CSV"),
    "a line too long": (
        "f.csv",
        f"{HEADER}\n{GOOD_LINE}\n{GOOD_LINE},one,too,many\n".encode(),
        "{file} is not readable CSV",
    ),
    "broken JSON": (
        "f.jsonl",
        b'{"created_at": "2026-03-02T10:00:00Z", "model_name": "gpt-5"}\n{"created_at"\n',
        "{file} is not readable JSON lines",
    ),
    "no Parquet": ("f.parquet", b"PAR1 it is not", "{file} is not readable Parquet"),
    "no gzip": (
        "f.csv.gz",
        b"plain text",
        "{file} cannot be read: Not a gzipped file (b'pl'). Check its path, its permissions and that it is whole.",
    ),
    "half a gzip": (
        "f.csv.gz",
        gzip.compress(f"{HEADER}\n{GOOD_LINE}\n".encode())[:-9],
        (
            "{file} cannot be read: Compressed file ended before the end-of-stream marker was reached. "
            "Check its path, its permissions and that it is whole."
        ),
    ),
    "an unknown kind": ("f.xlsx", b"PK", f"{{file}} is of no kind that can be imported. {KINDS}"),
}


@pytest.mark.parametrize("fault", FILES)
def test_a_file_with_a_fault_is_refused_whole(kept: Home, fault: str) -> None:
    name, content, sentence = FILES[fault]
    file = kept.path.parent / name
    file.write_bytes(content)
    said = kept.run("import", str(file)).failed_plainly(1)
    assert said.startswith(sentence.format(file=file))
    assert "Error:" not in said
    assert ". " in said.removeprefix(sentence.format(file=file)) or said == sentence.format(file=file)


def test_a_file_that_is_not_there_a_folder_and_one_that_may_not_be_read(kept: Home) -> None:
    missing = kept.path.parent / "missing.csv"
    remedy = "Check its path, its permissions and that it is whole."
    assert kept.run("import", str(missing)).failed_plainly(1) == (
        f"{missing} cannot be read: No such file or directory. {remedy}"
    )
    folder = kept.path.parent / "folder.csv"
    folder.mkdir()
    assert kept.run("import", str(folder)).failed_plainly(1) == f"{folder} cannot be read: Is a directory. {remedy}"


def test_the_files_before_the_one_at_fault_stay_imported(kept: Home) -> None:
    repeated = kept.file("repeated.csv", HEADER, "2026-03-03T10:00:00Z,gpt-5,200,3,r2")
    bad = kept.file("bad.csv", HEADER, "never,gpt-5,200,1,x")
    ran = kept.run("import", repeated, bad)
    assert ran.code == 1
    assert f"{repeated}: 0 records, 1 duplicates" in ran.out


@pytest.mark.parametrize("words", [["status"], ["close"], ["stats", "today"], ["serve", "--port", "0"]], ids=" ".join)
def test_logs_that_are_no_duckdb_file(fresh: Home, words: list[str]) -> None:
    (fresh.path / "logs.duckdb").write_bytes(b"x" * 20_000)
    said = fresh.run(*words).failed_plainly(1)
    assert said == "The logs' file is not a DuckDB database. Restore it, or name another with --logs."
    assert intact_closings(fresh) == [("2026-03-02", 2)]


def test_logs_that_are_damaged_inside(fresh: Home) -> None:
    spoil(fresh.path / "logs.duckdb", 12_288, 8_000)
    for words in (["status"], ["close", "2026-03-03"], ["stats", "today"]):
        said = fresh.run(*words).failed_plainly(1)
        assert said.startswith("The logs failed: Corrupt database file")
        assert said.endswith(
            ". If the file is damaged, restore it or name another with --logs; the book is not touched."
        )
    assert intact_closings(fresh) == [("2026-03-02", 2)]


@pytest.mark.parametrize("words", [["status"], ["verify"], ["stats", "last7d"], ["serve", "--port", "0"]], ids=" ".join)
def test_a_book_that_is_no_sqlite_file(fresh: Home, words: list[str]) -> None:
    (fresh.path / "book.sqlite").write_bytes(b"x" * 20_000)
    said = fresh.run(*words).failed_plainly(1)
    assert said == "The book's file is not a SQLite database. Restore it from a backup, or name another with --book."
    assert (fresh.path / "book.sqlite").read_bytes() == b"x" * 20_000


@pytest.mark.parametrize("words", [["status"], ["verify"], ["backfill", "2026-03-01", "2026-03-05"]], ids=" ".join)
def test_a_book_that_is_damaged_inside(fresh: Home, words: list[str]) -> None:
    spoil(fresh.path / "book.sqlite", 4_096, 30_000)
    assert fresh.run(*words).failed_plainly(1) == "The book's file is damaged. Restore it from a backup."


@pytest.mark.parametrize("words", [["status"], ["verify"], ["close"], ["serve", "--port", "0"]], ids=" ".join)
def test_a_book_that_a_newer_version_wrote(fresh: Home, words: list[str]) -> None:
    book = sqlite3.connect(fresh.path / "book.sqlite")
    book.execute("UPDATE alembic_version SET version_num = '9999'")
    book.commit()
    before = list(book.iterdump())
    said = fresh.run(*words).failed_plainly(1)
    assert said.startswith("The book was written by a newer tallybook (schema 9999, this one knows up to ")
    assert said.endswith("Upgrade tallybook, or name another book with --book.")
    assert list(book.iterdump()) == before
    book.close()


def test_there_is_no_book_to_verify(home: Home) -> None:
    said = home.run("verify").failed_plainly(1)
    assert said == (
        f"There is no book at {home.path}/book.sqlite. Close a day first, or name another with --home or --book."
    )
    assert not home.path.exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "The anchors in {file} cannot be read: No such file or directory. Name the file with --anchor."),
        (
            b"one two three\n",
            "Line 1 of {file} is no anchor. Give the anchors.log of the book's home, or a copy of it.",
        ),
        (b"", "{file} holds no anchors. Give the anchors.log of the book's home, or a copy of it."),
    ],
)
def test_anchors_that_are_none(kept: Home, content: bytes | None, sentence: str) -> None:
    file = kept.path.parent / "anchors"
    if content is not None:
        file.write_bytes(content)
    assert kept.run("verify", "--anchor", str(file)).failed_plainly(1) == sentence.format(file=file)


def test_a_port_that_is_taken(kept: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = kept.run("serve", "--port", str(port)).failed_plainly(1)
    assert said == (
        f"127.0.0.1:{port} cannot be listened on: Address already in use. "
        "Stop what listens there, or give another with --port."
    )


@pytest.mark.parametrize("words", [["status"], ["demo"], ["close"], ["serve", "--port", "0"]], ids=" ".join)
def test_a_home_that_cannot_be_made(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "file").write_text("a regular file")
    home = Home(tmp_path / "file" / "home")
    assert home.run(*words).failed_plainly(1) == (
        f"The home folder {home.path} cannot be written: Not a directory. "
        "Name another with --home, or mend its permissions."
    )


BOOKS = "Use one of: sqlite:///FILE, postgresql://USER@HOST/DATABASE."
LOGS = "Use one of: duckdb:///FILE, postgresql://USER@HOST/DATABASE, clickhouse://USER@HOST/DATABASE."


@pytest.mark.parametrize(
    ("flag", "url", "sentence"),
    [
        ("--book", "mysql://host/db", f"A book cannot be kept in 'mysql'. {BOOKS}"),
        ("--book", "duckdb:///book.duckdb", f"A book cannot be kept in 'duckdb'. {BOOKS}"),
        ("--book", "sqlite://", f"A book cannot be kept in 'sqlite'. {BOOKS}"),
        ("--book", "book.sqlite", f"The book's URL cannot be read. {BOOKS}"),
        ("--book", "postgresql://host:port/db", f"The book's URL cannot be read. {BOOKS}"),
        ("--logs", "sqlite:///logs.db", f"Our own logs cannot be kept in 'sqlite'. {LOGS}"),
        ("--logs", "logs.duckdb", f"Our own logs cannot be kept in 'logs.duckdb'. {LOGS}"),
    ],
)
def test_a_database_that_is_not_supported(home: Home, flag: str, url: str, sentence: str) -> None:
    assert home.run("status", flag, url).failed_plainly(2) == sentence
    assert home.run("serve", "--port", "0", flag, url).failed_plainly(2) == sentence
    assert not (home.path / "book.sqlite").exists()
    assert not (home.path / "logs.duckdb").exists()


def test_a_postgresql_that_is_not_up(home: Home) -> None:
    said = home.run("status", "--book", "postgresql://127.0.0.1:1/db").failed_plainly(1)
    assert "Connection refused" in said
    assert said.endswith("Check that it is up.")


DAY = "Write days as YYYY-MM-DD, for example 2026-11-22."
PERIODS = (
    "Use one of: today, yesterday, last7d, last30d, last90d, week, month, year, all, YYYY-MM-DD, "
    "YYYY-MM-DD..YYYY-MM-DD."
)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["stats", "fortnight"], f"There is no period 'fortnight'. {PERIODS}"),
        (["stats", "2026-02-30"], f"'2026-02-30' is not a day. {DAY}"),
        (
            ["stats", "2026-03-05..2026-03-02"],
            "The range 2026-03-05..2026-03-02 runs backwards. Write 2026-03-02..2026-03-05.",
        ),
        (
            ["stats", "all", "--by", "colour"],
            "There is no dimension 'colour'. Use one of: model, provider, team, api_key, user, operation, error_type.",
        ),
        (["stats", "all", "--source", "elsewhere"], "There is no source 'elsewhere'. Use one of: local."),
        (["close", "yesterday"], f"'yesterday' is not a day. {DAY}"),
        (["prune", "--before", "20260302"], f"'20260302' is not a day. {DAY}"),
        (["backfill", "2026-03-01", "2026-13-01"], f"'2026-13-01' is not a day. {DAY}"),
    ],
)
def test_a_period_a_day_or_a_name_that_is_none(kept: Home, words: list[str], sentence: str) -> None:
    assert kept.run(*words).failed_plainly(2) == sentence


def test_a_day_that_is_refused_is_named_on_standard_error(kept: Home) -> None:
    said = kept.run("close", ago(0)).failed_plainly(2)
    assert said.startswith(f"{ago(0)} is not over: it can be closed from 00:05 UTC of the next day on")


def big_file(home: Home) -> str:
    """A file of 30,000 records that hardly compress."""
    dice = random.Random(1)  # the same records every time
    lines = (
        f"2026-03-02T10:00:00Z,gpt-5,200,{dice.randrange(10**6)},{dice.randbytes(16).hex()}" for _ in range(30_000)
    )
    return home.file("big.csv", HEADER, *lines)


def test_logs_that_may_not_grow_take_nothing_of_a_file(kept: Home) -> None:
    said = kept.run("import", big_file(kept), before=with_largest_file(600_000)).failed_plainly(1)
    assert said == "The disk that holds the logs is full. Free some space; nothing was half-written."


def test_a_book_that_may_not_grow_takes_nothing_of_a_day(kept: Home) -> None:
    said = kept.run("close", "2026-03-03", before=with_largest_file(4_096)).failed_plainly(1)
    assert said.startswith("The disk that holds the book is full.")


ON_A_SMALL_DISK = """
set -e
mkdir -p disk && mount -t tmpfs -o size={size} tmpfs disk && cp -r {home} disk/home
set +e
{command} --home disk/home {words}; echo "exit $?"
rm -f disk/filler
{command} --home disk/home verify
{command} --home disk/home status
{command} --home disk/home {words} >/dev/null 2>&1; echo "exit $?"
"""


def on_a_small_disk(home: Home, spare_kib: int, words: str, filler: bool = False) -> tuple[str, str]:
    """What a command says on a disk that is too small for it; then what verify and status say, and the command again."""
    used_kib = sum(-(-file.stat().st_size // 4096) * 4 for file in home.path.iterdir())
    script = ON_A_SMALL_DISK.format(size=f"{used_kib + spare_kib}k", home=home.path, command=COMMAND, words=words)
    if filler:
        script = script.replace("set +e\n", "cat /dev/zero > disk/filler 2>/dev/null || true\nset +e\n")
    own = ["unshare", "--map-root-user", "--mount"]
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([*own, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a small disk takes a mount namespace, which this system does not give")
    done = subprocess.run(
        [*own, "/bin/sh", "-c", script],
        cwd=home.path.parent,
        capture_output=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    return done.stdout.decode(), done.stderr.decode()


def test_a_disk_that_fills_up_in_an_import_keeps_what_was_there(kept: Home) -> None:
    out, err = on_a_small_disk(kept, 500, f"import {big_file(kept)}")
    assert err == "tallybook: The disk that holds the logs is full. Free some space; nothing was half-written.\n"
    assert out.startswith("exit 1\nintact  1 closings")
    assert "records in logs  3 " in out


def test_a_disk_that_is_full_lets_no_day_be_half_closed_and_closes_it_once_there_is_space(kept: Home) -> None:
    out, err = on_a_small_disk(kept, 200, "close 2026-03-03", filler=True)
    assert err == "tallybook: The disk that holds the book is full. Free some space; nothing was half-written.\n"
    assert out.splitlines()[0] == "exit 1"
    assert "intact  1 closings" in out
    assert out.endswith("exit 0\n")


def test_a_server_whose_logs_may_not_grow_says_so_acknowledges_nothing_and_serves_on(home: Home) -> None:
    record = {"created_at": f"{ago(0)}T00:00:01Z", "model_name": "gpt-5", "status_code": 200}
    body = [{**record, "request_id": f"{number:0500}"} for number in range(20_000)]
    with serving(home, before=with_largest_file(2_000_000)) as server:
        server.post("/v1/log-records", record)
        refused = server.http.post("/v1/log-records", json=body)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert refused.json()["error"] == {
            "code": "logs",
            "message": "The disk that holds the logs is full.",
            "hint": "Free some space; nothing was half-written.",
        }
        server.post("/v1/log-records", record)
        assert server.get("/v1/status")["sources"][0]["records_in_logs"] == 2
        assert server.stop() == 0
    assert home.ask("status")["sources"][0]["records_in_logs"] == 2
