"""The URL of a source: what of it may be shown, what stands in the environment, and which file it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallybook.errors import SourceDown, UsageError
from tallybook.sources.places import open_place
from tallybook.sources.urls import SourceUrl, absolute, path_of


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://reader:secret@db:5432/litellm", "postgresql://reader:***@db:5432/litellm"),
        ("postgresql://reader:p%40ss%3Aw%2Ford@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:with:colon@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:with@sign@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:with/slash@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:with?mark@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:with#hash@db/litellm", "postgresql://reader:***@db/litellm"),
        ("postgresql://reader:secret@[::1/broken", "postgresql://reader:***@[::1/broken"),
        (
            "postgresql://reader:secret@db/litellm?email=ann@example.org",
            "postgresql://reader:***@db/litellm?email=ann@example.org",
        ),
        ("postgresql://postgres:postgres@db/postgres", "postgresql://postgres:***@db/postgres"),
        ("postgresql://reader:@db/litellm", "postgresql://reader:@db/litellm"),
        ("postgresql://reader@db/litellm", "postgresql://reader@db/litellm"),
        ("postgresql://reader:${PASSWORD}@db/litellm", "postgresql://reader:${PASSWORD}@db/litellm"),
        ("postgresql://reader:half${PASSWORD}@db/litellm", "postgresql://reader:***@db/litellm"),
        ("${LITELLM_URL}", "${LITELLM_URL}"),
        (
            "clickhouse://db/logs?user=ann&password=secret&secure=1",
            "clickhouse://db/logs?user=ann&password=***&secure=1",
        ),
        ("clickhouse://db/logs?access_token=secret", "clickhouse://db/logs?access_token=***"),
        ("clickhouse://db/logs?password=${PASSWORD}", "clickhouse://db/logs?password=${PASSWORD}"),
        ("sqlite:////var/lib/one-api.db", "sqlite:////var/lib/one-api.db"),
        ("sqlite:////var/lib/a:b@c.db", "sqlite:////var/lib/a:b@c.db"),
        ("parquet:///data/*.parquet", "parquet:///data/*.parquet"),
    ],
)
def test_a_url_is_shown_without_its_passwords(given: str, shown: str) -> None:
    assert SourceUrl(given).shown() == shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot connect with p@ss:w/ord", "cannot connect with ***"),
        ("cannot connect with p%40ss%3Aw%2Ford", "cannot connect with ***"),
        (
            "no answer from postgresql://reader:p%40ss%3Aw%2Ford@db/litellm",
            "no answer from postgresql://reader:***@db/litellm",
        ),
        ('authentication of "reader" on db failed', 'authentication of "reader" on db failed'),
    ],
)
def test_a_driver_s_words_lose_the_password_however_it_writes_it(text: str, told: str) -> None:
    assert SourceUrl("postgresql://reader:p%40ss%3Aw%2Ford@db/litellm").scrub(text) == told


def test_a_password_that_comes_from_the_environment_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("READERS_PASSWORD", "p@ss")
    monkeypatch.setenv("WHOLE_URL", "postgresql://reader:hunter2@db/litellm")
    url = SourceUrl("postgresql://reader:${READERS_PASSWORD}@db/litellm")
    assert url.scrub("wrong: p@ss, p%40ss") == "wrong: ***, ***"
    whole = SourceUrl("${WHOLE_URL}")
    assert (
        whole.scrub("hunter2 in postgresql://reader:hunter2@db/litellm") == "*** in postgresql://reader:***@db/litellm"
    )


def test_a_password_that_is_a_common_word_does_not_garble_what_is_said() -> None:
    url = SourceUrl("postgresql://postgres:postgres@db/postgres")
    assert url.scrub('PostgreSQL has no role "postgres".') == 'PostgreSQL has no role "postgres".'
    assert url.scrub("postgresql://postgres:postgres@db/postgres") == "postgresql://postgres:***@db/postgres"


def test_variables_are_filled_in_and_quoted_where_they_are_a_part_of_the_url() -> None:
    environment = {
        "USER_NAME": "ann",
        "PASSWORD": "p@ss/w:rd%",
        "URL": "postgresql://ann:p%40ss@db/x",
        "DIR": "/data/a b",
    }
    assert SourceUrl("postgresql://${USER_NAME}:${PASSWORD}@db/x").expanded(environment) == (
        "postgresql://ann:p%40ss%2Fw%3Ard%25@db/x"
    )
    assert SourceUrl("${URL}").expanded(environment) == "postgresql://ann:p%40ss@db/x"
    assert SourceUrl("${DIR}/*.parquet").expanded(environment) == "/data/a b/*.parquet"
    assert SourceUrl("sqlite:///$HOME/{x}/$PASSWORD.db").expanded(environment) == "sqlite:///$HOME/{x}/$PASSWORD.db"


def test_a_variable_that_is_not_there_is_named() -> None:
    with pytest.raises(SourceDown) as caught:
        SourceUrl("postgresql://ann:${NOBODYS_PASSWORD}@db/x").expanded({})
    assert caught.value.message == "The environment has no variable NOBODYS_PASSWORD, which the source's URL names."
    assert caught.value.remedy == "Set it where tallybook runs, the server too."


@pytest.mark.parametrize(
    ("given", "scheme"),
    [
        ("postgresql://db/x", "postgresql"),
        ("SQLite:///x.db", "sqlite"),
        ("logs/*.parquet", "parquet"),
        ("logs.CSV", "csv"),
        ("logs.jsonl.gz", "jsonl"),
        ("logs.ndjson.zst", "jsonl"),
        ("logs.json", "jsonl"),
        ("logs.txt", ""),
        ("", ""),
    ],
)
def test_a_plain_path_has_the_scheme_of_its_suffix(given: str, scheme: str) -> None:
    assert SourceUrl(given).scheme == scheme


def test_the_url_of_a_file_does_not_depend_on_the_folder_in_which_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a b.db").touch()
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///logs/a b.db") == f"sqlite:///{tmp_path}/logs/a%20b.db"
    assert absolute(f"sqlite:///{tmp_path}/logs/a b.db") == f"sqlite:///{tmp_path}/logs/a%20b.db"
    assert absolute("logs/*.parquet") == f"parquet:///{tmp_path}/logs/*.parquet"
    assert absolute("csv:///logs/[0-9]?.csv") == f"csv:///{tmp_path}/logs/[0-9]%3F.csv"
    assert absolute("sqlite:///logs/a b.db?_busy_timeout=5000") == f"sqlite:///{tmp_path}/logs/a%20b.db"
    for untouched in ("postgresql://db/x", "${URL}", "sqlite:///${DIR}/x.db", "nonsense"):
        assert absolute(untouched) == untouched


@pytest.mark.parametrize("name", ["plain.csv", "a b.csv", "50%.csv", "what?.parquet", "hash#.jsonl", "ä.csv"])
def test_what_was_made_absolute_names_the_same_file_again(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert path_of(absolute(str(tmp_path / name))) == tmp_path / name


def test_three_slashes_are_taken_for_an_absolute_path_where_there_is_no_such_relative_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.db").touch()
    monkeypatch.chdir(tmp_path)
    assert path_of("sqlite:///there.db") == Path("there.db")
    assert path_of(f"sqlite://{tmp_path}/there.db") == tmp_path / "there.db"
    assert path_of("sqlite:///nowhere/gone.db") == Path("nowhere/gone.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:se/cret@127.0.0.1:1/db",
        "postgresql://reader:secret@[::1/db",
        "mysql://reader:secret@[::1/db",
        "mysql://reader:secret@db:port/x",
        "mysql://reader:se?cret@db/x",
        "clickhouse://reader:se#cret@db/x",
    ],
)
def test_a_password_with_signs_that_are_not_quoted_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_place(SourceUrl(url))
    assert caught.value.message == "The source's URL cannot be taken apart into user, password, host and port."
    assert caught.value.remedy == (
        "In a password write % as %25, / as %2F, : as %3A, ? as %3F, # as %23, @ as %40, [ as %5B."
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("host=db password=hunter2 user=ann", "host=db password=*** user=ann"),
        ("password = 'hun ter2' host=db", "password=*** host=db"),
    ],
)
def test_a_connection_as_libpq_writes_it_is_no_url_and_is_shown_without_its_password(given: str, shown: str) -> None:
    with pytest.raises(UsageError) as caught:
        absolute(given)
    assert caught.value.message == "Settings of a connection are no URL."
    assert caught.value.remedy == "Write them as one: postgresql://USER:${PASSWORD}@HOST:PORT/DATABASE."
    with pytest.raises(UsageError):
        open_place(SourceUrl(given))
    assert SourceUrl(given).shown() == shown
    assert "ter2" not in SourceUrl(given).scrub(f"no file {given}")


def test_a_file_may_be_relative_to_another_folder_than_this_one(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.db").touch()
    assert absolute("sqlite:///logs/a.db", tmp_path) == f"sqlite:///{tmp_path}/logs/a.db"
    assert absolute("logs/*.csv", tmp_path) == f"csv:///{tmp_path}/logs/*.csv"
    assert absolute("sqlite:////var/a.db", tmp_path) == "sqlite:////var/a.db"
