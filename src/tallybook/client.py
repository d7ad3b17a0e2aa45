"""Asking the server that holds a home to do what this process cannot: it has the logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec

from tallybook.bookkeeper import Answer, Watch
from tallybook.errors import LogsBusy, TallybookError
from tallybook.home import INSTANCE_HEADER, RunningServer, read_server

_TIMEOUT = httpx.Timeout(10, read=None)


class RemoteError(TallybookError):
    """The server refused or failed; the words are its own."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.code = code


def find_server(home: Path) -> RunningServer | None:
    """The server that holds the home, if it answers and is the one that it says it is."""
    server = read_server(home)
    if server is None:
        return None
    try:
        answer = httpx.get(f"{server.url}/healthz", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return None
    return server if answer.headers.get(INSTANCE_HEADER) == server.instance else None


def ask_server(server: RunningServer, operation: str, arguments: dict[str, Any], watch: Watch) -> Answer:
    """Runs the operation in the server, telling the watch as it goes on; leaving early cancels it there."""
    headers = {"Authorization": f"Bearer {server.secret}"}
    url = f"{server.url}/v1/operations/{operation}"
    try:
        with httpx.stream("POST", url, json=arguments, headers=headers, timeout=_TIMEOUT, trust_env=False) as response:
            if response.status_code != httpx.codes.OK:
                raise _error(msgspec.json.decode(response.read())["error"])
            for line in response.iter_lines():
                if (answer := _take(msgspec.json.decode(line), watch)) is not None:
                    return answer
    except httpx.HTTPError as error:
        raise LogsBusy(f"The server at {server.url} went away: {error}.", "Run the command again.") from error
    raise LogsBusy(f"The server at {server.url} stopped before it was done.", "Run the command again.")


def _take(line: dict[str, Any], watch: Watch) -> Answer | None:
    match line:
        case {"progress": [stage, done]}:
            watch.on_progress(stage, done)
        case {"result": result}:
            watch.on_result(result)
        case {"error": error}:
            raise _error(error)
        case {"answer": answer}:
            return dict(answer)
    return None


def _error(error: dict[str, str]) -> RemoteError:
    return RemoteError(error["code"], error["message"], error["hint"])
