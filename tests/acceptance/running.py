"""The command and the real server, run as a user runs them: in processes of their own, on a home of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx

from acceptance.prefork import READ_AT_IMPORT, run_forked

Found = TypeVar("Found")

COMMAND = str(Path(sys.executable).with_name("tallybook"))
PATIENCE_S = 60
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of loopback: the authorities that nobody asks for would be read anew for each, a twentieth of a second."""
SENTENCE = re.compile(r"tallybook: \S.*[.`]\n")


def today() -> date:
    """The UTC day that it is now."""
    return datetime.now(UTC).date()


def ago(days: int) -> str:
    """The day so many days before today; 1 is yesterday."""
    return (today() - timedelta(days=days)).isoformat()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any setting of tallybook but the `extra` ones."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TALLYBOOK_")}
    return {**own, **READ_AT_IMPORT, **(extra or {})}


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and both its outputs."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """The one JSON document on standard output, of a command that was done."""
        assert self.code == 0, self
        return json.loads(self.out)

    def failed_plainly(self, code: int) -> str:
        """The one sentence, with its remedy, that it left on standard error beside the exit code; and no traceback."""
        assert self.code == code, self
        assert "Traceback" not in self.out + self.err, self
        assert SENTENCE.fullmatch(self.err), self
        return self.err.removeprefix("tallybook: ").rstrip("\n")


def run(
    *words: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    prefix: Sequence[str] = (),
    before: Callable[[], None] | None = None,
) -> Ran:
    """Runs the installed command with these words to its end; `before` is called in the new process first."""
    done = subprocess.run(
        [*prefix, COMMAND, *words],
        capture_output=True,
        env=environment(env),
        cwd=cwd,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=before,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def with_largest_file(size_bytes: int) -> Callable[[], None]:
    """For `before`: no file may grow beyond the size."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@dataclass(frozen=True)
class Home:
    """A home folder, and the command on it."""

    path: Path

    def run(self, *words: str, env: Mapping[str, str] | None = None, before: Callable[[], None] | None = None) -> Ran:
        """Runs a command on this home."""
        words = ("--home", str(self.path), *words)
        if before:
            return run(*words, env=env, before=before)
        code, out, err = run_forked(words, environment(env), None, PATIENCE_S)
        return Ran(code, out.decode(), err.decode())

    def do(self, *words: str) -> str:
        """Runs a command that must succeed in silence on standard error; answers its standard output."""
        ran = self.run(*words)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.out

    def ask(self, *words: str) -> Any:
        """The JSON document that a command answers."""
        return self.run(*words, "--json").answer

    def file(self, name: str, *lines: str) -> str:
        """A file beside the home with these lines; its path."""
        path = self.path.parent / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(path)

    def is_intact(self, closings: int, *words: str) -> bool:
        """Whether the book has so many closings, every link and day as written, and every head that was exported."""
        answer = self.ask("verify", "--anchor", str(self.path / "anchors.log"), *words)
        assert (answer["verdict"], answer["closings"], answer["anchored"]) == ("intact", closings, True), answer
        return True


@dataclass(frozen=True)
class Server:
    """A server that runs on a home."""

    home: Home
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    http: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        """The JSON of a POST of a JSON body that must succeed."""
        answer = self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, number: int) -> None:
        """Sends the server a signal."""
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal and waits for the end; answers the exit code."""
        self.send(number)
        return self.process.wait(PATIENCE_S)

    def log_lines(self) -> list[dict[str, Any]]:
        """The structured lines that it has logged so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def memory_peak_bytes(self) -> int:
        """The most memory that the process has held at once."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


@contextmanager
def serving(
    home: Home, *words: str, env: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
) -> Iterator[Server]:
    """A server on the home, on a free port of loopback; stopped at the end, whatever happens."""
    log = home.path.parent / f"{home.path.name}-{time.monotonic_ns()}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [COMMAND, "--home", str(home.path), "serve", "--port", "0", *words],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment(env),
            preexec_fn=before,  # noqa: PLW1509 - as in `run`
        )
    try:
        url = wait_for(lambda: _announced_url(process, log))
        with httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S, verify=NO_TLS) as http:
            wait_for(lambda: _answers(http))
            yield Server(home, process, url, log, http)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Stops the process, by force if it does not listen."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    if process.poll() is None:
        process.kill()
        process.wait()


def wait_for(found: Callable[[], Found | None], patience_s: float = PATIENCE_S) -> Found:
    """The first answer of `found` that is not None or false, asked again and again."""
    deadline = time.monotonic() + patience_s
    while not (answer := found()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return answer


def _announced_url(process: subprocess.Popen[bytes], log: Path) -> str | None:
    text = log.read_text()
    assert process.poll() is None, text
    found = re.search(r'"event":"serving","url":"(http://[^"]+)"', text)
    return found[1] if found else None


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
