from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anchoring.disk import largest_file
from anchoring.heads import book_of, format_heads, heads
from anchoring.receiver import Receiver, receiving
from stories import NOW
from tallybook.anchoring.anchor import read_anchors
from tallybook.anchoring.delivery import Delivered, Deliveries, DeliveryState
from tallybook.anchoring.log import AnchorLog
from tallybook.anchoring.settings import read_anchor_settings

TESTS = Path(__file__).parents[1]
BOOK_ID = "00000000-0000-4000-8000-000000000000"
LogLines = Callable[[], list[tuple[str, str, dict[str, Any]]]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as listening:
        yield listening


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def keep(home: Path, last: int, history: str = "") -> None:
    """The book goes on to this entry, and its heads are kept."""
    AnchorLog(home / "anchors.log").keep(book_of(heads(1, last, history)))


def deliveries(home: Path, *lines: str, book_id: str = BOOK_ID) -> Deliveries:
    """Those of a home whose `tallybook.toml` has these lines in `[anchors]`."""
    table = tomllib.loads("\n".join(lines))
    return Deliveries(home, read_anchor_settings(table, home, "tallybook.toml"), book_id)


def to_webhook(receiver: Receiver) -> tuple[str, str]:
    return f'webhook = "{receiver.url}"', 'webhook_secret = "swordfish"'


def to_command(home: Path, *script: str) -> str:
    """A script in the home that keeps the heads, or not, after the lines that are given."""
    path = home / "keep-head"
    path.write_text("\n".join(["#!/bin/sh", *script, "cat >> kept\n"]))
    path.chmod(0o755)
    return 'command = ["./keep-head"]'


def to_git(home: Path) -> str:
    subprocess.run([shutil.which("git") or "git", "init", "--quiet", str(home / "heads")], check=True)
    return 'git = "heads"'


def test_heads_go_to_every_destination_and_each_time_only_what_is_new(home: Path, receiver: Receiver) -> None:
    every = deliveries(home, *to_webhook(receiver), to_git(home), to_command(home))
    keep(home, 3)
    assert every.deliver(NOW) == [Delivered("webhook", 3, 3), Delivered("git", 3, 3), Delivered("command", 3, 3)]
    assert every.deliver(NOW) == []
    keep(home, 5)
    assert every.deliver(NOW) == [Delivered("webhook", 2, 5), Delivered("git", 2, 5), Delivered("command", 2, 5)]
    assert receiver.seqs() == [1, 2, 3, 4, 5]
    assert (home / "heads" / "anchors.log").read_text() == format_heads(heads(1, 5))
    assert (home / "kept").read_text() == format_heads(heads(1, 5))
    assert [state.as_json() for state in every.states()] == [
        {"to": "file", "through_seq": 5, "waiting": 0, "failing": None},
        {"to": "webhook", "through_seq": 5, "waiting": 0, "failing": None},
        {"to": "git", "through_seq": 5, "waiting": 0, "failing": None},
        {"to": "command", "through_seq": 5, "waiting": 0, "failing": None},
    ]


def test_what_a_receiver_appended_to_a_file_are_anchors(home: Path, receiver: Receiver, tmp_path: Path) -> None:
    hook = deliveries(home, *to_webhook(receiver))
    for last in (2, 5):
        keep(home, last)
        hook.deliver(NOW)
    file = tmp_path / "received.jsonl"
    file.write_bytes(b"".join(body + b"\n" for body in receiver.taken))
    assert read_anchors(file) == heads(1, 5)


class TestDestinationThatFails:
    def test_all_arrives_in_order_and_once_when_it_is_up_again(self, home: Path) -> None:
        receiver = Receiver(statuses=[500, 404])
        with receiving(receiver):
            hook = deliveries(home, *to_webhook(receiver))
            for minute in range(5):
                keep(home, minute + 1)
                hook.deliver(after(minute))
        for minute in range(5, 9):
            keep(home, minute + 1)
            hook.deliver(after(minute))
        assert hook.states()[1] == DeliveryState(
            "webhook",
            through_seq=5,
            waiting=4,
            failing=f"The webhook at http://127.0.0.1:{receiver.port} cannot be reached: Connection refused.",
        )
        with receiving(receiver):
            for minute in range(9, 15):
                hook.deliver(after(minute))
        assert receiver.seqs() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
        assert hook.states()[1] == DeliveryState("webhook", through_seq=9, waiting=0)
        for body, headers in receiver.posted:
            at, signature = headers["X-Tallybook-Signature"].split(",")
            expected = hmac.new(b"swordfish", at[2:].encode() + b"." + body, hashlib.sha256).hexdigest()
            assert signature == f"v1={expected}"

    def test_it_is_tried_after_a_minute_then_after_twice_the_time_up_to_an_hour(
        self, home: Path, receiver: Receiver
    ) -> None:
        receiver.statuses = [503] * 9
        hook = deliveries(home, *to_webhook(receiver))
        keep(home, 1)
        tried = []
        for minute in range(60 * 5):
            before = len(receiver.posted)
            hook.deliver(after(minute))
            tried += [minute] * (len(receiver.posted) - before)
        assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
        receiver.statuses = [503]
        keep(home, 2)
        assert hook.deliver(after(300)) == []
        assert hook.deliver(after(301)) == [Delivered("webhook", 1, 2)]

    def test_a_clock_that_is_set_back_keeps_it_not_waiting(self, home: Path, receiver: Receiver) -> None:
        receiver.statuses = [503]
        hook = deliveries(home, *to_webhook(receiver))
        keep(home, 1)
        assert hook.deliver(NOW + timedelta(days=365)) == []
        assert hook.deliver(NOW) == [Delivered("webhook", 1, 1)]

    def test_it_keeps_no_other_waiting(self, home: Path, receiver: Receiver) -> None:
        receiver.statuses = [500]
        every = deliveries(home, *to_webhook(receiver), 'git = "none"', to_command(home))
        keep(home, 2)
        assert every.deliver(NOW) == [Delivered("command", 2, 2)]
        assert every.states() == [
            DeliveryState("file", 2, 0),
            DeliveryState("webhook", 0, 2, f"The webhook at http://127.0.0.1:{receiver.port} answered 500."),
            DeliveryState("git", 0, 2, f"There is no git repository in {home}/none."),
            DeliveryState("command", 2, 0),
        ]

    def test_a_command_that_fails_twice_gets_all_at_the_third_time(self, home: Path) -> None:
        script = ("echo x >> tries", "[ $(wc -l < tries) -gt 2 ] || { echo locked >&2; exit 4; }")
        command = deliveries(home, to_command(home, *script))
        keep(home, 1)
        for minute in (0, 1, 2):
            assert command.deliver(after(minute)) == []
            keep(home, minute + 2)
        assert command.states()[1] == DeliveryState("command", 0, 4, "keep-head exited with 4: locked.")
        assert command.deliver(after(3)) == [Delivered("command", 4, 4)]
        assert (home / "kept").read_text() == format_heads(heads(1, 4))

    def test_each_failure_is_logged_without_secrets(self, home: Path, log_lines: LogLines) -> None:
        hook = ('webhook = "http://ann:opensesame@127.0.0.1:1/"', 'webhook_secret = "swordfish"')
        script = to_command(home, "echo 'swordfish is not for https://ann:opensesame@example.com' >&2", "exit 1")
        keep(home, 1)
        deliveries(home, *hook, script).deliver(NOW)
        assert log_lines() == [
            (
                "WARNING",
                "heads not delivered",
                {
                    "to": "webhook",
                    "through_seq": 0,
                    "error": "The webhook at http://127.0.0.1:1 cannot be reached: Connection refused.",
                },
            ),
            (
                "WARNING",
                "heads not delivered",
                {
                    "to": "command",
                    "through_seq": 0,
                    "error": "keep-head exited with 1: *** is not for https://***@example.com.",
                },
            ),
        ]
        assert "sesame" not in (home / "anchors.json").read_text()


class TestHowFarItIs:
    def test_is_known_to_the_next_process(self, home: Path, receiver: Receiver) -> None:
        keep(home, 2)
        deliveries(home, *to_webhook(receiver)).deliver(NOW)
        keep(home, 3)
        assert deliveries(home, *to_webhook(receiver)).deliver(NOW) == [Delivered("webhook", 1, 3)]
        assert stat.S_IMODE((home / "anchors.json").stat().st_mode) == 0o600
        assert sorted(path.name for path in home.iterdir()) == ["anchors.json", "anchors.lock", "anchors.log"]

    def test_a_new_destination_gets_every_head_and_the_others_nothing_again(
        self, home: Path, receiver: Receiver
    ) -> None:
        keep(home, 2)
        deliveries(home, *to_webhook(receiver)).deliver(NOW)
        both = deliveries(home, *to_webhook(receiver), to_command(home))
        assert both.deliver(NOW) == [Delivered("command", 2, 2)]

    def test_so_does_one_that_has_moved(self, home: Path, receiver: Receiver) -> None:
        keep(home, 2)
        deliveries(home, *to_webhook(receiver)).deliver(NOW)
        with receiving(Receiver()) as other:
            assert deliveries(home, *to_webhook(other)).deliver(NOW) == [Delivered("webhook", 2, 2)]

    def test_and_a_repository_that_is_to_be_pushed_from_now_on(self, home: Path, tmp_path: Path) -> None:
        keep(home, 2)
        deliveries(home, to_git(home)).deliver(NOW)
        git = [shutil.which("git") or "git", "-C", str(home / "heads")]
        subprocess.run([git[0], "init", "--quiet", "--bare", str(tmp_path / "remote")], check=True)
        subprocess.run([*git, "remote", "add", "origin", str(tmp_path / "remote")], check=True)
        assert deliveries(home, to_git(home), "git_push = true").deliver(NOW) == [Delivered("git", 2, 2)]
        pushed = subprocess.run(
            [*git, "ls-remote", "--heads", "origin"], check=True, capture_output=True, text=True
        ).stdout
        assert len(pushed.splitlines()) == 1

    def test_one_that_is_no_longer_set_is_forgotten(self, home: Path, receiver: Receiver) -> None:
        keep(home, 2)
        deliveries(home, *to_webhook(receiver), to_command(home)).deliver(NOW)
        deliveries(home, to_command(home)).deliver(NOW)
        assert deliveries(home, *to_webhook(receiver)).deliver(NOW) == [Delivered("webhook", 2, 2)]

    def test_where_none_is_set_nothing_is_left_of_any(self, home: Path, receiver: Receiver) -> None:
        keep(home, 2)
        nowhere = deliveries(home)
        assert nowhere.deliver(NOW) == []
        assert [path.name for path in home.iterdir()] == ["anchors.log"]
        assert nowhere.states() == [DeliveryState("file", 2, 0)]
        deliveries(home, *to_webhook(receiver)).deliver(NOW)
        nowhere.deliver(NOW)
        assert not (home / "anchors.json").exists()

    def test_of_another_book_it_begins_anew(self, home: Path, receiver: Receiver) -> None:
        keep(home, 2)
        deliveries(home, *to_webhook(receiver)).deliver(NOW)
        assert deliveries(home, *to_webhook(receiver), book_id="another").deliver(NOW) == [Delivered("webhook", 2, 2)]
        assert [json.loads(body)["book_id"] for body in receiver.taken] == [BOOK_ID, "another"]

    @pytest.mark.parametrize("content", ["", "{", '{"book_id": 1}', "[]"])
    def test_a_file_that_cannot_be_read_is_like_none(
        self, home: Path, receiver: Receiver, log_lines: LogLines, content: str
    ) -> None:
        keep(home, 2)
        (home / "anchors.json").write_text(content)
        assert deliveries(home, *to_webhook(receiver)).deliver(NOW) == [Delivered("webhook", 2, 2)]
        assert {(level, event) for level, event, _ in log_lines()} == {
            ("WARNING", "how far heads are delivered cannot be read")
        }
        assert deliveries(home, *to_webhook(receiver)).deliver(NOW) == []

    def test_that_cannot_be_written_is_remembered_by_this_process(
        self, home: Path, receiver: Receiver, log_lines: LogLines
    ) -> None:
        hook = deliveries(home, *to_webhook(receiver))
        keep(home, 2)
        with largest_file(10):
            assert hook.deliver(NOW) == [Delivered("webhook", 2, 2)]
            assert hook.deliver(NOW) == []
        assert {(event, facts["error"]) for _, event, facts in log_lines()} == {
            ("how far heads are delivered is not kept", "[Errno 27] File too large")
        }
        assert not (home / "anchors.json").exists()
        keep(home, 3)
        assert hook.deliver(NOW) == [Delivered("webhook", 1, 3)]
        assert deliveries(home, *to_webhook(receiver)).deliver(NOW) == []
        assert hook.deliver(NOW) == []


def test_many_heads_go_a_thousand_at_once_and_a_failure_between_loses_none(home: Path, receiver: Receiver) -> None:
    hook = deliveries(home, *to_webhook(receiver))
    keep(home, 2500)
    receiver.statuses = [200, 500]
    assert hook.deliver(NOW) == [Delivered("webhook", 1000, 1000)]
    assert hook.states()[1].waiting == 1500
    assert hook.deliver(after(1)) == [Delivered("webhook", 1500, 2500)]
    assert [len(json.loads(body)["anchors"]) for body, _ in receiver.posted] == [1000, 1000, 1000, 500]
    assert receiver.seqs() == list(range(1, 2501))


def test_a_book_that_was_rewritten_is_told_to_those_who_have_what_it_was(home: Path) -> None:
    keep(home, 4)
    command = deliveries(home, to_command(home))
    command.deliver(NOW)
    keep(home, 3, "b")
    assert command.states()[1] == DeliveryState("command", through_seq=4, waiting=3)
    assert command.deliver(NOW) == [Delivered("command", 3, 3)]
    keep(home, 4, "b")
    assert command.deliver(NOW) == [Delivered("command", 1, 4)]
    assert read_anchors(home / "kept") == [*heads(1, 4), *heads(1, 4, "b")]


def test_a_file_of_heads_that_cannot_be_read_is_told_and_nothing_delivered(home: Path, log_lines: LogLines) -> None:
    command = deliveries(home, to_command(home))
    (home / "anchors.log").write_text("hello\n")
    assert command.deliver(NOW) == []
    sentence = f"The last line of {home}/anchors.log is no anchor."
    assert command.states() == [
        DeliveryState("file", 0, None, sentence),
        DeliveryState("command", 0, None, sentence),
    ]
    assert log_lines() == [("WARNING", "heads not delivered", {"to": "command", "through_seq": 0, "error": sentence})]


class TestOneAtATime:
    def test_who_finds_another_delivering_leaves_it_to_that(self, home: Path) -> None:
        command = deliveries(home, to_command(home))
        keep(home, 1)
        with (home / "anchors.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert command.deliver(NOW) == []
            assert command.states()[1] == DeliveryState("command", 0, 1)
        assert command.deliver(NOW) == [Delivered("command", 1, 1)]

    def test_threads_that_deliver_at_once_send_nothing_twice(self, home: Path) -> None:
        command = deliveries(home, to_command(home, "sleep 0.05"))
        for last in range(1, 6):
            keep(home, last)
            threads = [threading.Thread(target=command.deliver, args=[NOW]) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (home / "kept").read_text() == format_heads(heads(1, 5))

    def test_a_home_in_which_none_can_hold_the_lock_is_told(self, home: Path, log_lines: LogLines) -> None:
        (home / "anchors.lock").mkdir()
        keep(home, 1)
        assert deliveries(home, to_command(home)).deliver(NOW) == []
        assert [(event, facts) for _, event, facts in log_lines()] == [
            ("heads not delivered", {"error": f"[Errno 21] Is a directory: '{home}/anchors.lock'"})
        ]


KILLED = """
import sys; from pathlib import Path
from anchoring.test_delivery import NOW, deliveries
deliveries(Path(sys.argv[1]), 'command = ["./keep-head"]').deliver(NOW)
"""


def test_killed_before_it_noted_what_was_taken_it_sends_that_again(home: Path) -> None:
    """A destination may get a head twice, and never none."""
    to_command(home, "cat >> kept; kill -9 $PPID")
    keep(home, 2)
    ran = subprocess.run([sys.executable, "-c", KILLED, str(home)], cwd=TESTS, check=False)
    assert ran.returncode == -9
    assert deliveries(home, to_command(home)).deliver(NOW) == [Delivered("command", 2, 2)]
    assert read_anchors(home / "kept") == [*heads(1, 2), *heads(1, 2)]


@pytest.fixture(scope="module")
def shared_receiver() -> Iterator[Receiver]:
    """One receiver for every example of a property."""
    with receiving(Receiver()) as listening:
        yield listening


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([200, 204, 302, 500]), st.booleans()), max_size=12))
def test_whenever_it_fails_and_whoever_delivers_each_head_arrives_once_and_in_order(
    shared_receiver: Receiver, steps: list[tuple[int, int, bool]]
) -> None:
    """Each step adds heads, and has another process or the same one deliver them, an hour later."""
    shared_receiver.taken.clear()
    with tempfile.TemporaryDirectory() as folder:
        home, last = Path(folder), 0
        hook = deliveries(home, *to_webhook(shared_receiver))
        for hour, (added, status, anew) in enumerate([*steps, (0, 200, True)]):
            last += added
            keep(home, last)
            hook = deliveries(home, *to_webhook(shared_receiver)) if anew else hook
            shared_receiver.statuses = [status]
            hook.deliver(NOW + timedelta(hours=hour))
        assert shared_receiver.seqs() == list(range(1, last + 1))
