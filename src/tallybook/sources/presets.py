"""The presets: one for each gateway, as data. `sources.preset` says what each part means."""

from __future__ import annotations

from tallybook.sources.preset import Limits, Preset
from tallybook.sources.relation import Attempts

EVERY_DATABASE = ("sqlite", "duckdb", "postgresql", "mysql", "clickhouse", "spark", "files")
QUOTA_PER_USD = {"quota_per_usd": "500000"}
_QUOTA = "NANOUSD(quota / CAST(:quota_per_usd AS DOUBLE))"

LOG_RECORDS = Preset(
    name="log_records",
    title="a table of log records",
    databases=EVERY_DATABASE,
    tables={"": ("log_records",)},
    time_columns={"": ("created_at",)},
    fields={
        "model_name": ("model_name",),
        "status_code": ("status_code",),
        "tokens_in": ("tokens_in",),
        "tokens_out": ("tokens_out",),
        "tokens_cached": ("tokens_cached",),
        "tokens_reasoning": ("tokens_reasoning",),
        "latency_ms": ("latency_ms",),
        "ttft_ms": ("ttft_ms",),
        "cost_nanousd": ("cost_nanousd", "NANOUSD(cost_usd)"),
        "provider": ("provider",),
        "api_key": ("api_key",),
        "user": ('"user"',),
        "team": ("team",),
        "operation": ("operation",),
        "error_type": ("error_type",),
    },
    limits=Limits(),
    index=("created_at",),
)

LITELLM = Preset(
    name="litellm",
    title="LiteLLM",
    databases=("postgresql",),
    tables={"": ("LiteLLM_SpendLogs",)},
    time_columns={"": ("startTime",)},
    fields={
        "model_name": ("COALESCE(NULLIF(model, ''), model_group)", "model"),
        "status_code": ("CASE status WHEN 'success' THEN 200 WHEN 'failure' THEN 500 END",),
        "tokens_in": ("prompt_tokens",),
        "tokens_out": ("completion_tokens",),
        "tokens_cached": (
            "COALESCE(JSON_INT(metadata, 'usage_object', 'prompt_tokens_details', 'cached_tokens'), "
            "JSON_INT(metadata, 'additional_usage_values', 'cache_read_input_tokens'), "
            "JSON_INT(metadata, 'additional_usage_values', 'prompt_tokens_details', 'cached_tokens'))",
        ),
        "tokens_reasoning": (
            "COALESCE(JSON_INT(metadata, 'usage_object', 'completion_tokens_details', 'reasoning_tokens'), "
            "JSON_INT(metadata, 'additional_usage_values', 'completion_tokens_details', 'reasoning_tokens'))",
        ),
        "latency_ms": (
            'COALESCE(request_duration_ms, MS_BETWEEN("startTime", "endTime"))',
            'MS_BETWEEN("startTime", "endTime")',
        ),
        "ttft_ms": (
            'CASE WHEN "completionStartTime" < "endTime" THEN MS_BETWEEN("startTime", "completionStartTime") END',
        ),
        "cost_nanousd": ("NANOUSD(spend)",),
        "provider": ("custom_llm_provider",),
        "api_key": ("api_key",),
        "user": ("COALESCE(NULLIF(\"user\", ''), end_user)", '"user"'),
        "team": ("team_id",),
        "operation": ("call_type",),
        "error_type": ("JSON_TEXT(metadata, 'error_information', 'error_class')",),
    },
    limits=Limits(
        count_by="attempt",
        notes=("a failed attempt and the success of its fallback are two rows, and count as two requests",),
    ),
    index=("startTime",),
)

NEW_API = Preset(
    name="new-api",
    title="new-api",
    databases=("sqlite", "mysql", "postgresql", "clickhouse"),
    tables={"": ("logs",)},
    time_columns={"": ("created_at",)},
    time="epoch_s",
    where=("type IN (2, 5)",),
    failure="type = 5",
    attempts=Attempts(key="request_id", failed="type = 5", succeeded="type = 2", order="id"),
    orders={"clickhouse": "(created_at, channel_id, model_name)"},
    fields={
        "model_name": ("model_name",),
        "status_code": ("CASE WHEN type = 2 THEN 200 ELSE 500 END",),
        "tokens_in": ("CASE WHEN type = 2 THEN prompt_tokens END",),
        "tokens_out": ("CASE WHEN type = 2 THEN completion_tokens END",),
        "tokens_cached": ("CASE WHEN type = 2 THEN JSON_INT(other, 'cache_tokens') END",),
        "latency_ms": ("CASE WHEN type = 2 THEN use_time * 1000 END",),
        "ttft_ms": ("CASE WHEN type = 2 THEN JSON_INT(other, 'frt') END",),
        "cost_nanousd": (f"CASE WHEN type = 2 THEN {_QUOTA} END",),
        "provider": ("channel_id",),
        "api_key": ("token_name",),
        "user": ("username", "user_id"),
        "team": ('"group"',),
    },
    limits=Limits(
        failures="opt-in",
        latency_resolution="whole seconds",
        notes=(
            "failures are logged only with ERROR_LOG_ENABLED=true",
            "provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
            "refunds are left out",
        ),
    ),
    index=("created_at", "type"),
    options=QUOTA_PER_USD,
)

