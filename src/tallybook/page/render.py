"""Templates and assets: the only place that knows that pages are made by Jinja, which escapes whatever is put in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tallybook import __version__

_ASSETS = {
    "style": ("style.css", "text/css"),
    "script": ("page.js", "text/javascript"),
    "theme": ("theme.js", "text/javascript"),
    "icon": ("icon.svg", "image/svg+xml"),
}


@dataclass(frozen=True)
class Asset:
    """A file that pages refer to; `name` holds a part of its hash, so that a browser may keep it for ever."""

    name: str
    media_type: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """The assets, by what they are for."""
    return {use: _asset(file, media_type) for use, (file, media_type) in _ASSETS.items()}


def _asset(file: str, media_type: str) -> Asset:
    content = (files("tallybook.page") / "assets" / file).read_bytes()
    stem, _, suffix = file.rpartition(".")
    return Asset(f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}", media_type, content)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tallybook.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    environment.globals["assets"] = {use: asset.name for use, asset in assets().items()}
    return environment


def render(template: str, **shown: Any) -> str:
    """The template with what is to be shown in it."""
    return _environment().get_template(template).render(**shown)
