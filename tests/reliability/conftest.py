"""Homes for tests of reliability: those of the acceptance tests."""

from __future__ import annotations

from acceptance.conftest import home, new_home

__all__ = ["home", "new_home"]
