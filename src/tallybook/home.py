"""The home folder: where the files lie, and how a command finds the server that holds them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tallybook.errors import TallybookError

SERVER_FILE = "server.json"
INSTANCE_HEADER = "X-Tallybook-Instance"


class HomeError(TallybookError):
    """The home folder cannot be used."""

    code = "home"


class RunningServer(msgspec.Struct, frozen=True):
    """What a server leaves in its home, readable by its owner only: where it listens and the secret of its home.

    `instance` is also told by `/healthz`, so that a command can tell this server from a stranger on the same port
    before it shows the secret.
    """

    url: str
    instance: str
    secret: str
    book: str
    logs: str


def new_server(url: str, book: str, logs: str) -> RunningServer:
    """A server's entry, with an identity and a secret of its own."""
    return RunningServer(url, secrets.token_hex(16), secrets.token_urlsafe(32), book, logs)


def prepare_home(home: Path) -> None:
    """Makes the folder if it is missing, for its owner only; `HomeError` where it cannot be written."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_written(home, error) from None


def _not_written(home: Path, error: OSError) -> HomeError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HomeError("The disk that holds the home is full.", "Free some space.")
    return HomeError(
        f"The home folder {home} cannot be written: {error.strerror}.",
        "Name another with --home, or mend its permissions.",
    )


@contextmanager
def announced(home: Path, server: RunningServer) -> Iterator[None]:
    """While this lasts, commands on the home find the server; `HomeError` where they cannot be told of it."""
    path = home / SERVER_FILE
    partial = home / f".{SERVER_FILE}-{os.getpid()}"
    try:
        partial.touch(mode=0o600)
        partial.write_bytes(msgspec.json.encode(server))
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise _not_written(home, error) from None
    try:
        yield
    finally:
        if read_server(home) == server:
            path.unlink(missing_ok=True)


def read_server(home: Path) -> RunningServer | None:
    """The server that last announced itself in the home; it may be gone since."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((home / SERVER_FILE).read_bytes(), type=RunningServer)
    return None
