"""Where settings may be given, and which one counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from acceptance.running import Home, run, serving


def book_in(folder: Path) -> bool:
    return (folder / "book.sqlite").exists()


def test_home_may_stand_before_or_after_the_command_word_and_the_later_counts(tmp_path: Path) -> None:
    before, after, first, second = (str(tmp_path / name) for name in ("before", "after", "first", "second"))
    assert run("--home", before, "status").code == 0
    assert run("status", "--home", after).code == 0
    assert run("--home", first, "status", "--home", second).code == 0
    assert [book_in(Path(home)) for home in (before, after, first, second)] == [True, True, False, True]


def test_without_any_setting_the_home_is_tallybook_data_where_one_stands(tmp_path: Path) -> None:
    assert run("status", cwd=tmp_path).code == 0
    assert book_in(tmp_path / "tallybook-data")


def test_the_environment_names_the_home_and_a_flag_overrules_it(tmp_path: Path) -> None:
    env = {"TALLYBOOK_HOME": str(tmp_path / "env")}
    assert run("status", env=env, cwd=tmp_path).code == 0
    assert run("status", "--home", str(tmp_path / "flag"), env=env).code == 0
    assert [book_in(tmp_path / name) for name in ("env", "flag", "tallybook-data")] == [True, True, False]


@pytest.mark.parametrize(
    ("flag", "environment", "file", "chosen"),
    [
        (None, None, None, "home/book.sqlite"),
        (None, None, "file.db", "file.db"),
        (None, "env.db", "file.db", "env.db"),
        ("flag.db", "env.db", "file.db", "flag.db"),
    ],
)
def test_a_flag_counts_before_the_environment_before_the_file_before_the_default(
    tmp_path: Path, flag: str | None, environment: str | None, file: str | None, chosen: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if file:
        (home / "tallybook.toml").write_text(f'book = "sqlite:///{tmp_path}/{file}"\n')
    words = ["--book", f"sqlite:///{tmp_path}/{flag}"] if flag else []
    env = {"TALLYBOOK_BOOK": f"sqlite:///{tmp_path}/{environment}"} if environment else {}
    assert run("--home", str(home), "status", *words, env=env).code == 0
    books = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.suffix in (".sqlite", ".db")}
    assert books == {chosen}


def test_the_logs_may_lie_elsewhere_too(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.run("status", "--logs", f"duckdb:///{tmp_path}/elsewhere/logs.duckdb").code == 0
    assert (tmp_path / "elsewhere" / "logs.duckdb").exists()
    assert not (home.path / "logs.duckdb").exists()


def test_host_and_port_of_the_server_come_from_the_file_too_unless_a_flag_says_otherwise(home: Home) -> None:
    home.path.mkdir()
    (home.path / "tallybook.toml").write_text('host = "localhost"\nport = 1\n')
    with serving(home) as server:
        assert server.url.startswith("http://localhost:")
    with serving(home, "--host", "127.0.0.1") as server:
        assert server.url.startswith("http://127.0.0.1:")
    with serving(home, env={"TALLYBOOK_HOST": "127.0.0.2"}) as server:
        assert server.url.startswith("http://127.0.0.2:")


def test_dimensions_are_a_setting(home: Home) -> None:
    home.path.mkdir()
    (home.path / "tallybook.toml").write_text('dimensions = ["user", "model"]\n')
    file = home.file(
        "a.csv", "created_at,model_name,status_code,user,team", "2026-03-02T10:00:00Z,gpt-5,200,ann,search"
    )
    home.do("import", file)
    home.do("close", "2026-03-02")
    rows = {
        dimension: [row["value"] for row in home.ask("stats", "2026-03-02", "--by", dimension)["by"]["rows"]]
        for dimension in ("user", "model", "team")
    }
    assert rows == {"user": ["ann"], "model": ["gpt-5"], "team": [None]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            'port = "x"',
            "port in tallybook.toml is 'x', but must be a whole number from 0 to 65535. Mend it and try again.",
        ),
        (
            "port = true",
            "port in tallybook.toml is True, but must be a whole number from 0 to 65535. Mend it and try again.",
        ),
        (
            "prot = 1",
            "There is no setting 'prot' in {file}. Use one of: book, logs, host, port, dimensions, "
            "max_slices_per_day, adjust_after_days, keep_logs_days, prune_archive, sources, prices, anchors, webhooks.",
        ),
        (
            'dimensions = ["colour"]',
            "There is no dimension 'colour'. Use one of: model, provider, team, api_key, user, operation, error_type.",
        ),
        (
            '[prices."my-model"]\ninput_usd_per_million = "-1"\noutput_usd_per_million = 2',
            "input_usd_per_million in [prices.\"my-model\"] of tallybook.toml is '-1', but must be a number from 0 to "
            '1,000,000. Write US dollars for a million tokens, as in "0.25".',
        ),
        (
            '[prices."my-model"]\ninput = 1',
            "There is no setting 'input' in [prices.\"my-model\"] of tallybook.toml. Use one of: input_usd_per_million, "
            "cached_usd_per_million, output_usd_per_million, provider.",
        ),
        ("port = ", "{file} cannot be read: Invalid value (at line 1, column 8). Mend it, or move it away."),
    ],
)
def test_a_fault_in_the_file_is_named(home: Home, content: str, sentence: str) -> None:
    home.path.mkdir()
    file = home.path / "tallybook.toml"
    file.write_text(f"{content}\n")
    assert home.run("status").failed_plainly(2) == sentence.format(file=file)
    assert [path.name for path in home.path.iterdir()] == ["tallybook.toml"]


def test_a_fault_in_the_environment_is_named(home: Home) -> None:
    refused = home.run("serve", env={"TALLYBOOK_PORT": "http"}).failed_plainly(2)
    assert refused == "TALLYBOOK_PORT is 'http', but must be a whole number from 0 to 65535. Mend it and try again."


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - it must be refused
def test_serving_to_the_network_without_any_token_is_refused(home: Home, host: str) -> None:
    refused = home.run("serve", "--host", host, "--port", "0").failed_plainly(2)
    assert refused.startswith(f"Serving on {host} needs a token, and none is in force in this book.")
    assert "`tallybook token create --role ingest`" in refused
    assert "behind a reverse proxy" in refused
