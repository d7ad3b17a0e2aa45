"""A relay on loopback, which passes each POST on and notes what was posted where, and what was answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PASSED_ON = ("Content-Type", "Content-Encoding")


@dataclass
class Relay:
    """Stands where a sender believes the server to be."""

    url: str
    answered: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def relay(target_url: str) -> Iterator[Relay]:
    """A relay to the server at `target_url`; stopped at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            answer = httpx.post(f"{target_url}{self.path}", content=body, headers=headers, trust_env=False)
            noted.answered.append((self.path, answer.status_code))
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """The tests' output is no place for it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        noted = Relay(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield noted
        finally:
            server.shutdown()
            thread.join()
