"""DuckDB as we open it wherever we do."""

from __future__ import annotations

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""All that we use is built in; nothing is to be downloaded while running."""