ONE_API = Preset(
    name="one-api",
    title="one-api",
    databases=("sqlite", "mysql", "postgresql"),
    tables={"": ("logs",)},
    time_columns={"": ("created_at",)},
    time="epoch_s",
    where=("type = 2",),
    fields={
        "model_name": ("model_name",),
        "status_code": ("200",),
        "tokens_in": ("prompt_tokens",),
        "tokens_out": ("completion_tokens",),
        "latency_ms": ("NULLIF(elapsed_time, 0)",),
        "cost_nanousd": (_QUOTA,),
        "provider": ("channel_id",),
        "api_key": ("token_name",),
        "user": ("username", "user_id"),
    },
    limits=Limits(
        failures="none",
        ttft="none",
        notes=(
            "a request that failed leaves no row",
            "provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
        ),
    ),
    index=("created_at", "type"),
    options=QUOTA_PER_USD,
)

ONE_HUB = Preset(
    name="one-hub",
    title="one-hub",
    databases=("sqlite", "mysql", "postgresql"),
    tables={"": ("logs",)},
    time_columns={"": ("created_at",)},
    time="epoch_s",
    where=("type = 2",),
    fields={
        "model_name": ("model_name",),
        "status_code": ("200",),
        "tokens_in": ("prompt_tokens",),
        "tokens_out": ("completion_tokens",),
        "tokens_cached": ("COALESCE(JSON_INT(metadata, 'cached_tokens'), JSON_INT(metadata, 'cached_read_tokens'))",),
        "latency_ms": ("NULLIF(request_time, 0)",),
        "ttft_ms": ("NULLIF(JSON_INT(metadata, 'first_response'), 0)",),
        "cost_nanousd": (_QUOTA,),
        "provider": ("channel_id",),
        "api_key": ("token_name",),
        "user": ("username", "user_id"),
    },
    limits=Limits(
        failures="none",
        notes=(
            "a request that failed leaves no row",
            "provider is the channel's number, cost is quota at 500,000 to the dollar unless --set quota_per_usd",
        ),
    ),
    index=("created_at", "type"),
    options=QUOTA_PER_USD,
)

AIPROXY = Preset(
    name="aiproxy",
    title="aiproxy",
    databases=("sqlite", "postgresql"),
    tables={"": ("logs",)},
    time_columns={"": ("created_at",)},
    fields={
        "model_name": ("model",),
        "status_code": ("CASE WHEN code BETWEEN 1 AND 399 AND code <> 200 THEN 500 ELSE code END",),
        "tokens_in": ("input_tokens",),
        "tokens_out": ("output_tokens",),
        "tokens_cached": ("cached_tokens",),
        "tokens_reasoning": ("reasoning_tokens",),
        "latency_ms": ("MS_BETWEEN(INSTANT(request_at), INSTANT(created_at))",),
        "ttft_ms": ("NULLIF(ttfb_milliseconds, 0)",),
        "cost_nanousd": ("NANOUSD(used_amount)",),
        "provider": ("channel_id",),
        "api_key": ("token_name",),
        "team": ("group_id",),
    },
    limits=Limits(
        notes=(
            "attempts that a retry made good stand in retry_logs and are not counted",
            "usage of asynchronous requests is filled in later",
            "provider is the channel's number, cost is used_amount as dollars",
        ),
    ),
    index=("created_at",),
)

BIFROST = Preset(
    name="bifrost",
    title="Bifrost",
    databases=("sqlite", "postgresql"),
    tables={"": ("logs",)},
    time_columns={"": ("timestamp",)},
    where=("status <> 'processing'",),
    fields={
        "model_name": ("model",),
        "status_code": ("CASE status WHEN 'success' THEN 200 WHEN 'error' THEN 500 WHEN 'cancelled' THEN 499 END",),
        "tokens_in": ("prompt_tokens",),
        "tokens_out": ("completion_tokens",),
        "tokens_cached": ("cached_read_tokens",),
        "latency_ms": ("WHOLE(latency)",),
        "cost_nanousd": ("NANOUSD(cost)",),
        "provider": ("provider",),
        "api_key": ("virtual_key_id",),
        "user": ("user_id",),
        "team": ("team_id",),
    },
    limits=Limits(
        ttft="none",
        count_by="attempt",
        notes=(
            "each fallback is a row, and counts as a request: its tokens and cost are real",
            "rows that are still processing when the day is closed come too late for it",
            "costs may be recalculated later",
        ),
    ),
    index=("timestamp",),
)

