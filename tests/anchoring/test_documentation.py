"""What docs/anchors.md tells others to copy does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anchoring.heads import format_heads, heads
from stories import NOW
from tallybook.anchoring.anchor import Parcel, read_anchors
from tallybook.anchoring.command import Command
from tallybook.anchoring.settings import read_anchor_settings
from tallybook.anchoring.webhook import sign

PAGE = (Path(__file__).parents[2] / "docs" / "anchors.md").read_text()
BODY = b'{"book_id":"b","anchors":[]}'


def block(language: str) -> str:
    """The page's first block in the language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def is_ours() -> Callable[[bytes, str, str], bool]:
    """The receiver's check."""
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102 - it is our own page
    function: Callable[[bytes, str, str], bool] = names["is_ours"]
    return function


def test_the_check_of_a_signature_accepts_ours(is_ours: Callable[[bytes, str, str], bool]) -> None:
    now_s = int(time.time())
    assert is_ours(BODY, sign(BODY, "swordfish", now_s), "swordfish")
    assert is_ours(BODY, sign(BODY, "swordfish", now_s - 290), "swordfish")


def test_it_refuses_every_other(is_ours: Callable[[bytes, str, str], bool]) -> None:
    now_s = int(time.time())
    ours = sign(BODY, "swordfish", now_s)
    assert not is_ours(BODY + b" ", ours, "swordfish")
    assert not is_ours(BODY, ours, "another")
    assert not is_ours(BODY, sign(BODY, "swordfish", now_s - 301), "swordfish")
    assert not is_ours(BODY, ours.replace(f"t={now_s}", f"t={now_s + 1}"), "swordfish")
    for header in ("", ours[:-1], f"{ours}\n", "t=,v1=", "t=x,v1=y", ours.replace(",v1", ",v2")):
        assert not is_ours(BODY, header, "swordfish")


def test_the_signature_that_it_names_is_the_one() -> None:
    told = "2c9a9bc8c1e3bb26ce1018aec64991b4a00568b78f177c4498a73469f071e3d8"
    assert told in PAGE
    assert sign(BODY, "swordfish", 1795395600) == f"t=1795395600,v1={told}"


def test_the_settings_are_taken_as_they_stand() -> None:
    table = tomllib.loads(block("toml"))["anchors"]
    every = read_anchor_settings(table, Path("/var/tallybook"), "tallybook.toml").destinations()
    assert [destination.to for destination in every] == ["webhook", "git", "command"]


def test_the_script_keeps_what_anchor_takes(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "worm"
    folder.mkdir()
    script = home / "keep-head"
    script.write_text(block("sh").replace("/mnt/worm/heads", str(folder)))
    script.chmod(0o755)
    for first, last in ((1, 2), (3, 3), (3, 3)):
        Command((str(script),), home).deliver(Parcel("b", tuple(heads(first, last))), NOW)
    assert len(list(folder.iterdir())) == 2
    copy = subprocess.run(f"cat {folder}/*", shell=True, capture_output=True, check=True, env=os.environ)  # noqa: S602
    (tmp_path / "copy.log").write_bytes(copy.stdout)
    assert read_anchors(tmp_path / "copy.log") == heads(1, 3)
    assert copy.stdout.decode() == format_heads(heads(1, 3))
