"""Fixtures of the web tests: the application on a real book and real logs, its clock standing at `NOW`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from stories import ARRIVED, NOW, posted
from tallybook.bookkeeper import Bookkeeper
from tallybook.config import load_settings
from tallybook.home import new_server
from tallybook.web.app import build_app

Client = TestClient[Litestar]


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Bookkeeper]:
    """A bookkeeper on an empty home, at `NOW`: 2026-11-23, one o'clock."""
    opened = Bookkeeper(load_settings({"home": str(tmp_path / "home")}, {}), lambda: NOW)
    yield opened
    opened.close_all()


@pytest.fixture
def fill(keeper: Bookkeeper) -> Callable[..., None]:
    """A function that stores log records, given as they are posted, as arrived half an hour ago."""

    def store(*records: dict[str, Any]) -> None:
        batch = posted(json.dumps(records).encode(), NOW)
        assert batch.rejected == []
        keeper.logs.append(batch.table, ARRIVED)

    return store


@pytest.fixture
def client(keeper: Bookkeeper, tmp_path: Path) -> Iterator[Client]:
    """The running application; its scheduler has ticked once, on whatever the test had stored before."""
    server = new_server("http://127.0.0.1:0", "", "")
    app = build_app(keeper, server, tmp_path / "home")
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as started:
        yield started
