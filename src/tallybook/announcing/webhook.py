"""A webhook that is told of closings: a destination of the heads' deliveries, with what was closed in its parcels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tallybook.anchoring.anchor import Parcel
from tallybook.announcing.message import FORMATS, Reporter
from tallybook.announcing.settings import WebhookSettings

if TYPE_CHECKING:
    from tallybook.anchoring.destination import Destination

ID_HEADER = "X-Tallybook-Id"


@dataclass(frozen=True)
class ClosingWebhook:
    """Posts one message for each entry, in order; a receiver knows by its id one that comes again after a crash."""

    settings: WebhookSettings
    reporter: Reporter

    @property
    def to(self) -> str:
        return self.settings.name

    @property
    def identity(self) -> str:
        return self.settings.url

    def deliver(self, parcel: Parcel, now: datetime) -> None:
        from tallybook.anchoring.webhook import SIGNATURE_HEADER, post, sign  # noqa: PLC0415 - httpx takes 0.1 s

        for anchor in parcel.anchors:
            message = self.reporter.message(anchor.seq)
            if message is None:
                continue
            body = FORMATS[self.settings.format](message)
            headers = {"Content-Type": "application/json", ID_HEADER: message["id"]}
            if self.settings.secret:
                headers[SIGNATURE_HEADER] = sign(body, self.settings.secret.expanded(), int(now.timestamp()))
            post(self.settings.url, body, headers)


@dataclass(frozen=True)
class Announcements:
    """The webhooks that are set, as deliveries take them."""

    webhooks: Sequence[WebhookSettings]
    reporter: Reporter

    def destinations(self) -> tuple[Destination, ...]:
        """Each webhook, delivered to for itself."""
        return tuple(ClosingWebhook(each, self.reporter) for each in self.webhooks)

    def scrub(self, text: str) -> str:
        """The text without the secrets of any."""
        for each in self.webhooks:
            text = each.scrub(text)
        return text
