"""A sender under test reaches nothing beyond this machine: what it tries is refused, and told."""

from __future__ import annotations

import ipaddress
import sys

tried: list[str] = []
"""What was refused."""


def stay_on_loopback() -> None:
    """From now on this process can look up and connect to nothing but loopback."""
    sys.addaudithook(_refuse_others)


def _refuse_others(event: str, arguments: tuple[object, ...]) -> None:
    host = {"socket.getaddrinfo": _looked_up, "socket.connect": _connected}.get(event, _nothing)(arguments)
    if host is not None and not _is_loopback(host):
        tried.append(host)
        raise PermissionError(f"{host} is beyond loopback")


def _looked_up(arguments: tuple[object, ...]) -> str | None:
    return arguments[0] if isinstance(arguments[0], str) else None


def _connected(arguments: tuple[object, ...]) -> str | None:
    match arguments[1]:
        case (str(host), *_):
            return host
    return None


def _nothing(arguments: tuple[object, ...]) -> None:
    return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
