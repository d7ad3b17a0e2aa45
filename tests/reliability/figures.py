"""Figures that a test of reliability has seen: printed, and kept in a file where one is named."""

from __future__ import annotations

import os
from pathlib import Path


def report(line: str) -> None:
    """Prints the line; `TALLYBOOK_FIGURES` names a file to which it is appended."""
    print(f"\n{line}")  # noqa: T201 - seen with `pytest -s`, and in what a failed test leaves
    if file := os.environ.get("TALLYBOOK_FIGURES"):
        with Path(file).open("a", encoding="utf-8") as figures:
            figures.write(f"{line}\n")
