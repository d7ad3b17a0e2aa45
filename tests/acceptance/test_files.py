"""Files in every form that can be imported, and that no line of one is ever left out in silence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acceptance.running import Home

DAY = "2026-03-02"
LINES = (
    "created_at,model_name,status_code,tokens_in,request_id",
    "2026-03-02T10:00:00Z,gpt-5,200,10,a",
    "2026-03-02 23:59:59.999999,claude,500,,b",
)
JSON_LINES = (
    '{"created_at": "2026-03-02T10:00:00Z", "model_name": "gpt-5", "status_code": 200, "tokens_in": 10, "request_id": "a"}',
    '{"created_at": 1772495999999, "model_name": "claude", "status_code": 500, "request_id": "b"}',
)


def csv(path: Path) -> None:
    path.write_text("\n".join(LINES))


def csv_gz(path: Path) -> None:
    path.write_bytes(gzip.compress("\r\n".join(LINES).encode()))


def jsonl(path: Path) -> None:
    path.write_text("\n".join(JSON_LINES))


def jsonl_gz(path: Path) -> None:
    path.write_bytes(gzip.compress("\n".join(JSON_LINES).encode()))


def parquet(path: Path) -> None:
    names, *rows = (line.split(",") for line in LINES)
    columns = zip(*([cell or None for cell in row] for row in rows), strict=True)
    pq.write_table(pa.table(dict(zip(names, map(pa.array, columns), strict=True))), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [("r.csv", csv), ("r.csv.gz", csv_gz), ("r.jsonl", jsonl), ("r.ndjson.gz", jsonl_gz), ("r.parquet", parquet)],
    ids=["csv", "csv.gz", "jsonl", "ndjson.gz", "parquet"],
)
def test_a_file_of_every_form_brings_the_same_records(home: Home, name: str, write: object) -> None:
    file = home.path.parent / name
    assert callable(write)
    write(file)
    answer = home.ask("import", str(file))["files"][0]
    assert (answer["records"], answer["accepted"], answer["unknown"]) == (
        2,
        2,
        [] if "json" in name else ["tokens_out", "latency_ms"],
    )
    assert home.ask("close", DAY)["results"][0]["requests"] == 2
    totals = home.ask("stats", DAY)["totals"]
    assert [totals[measure] for measure in ("success", "failed", "tokens_in", "tokens_in_count")] == [1, 1, 10, 1]


def test_a_value_that_looks_like_a_comment_or_a_quotation_is_a_value(home: Home) -> None:
    lines = ("request_id,created_at,model_name,team", "#1,2026-03-02T10:00:00Z,gpt#5,'search'", "#2,2026-03-02,it's,x")
    assert home.ask("import", home.file("signs.csv", *lines))["files"][0]["accepted"] == 2
    home.do("close", DAY)
    by_model = home.ask("stats", DAY, "--by", "model")["by"]["rows"]
    assert [row["value"] for row in by_model] == ["gpt#5", "it's"]
    by_team = home.ask("stats", DAY, "--by", "team")["by"]["rows"]
    assert [row["value"] for row in by_team] == ["'search'", "x"]


def test_two_files_in_one_are_refused_rather_than_the_first_dropped(home: Home) -> None:
    both = home.file(
        "both.csv",
        "created_at,model_name",
        "2026-03-02T10:00:00Z,gpt-5",
        "created_at,model_name,status_code",
        "2026-03-02T10:00:00Z,gpt-5,200",
    )
    home.run("import", both).failed_plainly(1)
    assert home.ask("status")["sources"] == []


def test_a_file_of_which_bad_records_are_left_out_says_how_many(home: Home) -> None:
    file = home.file("some.csv", "created_at,model_name", "never,gpt-5", "2026-03-02T10:00:00Z,gpt-5", "soon,gpt-5")
    answer = home.ask("import", file, "--skip-invalid")["files"][0]
    assert (answer["records"], answer["accepted"], answer["skipped"]) == (3, 1, 2)


def test_json_lines_may_be_mapped_by_path(home: Home) -> None:
    file = home.file(
        "deep.jsonl", '{"at": "2026-03-02T10:00:00Z", "request": {"model": "gpt-5"}, "usage": {"prompt_tokens": 12}}'
    )
    columns = ("created_at=at", "model_name=request.model", "tokens_in=usage.prompt_tokens")
    home.do("import", file, *(word for column in columns for word in ("--map", column)))
    home.do("close", DAY)
    assert home.ask("stats", DAY)["top_models"] == [{"model": "gpt-5", "requests": 1, "tokens": 12}]
