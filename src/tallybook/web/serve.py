"""Running the server: bind, open, announce, serve, and stop when told to."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable
from datetime import datetime

import uvicorn

from tallybook.book.ledger import Book
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import Settings, is_loopback
from tallybook.errors import UsageError
from tallybook.home import HomeError, RunningServer, announced, new_server, prepare_home
from tallybook.web.app import build_app
from tallybook.web.patience import PatientProtocol

log = logging.getLogger(__name__)

SWITCH_S = 0.0005
"""How long a thread may hold the interpreter: with the usual 5 ms, each hand-over from decoding to storing to answering
waits for as long, and small batches spend most of their time in it."""
GRACE_S = 8
"""Of the ten seconds that a stop may take: the rest is for what waits to be stored, and for letting go."""


class PortInUse(HomeError):
    """The address to listen on is taken."""

    code = "port_in_use"


def serve(settings: Settings, clock: Callable[[], datetime], on_ready: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; then finishes what was accepted, within 10 s. `on_ready` is told the URL."""
    if not is_loopback(settings.host):
        _check_tokens(settings, clock())
    listening = _bind(settings.host, settings.port)
    with listening:
        keeper = Bookkeeper(settings, clock)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listening.getsockname()[1]}"
        server = new_server(url, settings.book, settings.logs)
        try:
            with announced(settings.home, server):
                _serve(keeper, server, settings, listening, on_ready)
        finally:
            keeper.close_all()


def _serve(
    keeper: Bookkeeper,
    server: RunningServer,
    settings: Settings,
    listening: socket.socket,
    on_ready: Callable[[str], None],
) -> None:
    config = uvicorn.Config(
        build_app(keeper, server, settings.home),
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        lifespan="on",
    )
    on_ready(server.url)
    log.info("serving", extra={"url": server.url, "home": str(settings.home)})
    _run_until_told(uvicorn.Server(config), listening)


def _check_tokens(settings: Settings, now: datetime) -> None:
    """Refuses to serve to the network while no token is in force: once all are revoked, nobody could be let in."""
    prepare_home(settings.home)
    book = Book.open(settings.book, now)
    try:
        in_force = [token for token in book.credentials.list() if token.revoked_at is None]
    finally:
        book.close()
    if not in_force:
        raise UsageError(
            f"Serving on {settings.host} needs a token, and none is in force in this book.",
            "Make one: `tallybook token create --role ingest`; or serve on 127.0.0.1, behind a reverse proxy that "
            "signs people in.",
        )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        remedy = "Stop what listens there, or give another with --port."
        raise PortInUse(f"{host}:{port} cannot be listened on: {error.strerror}.", remedy) from None
    return listening


def _run_until_told(server: uvicorn.Server, listening: socket.socket) -> None:
    """uvicorn raises the signal that stopped it once more when all is done; by then it means nothing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sys.setswitchinterval(SWITCH_S)
    server.run(sockets=[listening])
    log.info("stopped")
