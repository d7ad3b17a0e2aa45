"""The command in a process of its own, without the half second of imports that each new interpreter takes.

A process that has imported the command waits, as `python -m acceptance.prefork`; for each run it forks, and the child
goes on as the installed command would: with these words, this environment, this folder and these three open files.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from tallybook.cli import main

IMPORTED = (
    "tallybook.bookkeeper",
    "tallybook.cli.tables",
    "tallybook.logs.importing",
    "tallybook.sources.inspection",
    "tallybook.sources.engines.duck",
    "tallybook.sources.engines.sqlite",
    "tallybook.sources.engines.postgresql",
    "ibis.backends.sql.compilers.duckdb",
    "ibis.backends.sql.compilers.postgres",
    "psycopg",
    "httpx",
)
READ_AT_IMPORT = {"OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
TESTS = str(Path(__file__).parent.parent)
MESSAGE_BYTES = 1 << 17


def run_forked(
    words: Sequence[str], env: Mapping[str, str], cwd: Path | None, patience_s: int
) -> tuple[int, bytes, bytes]:
    """Runs the command with these words to its end: the exit code, or the negative signal, and both outputs."""
    asked = {"words": list(words), "env": dict(env), "cwd": str(cwd or Path.cwd()), "patience_s": patience_s}
    with (
        _connection(_waiting()) as connection,
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        socket.send_fds(connection, [json.dumps(asked).encode()], [nothing.fileno(), out.fileno(), err.fileno()])
        code = json.loads(connection.recv(MESSAGE_BYTES))
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


def _connection(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(address)
    return connection


@cache
def _waiting() -> str:
    """The address of the process that waits for this one's runs, which ends as soon as this one has ended."""
    ours, its_own = socket.socketpair()
    os.set_inheritable(its_own.fileno(), True)
    process = subprocess.Popen(
        [sys.executable, "-m", "acceptance.prefork", str(its_own.fileno())],
        env={**os.environ, **READ_AT_IMPORT, "PYTHONPATH": TESTS},
        pass_fds=[its_own.fileno()],
    )
    its_own.close()
    _held.append((process, ours))
    return "\0" + ours.recv(MESSAGE_BYTES).decode()


_held: list[tuple[subprocess.Popen[bytes], socket.socket]] = []
"""Kept open until this process ends: that is how the waiting one learns of it."""


def wait_for_runs(owner: socket.socket) -> None:
    """Imports the command, tells the owner where to ask for runs, and sees to each until the owner has gone."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening, selectors.DefaultSelector() as selector:
        name = f"tallybook-prefork-{os.getpid()}"
        listening.bind(f"\0{name}")
        listening.listen()
        owner.send(name.encode())
        selector.register(listening, selectors.EVENT_READ)
        selector.register(owner, selectors.EVENT_READ)
        while all(key.fileobj is listening for key, _ in selector.select()):
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                owner.close()
                see_to(connection)
            connection.close()


def see_to(connection: socket.socket) -> NoReturn:
    """Forks once more for the run itself, waits for its end and answers how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 3)
    asked = json.loads(message)
    run = os.fork()
    if run == 0:
        connection.close()
        become(asked["words"], asked["env"], asked["cwd"], files, asked["patience_s"])
    _, status = os.waitpid(run, 0)
    connection.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(words: list[str], env: dict[str, str], cwd: str, files: list[int], patience_s: int) -> NoReturn:
    """Goes on as the command; a run that takes longer than the patience is ended by SIGALRM.

    At the end, nothing is taken apart: that would take longer than the run.
    """
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["tallybook", *words]
    signal.alarm(patience_s)
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


if __name__ == "__main__":
    wait_for_runs(socket.socket(fileno=int(sys.argv[1])))
