"""Fixtures of the senders' tests: homes, as in the acceptance tests, and the environments that all of them need."""

from __future__ import annotations

import pytest

from acceptance.conftest import home, new_home, not_at_midnight
from senders.sending import interpreter

__all__ = ["home", "new_home", "not_at_midnight"]


@pytest.fixture(autouse=True)
def installed() -> None:
    """Skips a test, or fails it where senders are required, before it has started anything."""
    for name in ("all", "openai-v2"):
        interpreter(name)
