"""Heads by webhook: a POST of JSON that is signed, so that the receiver knows from whom it came."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import msgspec

from tallybook.anchoring.anchor import Parcel
from tallybook.anchoring.destination import NotDelivered
from tallybook.anchoring.secret import Secret
from tallybook.errors import first_line

SIGNATURE_HEADER = "X-Tallybook-Signature"
TIMEOUT_S = 10


@dataclass(frozen=True)
class Webhook:
    """A URL that answers 2xx once it has kept the heads. What its messages show of the URL is scheme, host and port."""

    url: str = field(repr=False)
    secret: Secret
    to: ClassVar[str] = "webhook"

    @property
    def identity(self) -> str:
        return self.url

    def deliver(self, parcel: Parcel, now: datetime) -> None:
        body = msgspec.json.encode(parcel)
        signature = sign(body, self.secret.expanded(), int(now.timestamp()))
        post(self.url, body, {"Content-Type": "application/json", SIGNATURE_HEADER: signature})


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Returns when the receiver has taken the body; else raises `NotDelivered`, which shows no more than its origin."""
    try:
        with httpx.stream("POST", url, content=body, headers=headers, timeout=TIMEOUT_S) as answer:
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise NotDelivered(
            f"The webhook at {_origin(url)} cannot be reached: {_reason(error)}.",
            "See that it runs; heads are sent when it does.",
        ) from error
    if not httpx.codes.is_success(status):
        raise NotDelivered(
            f"The webhook at {_origin(url)} answered {status}.",
            "It must answer 2xx once it has kept the heads; redirects are not followed.",
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def sign(body: bytes, secret: str, at_s: int) -> str:
    """The header's value: `t=` the Unix time in seconds, `v1=` the HMAC-SHA256 of `t.body` in hex."""
    digest = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"


def _reason(error: Exception) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", first_line(error)) or type(error).__name__
