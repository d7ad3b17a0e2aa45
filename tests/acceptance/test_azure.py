"""Real LLM traffic, one hour of two services: from the files to the figures that are known of it."""

from __future__ import annotations

from pathlib import Path

from acceptance.running import Home

COLUMNS = (
    *("--map", "created_at=TIMESTAMP"),
    *("--map", "tokens_in=ContextTokens"),
    *("--map", "tokens_out=GeneratedTokens"),
)


def test_the_azure_traces_add_up_and_what_they_do_not_tell_stays_unknown(home: Home, azure: Path) -> None:
    code, conv = str(azure / "azure_code.csv"), str(azure / "azure_conv.csv")
    assert home.ask("import", code, *COLUMNS, "--set", "model_name=code") == {
        "files": [
            {
                "file": code,
                "records": 8_819,
                "accepted": 8_819,
                "duplicates": 0,
                "skipped": 0,
                "already": False,
                "unknown": ["status_code", "latency_ms"],
            }
        ]
    }
    assert "azure_conv.csv: 19,366 records\n" in home.do("import", conv, *COLUMNS, "--set", "model_name=conv")

    backfill = home.ask("backfill", "2023-11-15", "2023-11-17")
    assert [(result["day"], result["outcome"], result["requests"]) for result in backfill["results"]] == [
        ("2023-11-15", "skipped", None),
        ("2023-11-16", "closed", 28_185),
        ("2023-11-17", "zero", 0),
    ]

    totals = home.ask("stats", "2023-11-16")["totals"]
    assert (totals["requests"], totals["tokens_in"], totals["tokens_out"]) == (28_185, 40_421_844, 4_334_561)
    unknown = ("latency_avg_ms", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "cost_usd", "tokens_cached")
    assert [totals[name] for name in unknown] == [None] * 6
    assert (totals["latency_count"], totals["priced_requests"]) == (0, 0)

    by_model = home.ask("stats", "2023-11-01..2023-11-30", "--by", "model")["by"]
    assert [(row["value"], row["requests"], row["tokens_in"], row["tokens_out"]) for row in by_model["rows"]] == [
        ("conv", 19_366, 22_361_870, 4_088_665),
        ("code", 8_819, 18_059_974, 245_896),
    ]
    assert "\N{EN DASH} is unknown, not zero" in home.do("stats", "2023-11-16")


def test_importing_a_trace_again_adds_nothing_under_whatever_name(home: Home, azure: Path, tmp_path: Path) -> None:
    code = azure / "azure_code.csv"
    home.do("import", str(code), *COLUMNS, "--set", "model_name=code")
    renamed = tmp_path / "renamed.csv"
    renamed.write_bytes(code.read_bytes())
    again = home.ask("import", str(renamed), *COLUMNS, "--set", "model_name=code")["files"][0]
    assert (again["accepted"], again["duplicates"], again["already"]) == (0, 8_819, True)

    refused = home.run("import", str(code), *COLUMNS, "--set", "model_name=other").failed_plainly(1)
    assert "with other --map or --set" in refused
    assert home.ask("status")["sources"][0]["records_in_logs"] == 8_819
