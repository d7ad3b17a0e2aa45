from __future__ import annotations

import time
from pathlib import Path

import pytest

from anchoring.heads import format_heads, head, heads
from stories import NOW
from tallybook.anchoring import program
from tallybook.anchoring.anchor import Parcel
from tallybook.anchoring.command import Command
from tallybook.anchoring.destination import NotDelivered


def script(home: Path, *lines: str) -> Path:
    """A shell script in the home."""
    path = home / "keep-head"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def deliver(home: Path, *words: str, last: int = 2) -> None:
    Command(words, home).deliver(Parcel("the book", tuple(heads(1, last))), NOW)


def refusal(home: Path, *words: str) -> str:
    """Why the command did not take the heads."""
    with pytest.raises(NotDelivered) as refused:
        deliver(home, *words)
    return refused.value.message


def test_the_lines_are_on_its_standard_input(home: Path) -> None:
    deliver(home, str(script(home, "cat >> kept")))
    assert (home / "kept").read_text() == format_heads(heads(1, 2))


def test_the_newest_head_is_in_its_environment(home: Path) -> None:
    path = script(home, 'echo "$TALLYBOOK_BOOK_ID, $TALLYBOOK_SEQ, $TALLYBOOK_CHAIN, $TALLYBOOK_AT, $HOME" > kept')
    deliver(home, str(path))
    assert (home / "kept").read_text() == (f"the book, 2, {head(2).chain}, 2026-11-23T01:02:00Z, {home.parent}\n")


def test_its_words_are_no_shell_and_it_runs_in_the_home(home: Path) -> None:
    script(home, 'printf "%s|" "$@" > kept')
    deliver(home, "./keep-head", "$HOME; *", "", "a b")
    assert (home / "kept").read_text() == "$HOME; *||a b|"


def test_one_that_fails_is_quoted_with_its_last_words(home: Path) -> None:
    path = script(
        home, "echo out", "echo 'first' >&2", "echo '\033[31mno such bucket.\033[0m' >&2", "echo >&2", "exit 3"
    )
    assert refusal(home, str(path), "T0KEN") == "keep-head exited with 3: [31mno such bucket.[0m."


def test_one_that_says_nothing_or_is_killed(home: Path) -> None:
    assert refusal(home, str(script(home, "exit 1"))) == "keep-head exited with 1."
    assert refusal(home, str(script(home, "kill -9 $$"))) == "keep-head exited with -9."


def test_one_that_says_far_too_much_is_cut(home: Path) -> None:
    path = script(home, "yes 0123456789 | head -c 1000000 >&2", "yes x | head -c 4000 | tr -d '\\n' >&2", "exit 1")
    said = refusal(home, str(path))
    assert said.startswith("keep-head exited with 1: ")
    assert len(said) < 400


def test_one_that_reads_nothing_of_much_is_no_failure(home: Path) -> None:
    deliver(home, str(script(home, "exit 0")), last=1000)


def test_what_it_leaves_in_the_background_keeps_nobody_waiting(home: Path) -> None:
    begun = time.monotonic()
    deliver(home, str(script(home, "sleep 5 &")))
    assert time.monotonic() - begun < 4


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(program, "GRACE_S", 0.3)
    path = script(home, "trap '' TERM", "(trap '' TERM; sleep 1; touch late) &", "sleep 60")
    assert refusal(home, str(path)) == "keep-head was not done within 0.3 seconds."
    time.sleep(1)
    assert not (home / "late").exists()


def test_one_that_is_not_there_or_may_not_be_run(home: Path) -> None:
    assert refusal(home, "keep-head-of-nobody") == "keep-head-of-nobody cannot be run: No such file or directory."
    script(home).chmod(0o644)
    assert refusal(home, "./keep-head") == "keep-head cannot be run: Permission denied."


def test_its_arguments_may_be_secrets(home: Path) -> None:
    assert "T0KEN" not in repr(Command(("keep-head", "T0KEN"), home))
