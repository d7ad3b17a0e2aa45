"""Where our own logs may be kept, and how they are opened there; a driver is loaded only where it is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tallybook.errors import UsageError
from tallybook.logs.own import OwnLogs
from tallybook.sources.urls import SourceUrl

SUPPORTED_LOGS = ("duckdb:///FILE", "postgresql://USER@HOST/DATABASE", "clickhouse://USER@HOST/DATABASE")


def find_logs(url: str) -> Callable[[], OwnLogs]:
    """What opens the logs that the URL names, and makes them where there are none.

    Raises `UsageError` for a URL that cannot hold our own logs; opening raises `LogsError`, and `LogsBusy` while
    another process holds a file.
    """
    for pattern, opened in _PLACES:
        if re.fullmatch(pattern, url, re.DOTALL):
            return lambda: opened(SourceUrl(url))
    scheme = url.partition(":")[0]
    raise UsageError(f"Our own logs cannot be kept in {scheme!r}.", f"Use one of: {', '.join(SUPPORTED_LOGS)}.")


def _open_duckdb(url: SourceUrl) -> OwnLogs:
    from tallybook.logs.store import LogStore  # noqa: PLC0415 - see above

    return LogStore.open(Path(url.given.removeprefix("duckdb:///")))


def _open_postgresql(url: SourceUrl) -> OwnLogs:
    from tallybook.logs.postgresql import PostgreSQLLogs  # noqa: PLC0415 - see above

    return PostgreSQLLogs.open(url)


def _open_clickhouse(url: SourceUrl) -> OwnLogs:
    try:
        from tallybook.logs.clickhouse import ClickHouseLogs  # noqa: PLC0415 - see above
    except ImportError as error:
        raise UsageError(
            f"The driver for {url.scheme}:// is not installed: there is no module {error.name or 'for it'}.",
            "Install it: pip install 'tallybook[clickhouse]'.",
        ) from None
    return ClickHouseLogs.open(url)


_PLACES: tuple[tuple[str, Callable[[SourceUrl], OwnLogs]], ...] = (
    (r"duckdb:///.+", _open_duckdb),
    (r"(postgresql|postgres)(\+\w+)?://.*", _open_postgresql),
    (r"clickhouse(\+\w+)?://.*", _open_clickhouse),
)
