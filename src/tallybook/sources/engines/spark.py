"""Spark: a session of this process or of a cluster; it groups where the logs are, and only groups travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from tallybook.measures import Totals
from tallybook.sources.engines.engine import COLUMNAR_DAYS, ReadsAnyWindow, connecting, engine_errors, first_known
from tallybook.sources.engines.statements import groupings_of, totals_of
from tallybook.sources.groupings import BucketTable, Groupings, SliceTable, totals_by_span
from tallybook.sources.relation import Edges, Relation

_KINDS = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), "int"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "float"),
    "STRING": "text",
    "BOOLEAN": "bool",
    "TIMESTAMP": "zoned",
    "TIMESTAMP_NTZ": "naive",
}
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""A Spark of this process is for this process alone."""

_ERRORS = (PySparkException, Py4JError, OSError)


@dataclass(frozen=True)
class Spark(ReadsAnyWindow):
    """Log records in the tables or files that a Spark reads.

    `spark://HOST:PORT` names a master, `sc://HOST:PORT` a Spark Connect server; without a host Spark runs in this
    process. The URL's path is the database, its parameters are settings of the session.
    """

    url: str
    title: str = "Spark"
    dialect: str = "pyspark"
    days_per_read: int = COLUMNAR_DAYS

    def groupings(self, relation: Relation, dimensions: tuple[str, ...], edges: Edges) -> Groupings:
        by_bucket, by_slice = groupings_of(relation, dimensions, edges, self.dialect)
        session = self._session()
        with engine_errors("Spark", *_ERRORS):
            buckets, slices = (session.sql(statement).toArrow() for statement in (by_bucket, by_slice))
        return Groupings(BucketTable(buckets), SliceTable(slices, dimensions))

    def totals(self, relation: Relation, edges: Edges) -> list[Totals]:
        return totals_by_span(self.rows(totals_of(relation, edges, self.dialect)), len(edges) - 1)

    def describe(self, origin: str) -> dict[str, str]:
        session = self._session()
        with engine_errors("Spark", *_ERRORS):
            fields = session.sql(f"SELECT * FROM {origin} AS t LIMIT 0").schema.fields
        return {field.name: first_known(_KINDS, field.dataType.simpleString()) for field in fields}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        session = self._session()
        with engine_errors("Spark", *_ERRORS):
            return [tuple(row.values()) for row in session.sql(sql).toArrow().to_pylist()]

    def _session(self) -> SparkSession:
        """The process's session, with our settings and those of the URL: starting one takes seconds, so it is kept."""
        parts = urlsplit(self.url)
        with connecting("Spark", *_ERRORS):
            builder = SparkSession.builder.appName("tallybook")
            if parts.scheme == "sc":
                builder = builder.remote(f"sc://{parts.netloc}")
            else:
                builder = builder.master(f"spark://{parts.netloc}" if parts.netloc else "local[*]")
            local = {} if parts.netloc else _LOCAL
            for name, value in {**_SETTINGS, **local, **dict(parse_qsl(parts.query))}.items():
                builder = builder.config(name, value)
            session = builder.getOrCreate()
            if database := unquote(parts.path.strip("/")):
                session.catalog.setCurrentDatabase(database)
        return session
