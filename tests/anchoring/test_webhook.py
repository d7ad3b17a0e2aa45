from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator

import pytest

from anchoring.heads import head, heads
from anchoring.receiver import Receiver, receiving
from stories import NOW
from tallybook.anchoring import webhook
from tallybook.anchoring.anchor import Parcel
from tallybook.anchoring.destination import NotDelivered
from tallybook.anchoring.secret import Secret
from tallybook.anchoring.webhook import Webhook

NOW_S = 1_795_395_600
SIGNED_WITH = "swordfish"
PARCEL = Parcel("00000000-0000-4000-8000-000000000000", tuple(heads(1, 2)))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as listening:
        yield listening


def deliver(url: str, secret: str = SIGNED_WITH) -> None:
    Webhook(url, Secret(secret)).deliver(PARCEL, NOW)


def refusal(url: str, secret: str = SIGNED_WITH) -> str:
    """Why the webhook did not take the heads."""
    with pytest.raises(NotDelivered) as refused:
        deliver(url, secret)
    return refused.value.message


def test_heads_are_posted_as_json(receiver: Receiver) -> None:
    deliver(receiver.url)
    ((body, headers),) = receiver.posted
    assert json.loads(body) == {
        "book_id": "00000000-0000-4000-8000-000000000000",
        "anchors": [
            {"seq": 1, "chain": head(1).chain, "at": "2026-11-23T01:01:00Z"},
            {"seq": 2, "chain": head(2).chain, "at": "2026-11-23T01:02:00Z"},
        ],
    }
    assert b"\n" not in body
    assert headers["Content-Type"] == "application/json"


def test_whoever_has_the_secret_can_tell_that_the_body_is_ours_and_when_it_was_sent(receiver: Receiver) -> None:
    deliver(receiver.url)
    ((body, headers),) = receiver.posted
    expected = hmac.new(b"swordfish", b"1795395600." + body, hashlib.sha256).hexdigest()
    assert NOW.timestamp() == NOW_S
    assert headers["X-Tallybook-Signature"] == f"t=1795395600,v1={expected}"


def test_the_secret_may_be_in_the_environment(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADS_SECRET", "swordfish")
    deliver(receiver.url, "${HEADS_SECRET}")
    deliver(receiver.url, "swordfish")
    assert len({headers["X-Tallybook-Signature"] for _, headers in receiver.posted}) == 1


@pytest.mark.parametrize("value", [None, ""])
def test_a_secret_that_is_not_in_the_environment_signs_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("HEADS_SECRET", value)
    said = refusal(receiver.url, "${HEADS_SECRET}")
    assert said == "The environment has no variable HEADS_SECRET, which webhook_secret names."
    assert receiver.posted == []


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_a_receipt(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    deliver(receiver.url)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410, 500, 503])
def test_anything_else_is_none_and_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    assert refusal(receiver.url) == f"The webhook at http://127.0.0.1:{receiver.port} answered {status}."
    assert len(receiver.posted) == 1


def test_a_receiver_that_is_down_is_told_as_such() -> None:
    with receiving(Receiver()) as receiver:
        pass
    said = refusal(receiver.url)
    assert said == f"The webhook at http://127.0.0.1:{receiver.port} cannot be reached: Connection refused."


def test_a_receiver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.2)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert refusal(origin) == f"The webhook at {origin} cannot be reached: timed out."
    assert time.monotonic() - begun < 5


def test_a_receiver_that_hangs_up_is_told_as_such(receiver: Receiver) -> None:
    receiver.statuses = [0]
    assert refusal(receiver.url) == (
        f"The webhook at http://127.0.0.1:{receiver.port} cannot be reached: "
        "Server disconnected without sending a response."
    )


def test_a_url_that_cannot_be_one_fails_alike() -> None:
    assert refusal("http://127.0.0.1/T0KEN/\x7f") == (
        "The webhook at http://127.0.0.1 cannot be reached: "
        "Invalid non-printable ASCII character in URL, '\\x7f' at position 23."
    )


def test_no_message_shows_more_of_the_url_than_where_it_leads(receiver: Receiver) -> None:
    receiver.statuses = [500]
    secret_url = f"http://ann:opensesame@127.0.0.1:{receiver.port}/hooks/T0KEN?key=T0KEN"
    assert refusal(secret_url) == f"The webhook at http://127.0.0.1:{receiver.port} answered 500."
    (headers,) = (headers for _, headers in receiver.posted)
    assert headers["Authorization"] == "Basic YW5uOm9wZW5zZXNhbWU="
    assert repr(Webhook(secret_url, Secret("swordfish"))) == "Webhook(secret=Secret())"
