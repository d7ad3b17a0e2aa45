from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from acceptance.running import wait_for
from anchoring.heads import format_heads, head, heads
from anchoring.receiver import Receiver, receiving
from stories import NOW
from tallybook.anchoring import program
from tallybook.anchoring.anchor import Parcel, read_anchors
from tallybook.anchoring.destination import NotDelivered
from tallybook.anchoring.git import GitRepository

TESTS = Path(__file__).parents[1]
GIT = shutil.which("git") or "git"


def git(folder: Path, *words: str) -> str:
    """What git says on standard output."""
    return subprocess.run([GIT, *words], cwd=folder, capture_output=True, check=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "heads"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    return folder


@pytest.fixture
def remote(tmp_path: Path, repository: Path) -> Path:
    """A bare repository to which the other one pushes."""
    folder = tmp_path / "remote.git"
    folder.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch", "main")
    git(repository, "remote", "add", "origin", str(folder))
    return folder


def deliver(folder: Path, first: int, last: int, *, push: bool = False) -> None:
    GitRepository(folder, push).deliver(Parcel("b", tuple(heads(first, last))), NOW)


def refusal(folder: Path, *, push: bool = False) -> str:
    """Why the repository did not take the first head."""
    with pytest.raises(NotDelivered) as refused:
        deliver(folder, 1, 1, push=push)
    return refused.value.message


def commits(folder: Path) -> list[str]:
    """Who committed what, the oldest first."""
    return git(folder, "log", "--reverse", "--format=%an <%ae>: %s").splitlines()


def hook(folder: Path, name: str, *script: str) -> None:
    """Has git run a script, as the repository's owner may."""
    path = folder / ".git" / "hooks" / name
    path.write_text("\n".join(["#!/bin/sh", *script, ""]))
    path.chmod(0o755)


def test_heads_are_lines_of_a_file_and_each_delivery_a_commit(repository: Path) -> None:
    deliver(repository, 1, 2)
    deliver(repository, 3, 3)
    assert git(repository, "show", "HEAD:anchors.log") == format_heads(heads(1, 3))
    assert git(repository, "status", "--short") == ""
    assert commits(repository) == [
        f"tallybook <tallybook@localhost>: tallybook: head 2 {head(2).chain[:16]}…",
        f"tallybook <tallybook@localhost>: tallybook: head 3 {head(3).chain[:16]}…",
    ]


def test_a_repository_with_an_identity_keeps_it(repository: Path) -> None:
    git(repository, "config", "user.name", "Ann")
    git(repository, "config", "user.email", "ann@example.com")
    deliver(repository, 1, 1)
    assert commits(repository) == [f"Ann <ann@example.com>: tallybook: head 1 {head(1).chain[:16]}…"]


def test_heads_that_come_again_are_committed_once(repository: Path) -> None:
    deliver(repository, 1, 2)
    deliver(repository, 1, 2)
    deliver(repository, 2, 3)
    assert git(repository, "show", "HEAD:anchors.log") == format_heads(heads(1, 3))
    assert len(commits(repository)) == 2


KILLED = """
import os, sys; from pathlib import Path
from anchoring.test_git import deliver
Path(sys.argv[1], "../pid").write_text(str(os.getpid()))
deliver(Path(sys.argv[1]), 1, 2, push=True)
"""


@pytest.mark.parametrize("moment", ["pre-commit", "post-commit", "pre-push"])
def test_killed_at_any_moment_the_next_delivery_takes_up_where_it_stopped(
    repository: Path, remote: Path, moment: str
) -> None:
    hook(repository, moment, "kill -9 $(cat ../pid)", "exit 1")
    ran = subprocess.run([sys.executable, "-c", KILLED, str(repository)], cwd=TESTS, check=False)
    assert ran.returncode == -9
    assert read_anchors(repository / "anchors.log") == heads(1, 2)
    (repository / ".git" / "hooks" / moment).unlink()
    wait_for(lambda: not (repository / ".git" / "index.lock").exists())
    deliver(repository, 1, 2, push=True)
    assert git(remote, "show", "main:anchors.log") == format_heads(heads(1, 2))
    assert len(commits(remote)) == 1


def test_what_else_is_changed_in_the_repository_is_left_alone(repository: Path) -> None:
    (repository / "notes.txt").write_text("mine")
    (repository / "staged.txt").write_text("mine too")
    git(repository, "add", "staged.txt")
    deliver(repository, 1, 1)
    assert git(repository, "show", "--name-only", "--format=").splitlines() == ["anchors.log"]
    assert git(repository, "status", "--short").splitlines() == ["A  staged.txt", "?? notes.txt"]


def test_a_repository_that_ignores_logs_takes_this_one(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    deliver(repository, 1, 1)
    assert git(repository, "ls-files").splitlines() == ["anchors.log"]


def test_within_a_hook_of_another_repository_it_is_still_this_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    deliver(repository, 1, 1)
    monkeypatch.undo()
    assert len(commits(repository)) == 1


class TestPushing:
    def test_it_is_pushed_though_the_branch_tracks_nothing_yet(self, repository: Path, remote: Path) -> None:
        deliver(repository, 1, 1, push=True)
        deliver(repository, 2, 2, push=True)
        assert git(remote, "show", "main:anchors.log") == format_heads(heads(1, 2))
        assert commits(remote) == commits(repository)

    def test_without_the_setting_nothing_is(self, repository: Path, remote: Path) -> None:
        deliver(repository, 1, 1)
        assert git(remote, "branch", "--list") == ""

    def test_what_could_not_be_pushed_is_with_the_next_delivery(self, repository: Path, remote: Path) -> None:
        remote.rename(remote.with_name("away"))
        said = refusal(repository, push=True)
        assert said == f"git push in {repository} failed: '{remote}' does not appear to be a git repository."
        assert len(commits(repository)) == 1
        remote.with_name("away").rename(remote)
        deliver(repository, 1, 2, push=True)
        assert git(remote, "show", "main:anchors.log") == format_heads(heads(1, 2))

    def test_a_remote_that_has_gone_on_alone_is_told(self, repository: Path, remote: Path, tmp_path: Path) -> None:
        deliver(repository, 1, 1, push=True)
        git(tmp_path, "clone", "--quiet", str(remote), "other")
        deliver(tmp_path / "other", 5, 5, push=True)
        with pytest.raises(NotDelivered, match=r"git push in .* failed: failed to push some refs to"):
            deliver(repository, 2, 2, push=True)

    def test_nobody_is_asked_for_a_password(self, repository: Path) -> None:
        with receiving(Receiver()) as asking:
            url = f"http://127.0.0.1:{asking.port}"
            git(repository, "remote", "add", "origin", f"{url}/heads.git")
            said = refusal(repository, push=True)
        assert said == (
            f"git push in {repository} failed: could not read Username for '{url}': terminal prompts disabled."
        )


class TestThatFails:
    def test_a_folder_without_a_repository_is_told_even_within_another(self, repository: Path) -> None:
        inner = repository / "inner"
        inner.mkdir()
        assert refusal(inner) == f"There is no git repository in {inner}."
        assert list(inner.iterdir()) == []

    def test_a_machine_without_git(self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert refusal(repository) == "git cannot be run: No such file or directory."

    def test_a_hook_that_refuses_is_quoted(self, repository: Path) -> None:
        hook(repository, "pre-commit", "echo 'first line' >&2", "echo 'not on a Sunday.' >&2", "exit 1")
        assert refusal(repository) == f"git commit in {repository} failed: not on a Sunday."

    def test_one_that_says_nothing(self, repository: Path) -> None:
        hook(repository, "pre-commit", "exit 1")
        assert refusal(repository) == f"git commit in {repository} failed: it exited with 1."

    def test_one_that_takes_too_long_is_given_up_and_leaves_no_lock(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(program, "TIMEOUT_S", 0.5)
        hook(repository, "pre-commit", "sleep 60")
        assert refusal(repository) == "git was not done within 0.5 seconds."
        (repository / ".git" / "hooks" / "pre-commit").unlink()
        monkeypatch.undo()
        deliver(repository, 1, 1)

    def test_a_repository_that_another_git_works_in(self, repository: Path) -> None:
        (repository / ".git" / "index.lock").touch()
        assert refusal(repository).startswith(
            f"git add in {repository} failed: Unable to create '{repository}/.git/index.lock': File exists"
        )
