"""Surroundings in which no proxy stands before loopback."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver on this machine is asked directly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
