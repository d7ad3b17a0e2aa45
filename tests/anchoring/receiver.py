"""A receiver of webhooks on loopback: it appends each body that it takes to a list, as a real one would to a file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Answers with the `statuses` in turn, 0 being none at all, and with 200 when they are used up.

    `posted` has what came, with its headers; `taken` has what it took.
    """

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    posted: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/heads"

    def seqs(self) -> list[int]:
        """The sequence numbers of the heads that it took, in the order in which they came."""
        bodies: list[Any] = [json.loads(body) for body in self.taken]
        return [anchor["seq"] for body in bodies for anchor in body["anchors"]]

    def answer(self, body: bytes, headers: dict[str, str]) -> int:
        """Notes a POST; the status of the answer."""
        self.posted.append((body, headers))
        status = self.statuses.pop(0) if self.statuses else 200
        if 200 <= status < 300:
            self.taken.append(body)
        return status


@contextmanager
def receiving(receiver: Receiver) -> Iterator[Receiver]:
    """Has the receiver listen, always on the same port; it is down before and after."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.answer(body, dict(self.headers))
            if not status:
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", receiver.url)
            self.end_headers()

        def do_GET(self) -> None:
            """A repository of somebody's that needs a password."""
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="heads"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """The tests' output is no place for it."""

    with ThreadingHTTPServer(("127.0.0.1", receiver.port), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
