"""The log table of new-api, made in SQLite as the gateway makes it, and the original's loop over its days."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bench.engines import ingest_into_sqlite
from bench.traffic import Traffic
from tallybook.days import ONE_DAY, epoch_us, midnight

COLUMNS = """
id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER, created_at INTEGER, type INTEGER, content TEXT,
username TEXT DEFAULT '', token_name TEXT DEFAULT '', model_name TEXT DEFAULT '', quota INTEGER DEFAULT 0,
prompt_tokens INTEGER DEFAULT 0, completion_tokens INTEGER DEFAULT 0, use_time INTEGER DEFAULT 0, is_stream NUMERIC,
channel_id INTEGER, channel_name TEXT, token_id INTEGER DEFAULT 0, "group" TEXT, ip TEXT DEFAULT '',
request_id VARCHAR(64) DEFAULT '', upstream_request_id VARCHAR(128) DEFAULT '', other TEXT
"""

INDEXES = {
    "idx_created_at_id": "created_at, id",
    "idx_created_at_type": "created_at, type",
    "idx_user_id_id": "user_id, id",
    "index_username_model_name": "model_name, username",
    "idx_logs_request_id": "request_id",
    "idx_logs_upstream_request_id": "upstream_request_id",
    **{
        f"idx_logs_{name}": f'"{name}"'
        for name in ("user_id", "username", "token_name", "model_name", "channel_id", "token_id", "group", "ip")
    },
}

_ROWS = """
SELECT row_number() OVER (ORDER BY created_at) AS id, key % 20 + 1 AS user_id,
    epoch_us(created_at) // 1000000 AS created_at, 2 AS type,
    'model ratio 1.25, completion ratio 4.00, group ratio 1.00' AS content,
    'user-' || key % 20 AS username, api_key AS token_name, model_name, cost // 2000 AS quota,
    coalesce(tokens_in, 0) AS prompt_tokens, coalesce(tokens_out, 0) AS completion_tokens,
    coalesce(latency_ms, 0) // 1000 AS use_time, (ttft_ms IS NOT NULL)::BIGINT AS is_stream,
    channel AS channel_id, NULL::VARCHAR AS channel_name, key + 1 AS token_id, team AS "group", '' AS ip,
    strftime(created_at, '%Y%m%d%H%M%S%f') || substr(md5(created_at::VARCHAR), 1, 8) AS request_id,
    '' AS upstream_request_id,
    '{{"admin_info":{{"use_channel":["' || channel || '"]}},"billing_source":"wallet","cache_ratio":0.25'
    || ',"cache_tokens":' || coalesce(tokens_cached, 0) || ',"completion_ratio":4,"frt":' || coalesce(ttft_ms, -1000)
    || ',"group_ratio":1,"model_price":-1,"model_ratio":1.25,"request_path":"/v1/chat/completions"'
    || ',"user_group_ratio":-1}}' AS other
FROM (
    SELECT *, coalesce(cost_nanousd, 0) AS cost, split_part(api_key, '-', 2)::BIGINT AS key,
        split_part(provider, '-', 2)::BIGINT + 1 AS channel
    FROM ({records})
)
ORDER BY created_at
"""
"""A row for each record: the gateway logs failed requests only when it is told to, so that each is one that was used.

A request that is not streamed has no first token, and the gateway writes -1000 for it.
"""

TOTALS = """
SELECT COUNT(*), SUM(CASE WHEN type = 2 THEN 1 ELSE 0 END), SUM(CASE WHEN type = 5 THEN 1 ELSE 0 END),
    COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0), COALESCE(SUM(use_time), 0)
FROM logs WHERE created_at >= ? AND created_at < ? AND type IN (2, 5)
"""
TOP_MODELS = """
SELECT model_name, COUNT(*) AS requests, COALESCE(SUM(prompt_tokens + completion_tokens), 0)
FROM logs WHERE created_at >= ? AND created_at < ? AND type IN (2, 5)
GROUP BY model_name ORDER BY requests DESC LIMIT 10
"""


def fill_log(path: Path, traffic: Traffic) -> None:
    """Makes the gateway's database with a row for each record of the traffic."""
    ingest_into_sqlite(path, "logs", COLUMNS, _ROWS.format(records=traffic.as_select()))
    with sqlite3.connect(path) as connection:
        for name, columns in INDEXES.items():
            connection.execute(f"CREATE INDEX {name} ON logs ({columns})")


def loop_over_log(connection: sqlite3.Connection, days: Sequence[date]) -> int:
    """The original's two queries on each of the days, without what it writes; answers the number of records."""
    records = 0
    for day in days:
        window = [epoch_us(midnight(each)) // 1_000_000 for each in (day, day + ONE_DAY)]
        records += connection.execute(TOTALS, window).fetchall()[0][0]
        connection.execute(TOP_MODELS, window).fetchall()
    return records
