"""Engines that only Ibis speaks to: the road is the same, tried here on one that is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from databases import Database, on, sqlite_database
from engines.test_same_bytes import DAYS, EXPECTED, fill
from stories import relation
from tallybook.digest import digest_day
from tallybook.errors import SourceDown, SourceFault
from tallybook.source import Slicing
from tallybook.sources.engines.anything import AnyIbis
from tallybook.sources.matching import Wishes, match
from tallybook.sources.presets import PRESETS
from tallybook.sources.table import TableSource

pytestmark = [
    pytest.mark.engines,  # Ibis hands results over by pandas, which comes with the other engines' drivers
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option is deprecated"),
]


@pytest.mark.parametrize("kind", ["epoch_s", "epoch_ms"])
def test_an_engine_that_ibis_connects_to_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    with sqlite_database(tmp_path) as database:
        fill(database, kind, "UTC")
        engine = AnyIbis(database.url, "SQLite by Ibis", "sqlite")
        found = match(PRESETS["log_records"], Wishes(), "other", "log_records", engine.describe("log_records"), kind)
        source = TableSource("gateway", found.relation, engine)
        assert [digest_day(content) for content in source.contents(DAYS, Slicing())] == EXPECTED
        assert str(source.first_day()) == "2026-11-19"


def test_one_that_cannot_be_reached_is_down(tmp_path: Path) -> None:
    engine = AnyIbis(f"sqlite://{tmp_path}/nowhere/at.all", "SQLite by Ibis", "sqlite")
    with pytest.raises(SourceDown, match="SQLite by Ibis cannot be reached: "):
        engine.rows("SELECT 1")


@on("sqlite")
def test_a_statement_that_fails_is_a_fault(database: Database) -> None:
    source = TableSource("gateway", relation(), AnyIbis(database.url, "SQLite by Ibis", "sqlite"))
    with pytest.raises(SourceFault, match="SQLite by Ibis could not read the logs: "):
        list(source.contents(DAYS, Slicing()))
