"""Whatever Ibis speaks: the engine groups where the logs are, and only groups travel. Spark is one of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.backends.sql.dialects  # with it sqlglot knows `mssql`, `impala`, `polars` … by these names
import pyarrow as pa

from tallybook.errors import SourceDown, SourceFault, first_line
from tallybook.measures import Totals
from tallybook.sources.engines.engine import COLUMNAR_DAYS, ReadsAnyWindow
from tallybook.sources.engines.statements import groupings_of, totals_of
from tallybook.sources.groupings import (
    BUCKET_COLUMNS,
    BucketTable,
    Groupings,
    SliceTable,
    slice_columns,
    totals_by_span,
)
from tallybook.sources.relation import Edges, Relation


@dataclass(frozen=True)
class AnyIbis(ReadsAnyWindow):
    """Log records in an engine that an Ibis backend connects to by URL."""

    url: str
    title: str
    dialect: str
    days_per_read: int = COLUMNAR_DAYS

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        by_bucket, by_slice = groupings_of(relation, dimensions, edges, self.dialect)
        with self._session() as backend:
            buckets = backend.sql(by_bucket, schema=_schema(BUCKET_COLUMNS)).to_pyarrow()
            slices = backend.sql(by_slice, schema=_schema(slice_columns(dimensions))).to_pyarrow()
        return Groupings(BucketTable(buckets), SliceTable(slices, dimensions))

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        by_day = totals_of(relation, edges, self.dialect)
        with self._session() as backend:
            rows = backend.sql(by_day, schema=_schema(slice_columns(()))).to_pyarrow()
        return totals_by_span(zip(*(column.to_pylist() for column in rows.columns), strict=True), len(edges) - 1)

    def describe(self, origin: str) -> dict[str, str]:
        with self._session() as backend:
            schema = backend.sql(f"SELECT * FROM {origin} AS t").schema()
        return {name: _kind(kind) for name, kind in schema.items()}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session() as backend:
            return [tuple(row.values()) for row in backend.sql(sql).to_pyarrow().to_pylist()]

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """Backends have no exception in common, so that any of theirs is told as the engine's fault."""
        try:
            backend = ibis.connect(self.url)
        except ImportError:
            remedy = f"Install it: pip install 'ibis-framework[{self.title}]'."
            raise SourceDown(f"The driver for {self.title} is not installed.", remedy) from None
        except Exception as error:
            raise SourceDown(
                f"{self.title} cannot be reached: {first_line(error)}.",
                "Check its URL, and that its driver is installed.",
            ) from error
        try:
            yield backend
        except Exception as error:
            message = f"{self.title} could not read the logs: {first_line(error)}."
            raise SourceFault(message, "Check that they are there and whole.") from error
        finally:
            backend.disconnect()


def _schema(columns: dict[str, pa.DataType]) -> dict[str, str]:
    """The columns as the statements name them, which spares asking the engine for their types."""
    dimensions = {name for name, kind in columns.items() if kind == pa.string()}
    return {f"by_{name}" if name in dimensions else name: str(kind) for name, kind in columns.items()}


def _kind(kind: Any) -> str:
    """The kind of an Ibis type."""
    if kind.is_timestamp():
        return "zoned" if kind.timezone else "naive"
    tests = (("bool", kind.is_boolean), ("int", kind.is_integer), ("text", kind.is_string), ("json", kind.is_json))
    floats = kind.is_floating() or kind.is_decimal()
    return next((name for name, test in tests if test()), "float" if floats else "other")
