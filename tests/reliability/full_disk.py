"""Three ways in which a disk is full: no more pages in a file of SQLite, no larger files, and a small disk."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

BLOCK_BYTES = 4096


@contextmanager
def pages_left(pages: int) -> Iterator[None]:
    """No transaction of this process that begins while this lasts can add more than so many pages to a SQLite file.

    The limit belongs to a connection, so whoever opens a book in here must close it in here.
    """

    def limit(connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            (now,) = connection.exec_driver_sql("PRAGMA page_count").one()
            # A limit of 0 would be none; and a file without a page gets its first whatever the limit is.
            connection.exec_driver_sql(f"PRAGMA max_page_count = {max(now, 1) + pages}")

    sa.event.listen(sa.Engine, "begin", limit)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "begin", limit)


@contextmanager
def no_file_grows(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While this lasts, no write of the running process to any file is taken."""
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))


@dataclass(frozen=True)
class SmallDisk:
    """A disk of its own, mounted at a folder."""

    path: Path

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    @contextmanager
    def full(self, but_bytes: int = 0) -> Iterator[None]:
        """While this lasts, no block is free, or only so many bytes in whole blocks."""
        self.fill(but_bytes)
        try:
            yield
        finally:
            self.filler.unlink()

    def fill(self, but_bytes: int = 0) -> None:
        with self.filler.open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(BLOCK_BYTES)) == BLOCK_BYTES:
                    pass
            except OSError:
                filler.truncate(filler.tell() - but_bytes)

    def grow(self, mebibytes: int) -> None:
        """Makes room as an administrator would: the disk is larger from now on."""
        subprocess.run(["mount", "-o", f"remount,size={mebibytes}m", str(self.path)], check=True)  # noqa: S607 - root's

    def files(self) -> set[str]:
        """The names of all files on it but the filler."""
        return {str(file.relative_to(self.path)) for file in self.path.rglob("*") if file.is_file()} - {"filler"}


@contextmanager
def small_disk(path: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """A disk in memory at the folder, which is made; unmounted at the end, whatever happens."""
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root only")
    path.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(path)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "--lazy", str(path)], check=True)
        yield SmallDisk(path)


def integrity_of(connection: Any) -> str:
    """What SQLite says of the file itself: `ok`."""
    (answer,) = connection.exec_driver_sql("PRAGMA integrity_check").one()
    return str(answer)
