"""Where a preset meets a table: alternatives, what the user maps and sets, and what is refused by name."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tallybook.errors import SourceFault, UnknownName, UsageError
from tallybook.sources.matching import Match, Wishes, match
from tallybook.sources.presets import PRESETS

RECORDS = {"created_at": "zoned", "model_name": "text"}
NEW_API = {
    "id": "int",
    "created_at": "int",
    "type": "int",
    "model_name": "text",
    "prompt_tokens": "int",
    "completion_tokens": "int",
    "use_time": "int",
    "quota": "int",
    "channel_id": "int",
    "token_name": "text",
    "user_id": "int",
    "group": "text",
    "other": "text",
}
FIELDS = (
    "model_name, provider, team, api_key, user, operation, error_type, status_code, tokens_in, tokens_out, "
    "tokens_cached, tokens_reasoning, latency_ms, ttft_ms, cost_usd"
)


def wishes(mapped: Mapping[str, str] = {}, settings: Mapping[str, str] = {}) -> Wishes:
    return Wishes(tuple(mapped.items()), tuple(settings.items()))


def matched(
    kinds: Mapping[str, str],
    preset: str = "log_records",
    database: str = "duckdb",
    *,
    mapped: Mapping[str, str] = {},
    settings: Mapping[str, str] = {},
) -> Match:
    """The preset on a table with these columns."""
    return match(PRESETS[preset], wishes(mapped, settings), database, "log_records", kinds)


def fields(found: Match) -> dict[str, str]:
    return dict(found.relation.fields)


class TestFields:
    def test_a_table_named_as_we_name_is_taken_column_by_column(self) -> None:
        found = matched({**RECORDS, "status_code": "int", "tokens_in": "int", "user": "text", "extra": "json"})
        assert fields(found) == {
            "model_name": "model_name",
            "user": '"user"',
            "status_code": "status_code",
            "tokens_in": "tokens_in",
        }
        assert found.filled == ("model_name", "user", "status_code", "tokens_in")
        assert found.missing == (
            *("provider", "team", "api_key", "operation", "error_type", "tokens_out", "tokens_cached"),
            *("tokens_reasoning", "latency_ms", "ttft_ms", "cost_nanousd"),
        )
        assert found.relation.columns == (
            ("created_at", "zoned"),
            ("model_name", "text"),
            ("user", "text"),
            ("status_code", "int"),
            ("tokens_in", "int"),
        )

    def test_of_alternatives_the_first_whose_columns_are_all_there_counts(self) -> None:
        with_names = matched({**NEW_API, "username": "text"}, "new-api")
        assert fields(with_names)["user"] == "username"
        assert fields(matched(NEW_API, "new-api"))["user"] == "CAST(user_id AS VARCHAR)"
        both = matched({**RECORDS, "cost_nanousd": "int", "cost_usd": "float"})
        assert fields(both)["cost_nanousd"] == "cost_nanousd"
        assert fields(matched({**RECORDS, "cost_usd": "float"}))["cost_nanousd"] == "NANOUSD(cost_usd)"

    def test_a_column_of_another_type_is_made_to_fit_or_left_out(self) -> None:
        found = matched(
            {**RECORDS, "provider": "int", "latency_ms": "float", "tokens_in": "text", "status_code": "int"}
        )
        assert fields(found)["provider"] == "CAST(provider AS VARCHAR)"
        assert fields(found)["latency_ms"] == "WHOLE(latency_ms)"
        assert "tokens_in" in found.missing

    def test_a_column_that_had_no_value_yet_is_what_its_field_needs(self) -> None:
        found = matched({**RECORDS, "tokens_in": "unknown", "team": "unknown"})
        assert dict(found.relation.columns)["tokens_in"] == "int"
        assert dict(found.relation.columns)["team"] == "text"

    def test_without_a_status_it_is_not_known_what_failed(self) -> None:
        assert matched(RECORDS).relation.unknown == ("failed",)
        assert matched({**RECORDS, "status_code": "int"}).relation.unknown == ()

    def test_without_a_model_there_is_nothing_to_count_by(self) -> None:
        with pytest.raises(SourceFault) as caught:
            matched({"created_at": "zoned", "model": "text"})
        assert caught.value.message == "There is no column for model_name among created_at, model."
        assert caught.value.remedy == "Name one with --map model_name=COLUMN."

    def test_a_preset_s_condition_must_have_its_columns(self) -> None:
        with pytest.raises(SourceFault) as caught:
            matched(RECORDS, "one-api", "sqlite")
        assert caught.value.message == "There is no column type among created_at, model_name."
        assert caught.value.remedy == "Check that the preset is the right one."

    def test_attempts_are_told_apart_only_where_requests_have_ids(self) -> None:
        assert matched(NEW_API, "new-api").relation.attempts is None
        with_ids = matched({**NEW_API, "request_id": "text"}, "new-api", "sqlite").relation.attempts
        assert with_ids
        assert (with_ids.key, with_ids.order) == ("request_id", "id")


class TestMapped:
    def test_a_column_of_another_name_is_taken_where_it_is_mapped(self) -> None:
        found = matched({**RECORDS, "prompt": "int"}, mapped={"tokens_in": "prompt"})
        assert fields(found)["tokens_in"] == '"prompt"'

    @pytest.mark.parametrize("column", ["user", "group", "order", "select", "from"])
    def test_a_word_of_sql_may_be_a_column(self, column: str) -> None:
        found = matched({**RECORDS, column: "text"}, mapped={"team": column})
        assert fields(found)["team"] == f'"{column}"'
        assert (column, "text") in found.relation.columns

    def test_an_expression_may_be_mapped_too(self) -> None:
        found = matched({**RECORDS, "a": "int", "b": "int"}, mapped={"tokens_in": "a + COALESCE(b, 0)"})
        assert fields(found)["tokens_in"] == "WHOLE(a + COALESCE(b, 0))"
        assert [name for name, _ in found.relation.columns] == ["created_at", "model_name", "a", "b"]

    def test_dollars_are_made_whole(self) -> None:
        found = matched({**RECORDS, "price": "float"}, mapped={"cost_usd": "price"})
        assert fields(found)["cost_nanousd"] == 'NANOUSD("price")'

    def test_what_is_mapped_counts_more_than_what_the_preset_has(self) -> None:
        found = matched({**RECORDS, "model": "text"}, mapped={"model_name": "model"})
        assert fields(found)["model_name"] == '"model"'

    def test_the_time_may_be_mapped(self) -> None:
        found = matched({**RECORDS, "finished": "naive"}, mapped={"created_at": "finished"})
        assert (found.relation.time_column, found.relation.time) == ("finished", "naive")

    def test_a_column_that_is_not_there_is_no_silent_unknown(self) -> None:
        with pytest.raises(SourceFault) as caught:
            matched(RECORDS, mapped={"tokens_in": "prompt"})
        assert caught.value.message == "There is no column prompt for tokens_in among created_at, model_name."
        assert caught.value.remedy == "Name another with --map tokens_in=COLUMN."

    def test_a_column_that_cannot_be_a_number_is_no_silent_unknown(self) -> None:
        with pytest.raises(SourceFault) as caught:
            matched({**RECORDS, "prompt": "text"}, mapped={"tokens_in": "prompt"})
        assert caught.value.message == "The column prompt is text, and tokens_in is a whole number."

    def test_a_time_that_is_not_there_is_named(self) -> None:
        with pytest.raises(SourceFault) as caught:
            matched(RECORDS, mapped={"created_at": "finished"})
        assert caught.value.message == "There is no column finished among created_at, model_name."
        assert caught.value.remedy == "Name the column of the time with --map created_at=COLUMN."

    def test_a_field_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        with pytest.raises(UnknownName) as caught:
            wishes({"colour": "x"}).check(PRESETS["log_records"])
        assert caught.value.message == "There is no field 'colour'."
        assert caught.value.remedy == f"Use one of: {FIELDS}, created_at."


class TestSet:
    def test_a_text_stands_for_every_record(self) -> None:
        found = matched(RECORDS, settings={"team": "o'hara", "provider": "openai"})
        assert fields(found)["team"] == "'o''hara'"
        assert fields(found)["provider"] == "'openai'"

    def test_a_number_stands_for_every_record(self) -> None:
        assert fields(matched(RECORDS, settings={"status_code": "200"}))["status_code"] == "200"

    def test_dollars_are_made_whole(self) -> None:
        assert fields(matched(RECORDS, settings={"cost_usd": "0.0015"}))["cost_nanousd"] == "1500000"

    def test_what_is_set_counts_more_than_what_the_table_has(self) -> None:
        assert fields(matched(RECORDS, settings={"model_name": "gpt-5"}))["model_name"] == "'gpt-5'"

    def test_an_option_of_the_preset_goes_into_its_expressions(self) -> None:
        plain, dearer = matched(NEW_API, "new-api"), matched(NEW_API, "new-api", settings={"quota_per_usd": "1000000"})
        assert "500000" in fields(plain)["cost_nanousd"]
        assert fields(dearer)["cost_nanousd"] == fields(plain)["cost_nanousd"].replace("500000", "1000000")

    def test_a_setting_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        with pytest.raises(UnknownName) as caught:
            wishes(settings={"colour": "x"}).check(PRESETS["new-api"])
        assert caught.value.message == "There is no setting 'colour'."
        assert (
            caught.value.remedy
            == f"Use one of: table, time_unit, failures, timeout_s, days_per_read, quota_per_usd, {FIELDS}."
        )

    def test_an_option_of_another_preset_is_refused(self) -> None:
        with pytest.raises(UnknownName, match="There is no setting 'quota_per_usd'"):
            wishes(settings={"quota_per_usd": "1"}).check(PRESETS["log_records"])

    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("status_code", "ok", "--set status_code=ok is not a whole number."),
            ("tokens_in", "-1", "--set tokens_in=-1 is not a whole number."),
            ("tokens_in", "1.5", "--set tokens_in=1.5 is not a whole number."),
            ("tokens_in", "٣", "--set tokens_in=٣ is not a whole number."),
            ("timeout_s", "soon", "--set timeout_s=soon is not a whole number."),
            ("timeout_s", "0", "--set timeout_s=0 is not from 1 to 86400."),
            ("days_per_read", "367", "--set days_per_read=367 is not from 1 to 366."),
            ("timeout_s", "86401", "--set timeout_s=86401 is not from 1 to 86400."),
            ("quota_per_usd", "0", "--set quota_per_usd=0: nothing can be divided by 0."),
            ("failures", "maybe", "--set failures=maybe cannot be."),
            ("time_unit", "h", "--set time_unit=h cannot be."),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, name: str, value: str, sentence: str) -> None:
        with pytest.raises(UsageError) as caught:
            wishes(settings={name: value}).check(PRESETS["new-api"])
        assert caught.value.message == sentence

    @pytest.mark.parametrize("value", ["dear", "1e99", "-1", "NaN"])
    def test_a_cost_that_cannot_be_is_named(self, value: str) -> None:
        with pytest.raises(UsageError, match=f"--set cost_usd={value} is no cost of a request"):
            matched(RECORDS, settings={"cost_usd": value})

    def test_a_field_has_one_origin(self) -> None:
        with pytest.raises(UsageError) as caught:
            wishes({"team": "group"}, {"team": "search"}).check(PRESETS["log_records"])
        assert caught.value.message == "team is both mapped and set."


class TestTime:
    @pytest.mark.parametrize(
        ("kind", "settings", "time"),
        [
            ("zoned", {}, "zoned"),
            ("naive", {}, "naive"),
            ("text", {}, "text"),
            ("int", {}, "epoch_ms"),
            ("int", {"time_unit": "s"}, "epoch_s"),
            ("int", {"time_unit": "us"}, "epoch_us"),
            ("int", {"time_unit": "ns"}, "epoch_ns"),
            ("unknown", {}, "text"),
            ("unknown", {"time_unit": "s"}, "epoch_s"),
        ],
    )
    def test_the_type_says_what_a_time_is_and_the_user_in_which_unit(
        self, kind: str, settings: dict[str, str], time: str
    ) -> None:
        assert matched({**RECORDS, "created_at": kind}, settings=settings).relation.time == time

    def test_a_gateway_s_own_unit_needs_no_word(self) -> None:
        assert matched(NEW_API, "new-api").relation.time == "epoch_s"

    @pytest.mark.parametrize("kind", ["float", "json", "bool", "other"])
    def test_what_is_no_instant_is_refused(self, kind: str) -> None:
        with pytest.raises(SourceFault) as caught:
            matched({**RECORDS, "created_at": kind})
        assert caught.value.message == "The column created_at holds no instants that we can compare."
