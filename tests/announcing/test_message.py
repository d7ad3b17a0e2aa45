from __future__ import annotations

import json

from tallybook.announcing.message import as_slack

CLOSED = {
    "event": "closed",
    "source": "<b>*&\u202e",
    "day": "2026-11-22",
    "requests": 2,
    "success": None,
    "failed": None,
    "cost_usd": None,
    "latency_p95_ms": None,
    "requests_before": 0,
}


def test_a_name_that_somebody_chose_is_text_and_nothing_more() -> None:
    assert json.loads(as_slack(CLOSED)) == {
        "text": "*&lt;b&gt;\N{ASTERISK OPERATOR}&amp;\ufffd* 2026-11-22 closed: 2 requests."
    }
