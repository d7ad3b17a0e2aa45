"""The report: a period as one file of HTML that needs nothing else, to mail or to keep."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from tallybook.days import format_instant
from tallybook.page.asked import MEASURES
from tallybook.page.overview import Overview
from tallybook.page.render import render

STILL = ".slots a { pointer-events: none; } table a { pointer-events: none; } .card h2 { margin-bottom: 6px; }\n"
"""Where no script runs and nothing leads anywhere."""


def report(views: Mapping[str, Overview], made_at: datetime, title: str) -> str:
    """The report of the same overview in each of the measures."""
    style = (files("tallybook.page") / "assets" / "style.css").read_text(encoding="utf-8") + STILL
    charts: dict[str, Any] = {MEASURES[name]: view for name, view in views.items()}
    view = next(iter(views.values()))
    told = {"charts": charts, "view": view, "made_at": format_instant(made_at), "title": title}
    return render("report.html", style=style, style_hash=_hash(style), **told)


def _hash(style: str) -> str:
    """What a policy names to let in this text and no other."""
    return b64encode(hashlib.sha256(style.encode()).digest()).decode()