TENSORZERO = Preset(
    name="tensorzero",
    title="TensorZero",
    databases=("postgresql", "clickhouse"),
    tables={"": ("tensorzero.model_inferences", "model_inferences"), "clickhouse": ("ModelInference",)},
    time_columns={"": ("created_at",), "clickhouse": ("timestamp",)},
    fields={
        "model_name": ("model_name",),
        "status_code": ("200",),
        "tokens_in": ("input_tokens",),
        "tokens_out": ("output_tokens",),
        "tokens_cached": ("provider_cache_read_input_tokens",),
        "latency_ms": ("response_time_ms",),
        "ttft_ms": ("ttft_ms",),
        "cost_nanousd": ("NANOUSD(cost)",),
        "provider": ("model_provider_name",),
    },
    limits=Limits(
        failures="none",
        count_by="attempt",
        notes=(
            "each call to a model is a row, and counts as a request: one inference may make several",
            "a request that failed on every provider leaves no row",
            "a cost that is NULL was not tracked",
        ),
    ),
    index=("created_at",),
)

HELICONE = Preset(
    name="helicone",
    title="Helicone",
    databases=("clickhouse",),
    tables={"": ("request_response_rmt",)},
    time_columns={"": ("request_created_at",)},
    where_known=("is_deleted = 0",),
    final=True,
    fields={
        "model_name": ("model",),
        "status_code": ("status",),
        "tokens_in": ("prompt_tokens",),
        "tokens_out": ("completion_tokens",),
        "tokens_cached": ("prompt_cache_read_tokens",),
        "latency_ms": ("latency",),
        "ttft_ms": ("NULLIF(time_to_first_token, 0)",),
        "cost_nanousd": ("cost",),
        "provider": ("provider",),
        "api_key": ("proxy_key_id",),
        "user": ("user_id",),
    },
    limits=Limits(notes=("a status below 0, as of a request still under way, counts as unknown",)),
    index=("request_created_at",),
)


def _usage(*parts: str, without: str | None = None) -> str:
    """The sum of langfuse's usage figures whose names hold all the parts; unknown where there is none."""
    tests = [f"positionCaseInsensitive(k, '{part}') > 0" for part in parts]
    tests += [f"positionCaseInsensitive(k, '{without}') = 0"] if without else []
    test = " AND ".join(tests)
    return (
        f"CASE WHEN arrayExists(k -> {test}, mapKeys(usage_details)) "
        f"THEN CAST(arraySum(mapValues(mapFilter((k, v) -> {test}, usage_details))) AS Nullable(Int64)) END"
    )


LANGFUSE = Preset(
    name="langfuse",
    title="Langfuse",
    databases=("clickhouse",),
    tables={"": ("observations", "events_full")},
    time_columns={"": ("start_time",)},
    where=("type = 'GENERATION'",),
    where_known=("is_deleted = 0",),
    final=True,
    written_in="clickhouse",
    fields={
        "model_name": ("provided_model_name",),
        "status_code": ("CASE WHEN level = 'ERROR' THEN 500 ELSE 200 END",),
        "tokens_in": (_usage("input"),),
        "tokens_out": (_usage("output"),),
        "tokens_cached": (_usage("input", "cache", without="creation"),),
        "tokens_reasoning": (_usage("output", "reasoning"),),
        "latency_ms": ("MS_BETWEEN(start_time, end_time)",),
        "ttft_ms": ("MS_BETWEEN(start_time, completion_start_time)",),
        "cost_nanousd": (
            "CASE WHEN total_cost <> 0 OR mapContains(cost_details, 'total') THEN NANOUSD(total_cost) END",
            "NANOUSD(total_cost)",
        ),
        "user": ("user_id",),
        "team": ("project_id",),
    },
    limits=Limits(
        notes=(
            "only observations of type GENERATION count; spans, events and the rest are left out",
            "an application that does not report an error has none",
        ),
    ),
    index=("start_time",),
)

PRESETS = {
    preset.name: preset
    for preset in (
        LOG_RECORDS,
        LITELLM,
        NEW_API,
        ONE_API,
        ONE_HUB,
        AIPROXY,
        BIFROST,
        TENSORZERO,
        HELICONE,
        LANGFUSE,
    )
}
