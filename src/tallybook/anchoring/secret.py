"""The secret that a webhook is signed with, and how it is kept out of messages."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tallybook.anchoring.destination import NotDelivered

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HIDDEN = "***"


@dataclass(frozen=True)
class Secret:
    """A secret as it was given: `${NAME}` in it stands for a variable of the environment, so that none is in a file."""

    given: str = field(repr=False)

    def expanded(self, environment: Mapping[str, str] = os.environ) -> str:
        """The secret itself; `NotDelivered` where a variable is missing or empty, as then anyone could sign."""

        def value(match: re.Match[str]) -> str:
            if not (found := environment.get(match[1])):
                raise NotDelivered(
                    f"The environment has no variable {match[1]}, which webhook_secret names.",
                    "Set it where tallybook runs, the server too.",
                )
            return found

        return _VARIABLE.sub(value, self.given)

    def scrub(self, text: str, environment: Mapping[str, str] = os.environ) -> str:
        """The text with the secret hidden; the names of its variables are none."""
        named = (environment.get(name) for name in _VARIABLE.findall(self.given))
        for secret in filter(None, (self.given, *named)):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _HIDDEN, text)
        return text


_USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")


def scrub_urls(text: str) -> str:
    """The text without what stands before the host in any URL of it."""
    return _USERINFO.sub(f"{_HIDDEN}@", text)
