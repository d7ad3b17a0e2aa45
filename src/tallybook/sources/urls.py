"""The URL of a source: the secrets in it, and the path of a file that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tallybook.errors import SourceDown, UsageError

_OF_FILES = ("sqlite", "duckdb", "parquet", "csv", "jsonl", "json", "file")
_HIDDEN = "***"
_SECRET_PARAMETERS = re.compile(r"password|passwd|pwd|secret|token|credential|private_key|api_?key", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class SourceUrl:
    """A URL as it was given: `${NAME}` in it stands for a variable of the environment, so that no secret is stored."""

    given: str

    @property
    def scheme(self) -> str:
        """What stands before `://`; of a plain path, what its suffix says."""
        scheme, separator, _ = self.given.partition("://")
        if separator:
            return scheme.lower()
        return _SCHEME_OF_SUFFIX.get(suffix_of(self.given), "")

    def shown(self) -> str:
        """The URL as it may be shown and logged: without passwords."""
        return _without_secrets(self.given)

    def expanded(self, environment: Mapping[str, str] = os.environ) -> str:
        """The URL with its variables filled in; a value within a URL is quoted, one that is all of it is not."""
        as_it_is = _VARIABLE.fullmatch(self.given) or "://" not in self.given

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name not in environment:
                raise SourceDown(
                    f"The environment has no variable {name}, which the source's URL names.",
                    "Set it where tallybook runs, the server too.",
                )
            return environment[name] if as_it_is else quote(environment[name], safe="")

        return _VARIABLE.sub(value, self.given)

    def scrub(self, text: str) -> str:
        """The text with every secret of the URL hidden, however a driver wrote it."""
        for url in self._spellings():
            text = text.replace(url, _without_secrets(url))
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _HIDDEN, text)
        return text

    def _spellings(self) -> tuple[str, ...]:
        """The URL as given, and as it is with its variables filled in."""
        try:
            return self.given, self.expanded()
        except SourceDown:
            return (self.given,)

    def _secrets(self) -> set[str]:
        """The secrets, as they stand in the URL and as they are; what it shows anyway, as a user's name, is none."""
        found = {secret for url in self._spellings() for secret in _secrets_of(url) if not _VARIABLE.fullmatch(secret)}
        shown = {word for url in self._spellings() for word in re.findall(r"\w+", _without_secrets(url))}
        return (found | {unquote(secret) for secret in found}) - shown


_PASSWORD = re.compile(r"(?<=://)(?P<user>[^:/?#\[\]]*):(?P<password>[^?]+|.+)@", re.DOTALL)
"""Up to the last @: a password with signs that ought to be quoted is a password all the same."""

_PARAMETER = re.compile(r"(?<=[?&])(?P<name>[^=&]*)=(?P<value>[^&]+)")
_SETTINGS = re.compile(r"(^|\s)\w*(host|password|passwd|pwd|user|dbname)\s*=", re.IGNORECASE)
_SETTING = re.compile(r"(?P<name>\w+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|\S+)")
"""libpq's own way to write a connection: `host=db password=secret`."""


def _parameters(url: str) -> re.Pattern[str]:
    return _PARAMETER if "://" in url else _SETTING


def _secrets_of(url: str) -> set[str]:
    parameters = _parameters(url).finditer(url)
    values = {match["value"].strip("'") for match in parameters if _SECRET_PARAMETERS.search(match["name"])}
    return values | {match["password"] for match in _PASSWORD.finditer(url)}


def _without_secrets(url: str) -> str:
    def hide(match: re.Match[str]) -> str:
        keep = _VARIABLE.fullmatch(match["value"]) or not _SECRET_PARAMETERS.search(match["name"])
        return match[0] if keep else f"{match['name']}={_HIDDEN}"

    def hide_password(match: re.Match[str]) -> str:
        return match[0] if _VARIABLE.fullmatch(match["password"]) else f"{match['user']}:{_HIDDEN}@"

    return _PASSWORD.sub(hide_password, _parameters(url).sub(hide, url))


def names_files(scheme: str) -> bool:
    """Whether URLs of the scheme name files."""
    return scheme in _OF_FILES


def absolute(url: str, folder: Path = Path()) -> str:
    """The URL, that of a file relative to the folder made independent of it.

    Raises `UsageError` for settings of a connection that are no URL.
    """
    check_url(url)
    scheme = SourceUrl(url).scheme
    if not names_files(scheme) or _VARIABLE.search(url):
        return url
    return f"{scheme}:///{quote(str(path_of(url, folder).absolute()), safe='/*[]{},=')}"


def check_url(url: str) -> None:
    """Raises `UsageError` for settings of a connection, as libpq takes them: a password in them is told to nobody."""
    if "://" not in url and _SETTINGS.search(url):
        raise UsageError(
            "Settings of a connection are no URL.",
            "Write them as one: postgresql://USER:${PASSWORD}@HOST:PORT/DATABASE.",
        )


def path_of(url: str, folder: Path = Path()) -> Path:
    """`scheme:///relative` and `scheme:////absolute`, as SQLAlchemy has it; three slashes are also taken for an
    absolute path where there is no such relative one. What a gateway's URL of a SQLite file has after `?` is its own.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.lower() in ("sqlite", "duckdb"):
        rest = rest.partition("?")[0]
    path = Path(unquote(rest) if separator else url)
    if not separator or not rest.startswith("/"):
        return folder / path
    relative = folder / unquote(rest).removeprefix("/")
    return relative if unquote(rest).startswith("//") or _exists(relative) or not _exists(path) else path


def _exists(path: Path) -> bool:
    """Whether the path is there; of a pattern, the folder before its first wildcard."""
    fixed = Path(re.split(r"[^/]*[*?\[{]", str(path))[0])
    return fixed.exists() if str(fixed) != str(path) else path.exists()


_SUFFIXES = {".ndjson": ".jsonl", ".json": ".jsonl"}
_SCHEME_OF_SUFFIX = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "sqlite"),
    **dict.fromkeys((".duckdb", ".ddb"), "duckdb"),
}


def suffix_of(path: str) -> str:
    """The kind of file that a path or pattern names, packed or not: `.parquet`, `.csv`, `.jsonl` …"""
    suffix = Path(path.removesuffix(".gz").removesuffix(".zst")).suffix.lower()
    return _SUFFIXES.get(suffix, suffix)
