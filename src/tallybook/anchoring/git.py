"""Heads by git: committed in a repository, and pushed where that is wished."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from tallybook.anchoring.anchor import Parcel
from tallybook.anchoring.destination import NotDelivered
from tallybook.anchoring.log import ANCHOR_FILE, AnchorLog
from tallybook.anchoring.program import Ran, run

_LEFT_OUT = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "SSH_ASKPASS"),
)
"""What would lead git to another repository, as within a hook, or have it ask on somebody's screen."""

_NEVER_ASK = {"GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never"}
_OWN_IDENTITY = ("-c", "user.name=tallybook", "-c", "user.email=tallybook@localhost")


@dataclass(frozen=True)
class GitRepository:
    """A folder with a git repository; heads are committed in its `anchors.log`, other changes there are left alone.

    Killed at any moment, the next delivery takes up where it stopped.
    """

    folder: Path
    push: bool = False
    to: ClassVar[str] = "git"

    @property
    def identity(self) -> str:
        return f"{self.folder} {'pushed' if self.push else 'kept'}"

    def deliver(self, parcel: Parcel, now: datetime) -> None:  # noqa: ARG002 - every destination is called alike
        if not (self.folder / ".git").exists():
            raise NotDelivered(f"There is no git repository in {self.folder}.", f"Run: git init {self.folder}")
        AnchorLog(self.folder / ANCHOR_FILE).add(parcel.anchors)
        self._do("add", "--force", "--", ANCHOR_FILE)
        if self._run("diff", "--cached", "--quiet", "--", ANCHOR_FILE).code:
            subject = f"tallybook: head {parcel.newest.seq} {parcel.newest.chain[:16]}…"
            self._do(*self._identity_given(), "commit", "--quiet", "--message", subject, "--", ANCHOR_FILE)
        if self.push:
            self._do("-c", "push.autoSetupRemote=true", "push", "--quiet")

    def _identity_given(self) -> tuple[str, ...]:
        """Our own name for the commit, where neither repository nor user nor environment has any."""
        asked = [
            self._run("-c", "user.useConfigOnly=true", "var", f"GIT_{part}_IDENT") for part in ("AUTHOR", "COMMITTER")
        ]
        return _OWN_IDENTITY if any(ran.code for ran in asked) else ()

    def _do(self, *words: str) -> None:
        ran = self._run(*words)
        if ran.code:
            verb = next(word for word in words if word in ("add", "commit", "push"))
            raise NotDelivered(
                f"git {verb} in {self.folder} failed: {_reason(ran)}.", f"Try it there: git -C {self.folder} {verb}"
            )

    def _run(self, *words: str) -> Ran:
        return run(("git", *words), self.folder, _environment(os.environ))


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a git that finds the repository by its folder, and asks nobody for a password."""
    return {name: value for name, value in given.items() if name not in _LEFT_OUT} | _NEVER_ASK


def _reason(ran: Ran) -> str:
    """The line in which git says what is wrong, rather than what it advises below."""
    for line in ran.lines:
        if line.startswith(("fatal: ", "error: ")):
            return line.partition(": ")[2].rstrip(".")
    return ran.lines[-1].rstrip(".") if ran.lines else f"it exited with {ran.code}"
