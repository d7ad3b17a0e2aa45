"""The report: a period as one file of HTML that needs nothing else, to mail or to keep."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from typing import Any

from tallybook.days import format_instant
from tallybook.page.asked import MEASURES
from tallybook.page.overview import Overview
from tallybook.page.render import render


def report(views: Mapping[str, Overview], made_at: datetime, title: str) -> str:
    """The report of the same overview in each of the measures."""
    style = (files("tallybook.page") / "assets" / "style.css").read_text()
    charts: dict[str, Any] = {MEASURES[name]: view for name, view in views.items()}
    view = next(iter(views.values()))
    return render("report.html", style=style, charts=charts, view=view, made_at=format_instant(made_at), title=title)
