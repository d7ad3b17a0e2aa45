"""Running somebody else's program: without a terminal, within a time, with its outputs in files."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from tallybook.anchoring.destination import NotDelivered
from tallybook.errors import first_line, shorten

TIMEOUT_S = 60
GRACE_S = 5
"""How long a program that is told to end may take to tidy up."""

_TOLD_BYTES = 8192


@dataclass(frozen=True)
class Ran:
    """What a program left: its exit code, and the printable lines at the end of its standard error."""

    code: int
    lines: tuple[str, ...]


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str], given: bytes = b"") -> Ran:
    """Runs the program in the folder with `given` on its standard input, and waits for its end.

    Raises `NotDelivered` where it cannot be started or takes more than a minute; then all that it has started is ended
    too. Files stand for its inputs and outputs: what it leaves in the background keeps nobody waiting.
    """
    try:
        with TemporaryFile() as told, TemporaryFile() as input_file:
            input_file.write(given)
            input_file.seek(0)
            code = _run(words, folder, environment, input_file.fileno(), told.fileno())
            told.seek(max(0, told.seek(0, os.SEEK_END) - _TOLD_BYTES))
            return Ran(code, _printable(told.read()))
    except OSError as error:
        raise NotDelivered(
            f"{name_of(words)} cannot be run: {error.strerror or first_line(error)}.",
            "See that it is installed, may be executed, and is on the PATH or named with its folder.",
        ) from error


def _run(words: Sequence[str], folder: Path, environment: Mapping[str, str], stdin: int, stderr: int) -> int:
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        return process.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise NotDelivered(
            f"{name_of(words)} was not done within {TIMEOUT_S} seconds.", "See what it waits for."
        ) from None
    finally:
        if process.returncode is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the program with all of its session: first kindly, as git takes its lock files away then."""
    os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _printable(told: bytes) -> tuple[str, ...]:
    lines = told.decode("utf-8", "replace").splitlines()
    printable = ("".join(sign for sign in line if sign.isprintable()).strip() for line in lines)
    return tuple(shorten(line, 300) for line in printable if line)


def name_of(words: Sequence[str]) -> str:
    """The program's name without its folder and arguments, which may hold secrets."""
    return Path(words[0]).name
