"""What a newcomer sees at `/`: how to send records to this server, and where to read."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, get
from litestar.di import NamedDependency

from tallybook.bookkeeper import Bookkeeper

WELCOME = """\
tallybook keeps the daily books of LLM API traffic.

{standing}

Send records
  curl -s {url}v1/log-records -d '[{{"created_at": "{now}", "model_name": "gpt-5-mini", "status_code": 200,
       "tokens_in": 812, "tokens_out": 96, "latency_ms": 1430}}]'

Read
  {url}v1/stats?period=today
  {url}v1/stats?period=last30d&by=model
  {url}v1/daily-stats
  {url}v1/status
  {url}openapi.json      every call
"""


@get("/", media_type=MediaType.TEXT, sync_to_thread=True, include_in_schema=False)
def get_welcome(request: Request[Any, Any, Any], keeper: NamedDependency[Bookkeeper]) -> str:
    """How this book stands, and what can be asked of it."""
    status = keeper.status()
    lines = [_standing(source) for source in status["sources"]] or ["No records yet."]
    now = keeper.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return WELCOME.format(standing="\n".join(lines), url=request.base_url, now=now)


def _standing(source: dict[str, Any]) -> str:
    records, closed = source["records_in_logs"], source["closed_through"]
    told = (
        f"since {source['first_day']}" if records is None else f"{records:,} records since {source['first_day']}",
        f"closed through {closed}" if closed else "no day closed yet",
        _days(source["missing"], "missing"),
        _days(source["drift"], "drifted since closing"),
        _days(source["source_gone"], "gone from the source"),
        f"{source['adjustments']} adjustments" if source["adjustments"] else "",
        "synthetic demo traffic" if source["synthetic"] else "",
    )
    return f"{source['source']}: {', '.join(filter(None, told))}"


def _days(days: list[Any] | None, what: str) -> str:
    return f"{len(days)} {'day' if len(days) == 1 else 'days'} {what}" if days else ""
