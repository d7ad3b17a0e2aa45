"""Where a preset meets a table: which field can be filled, from which expression, and what stays unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from tallybook.declaration import Declaration
from tallybook.errors import SourceFault, UnknownName, UsageError, shorten
from tallybook.measures import MEASURE_FIELDS
from tallybook.records import MAX_COST_USD, Unacceptable, read_cost
from tallybook.shape import STRING_FIELDS
from tallybook.sources.instants import TIME_UNITS
from tallybook.sources.portable import columns_of, parse, text_literal
from tallybook.sources.preset import Preset
from tallybook.sources.presets import PRESETS
from tallybook.sources.relation import Relation

FIELDS = (*STRING_FIELDS, *MEASURE_FIELDS)
NAMED_FIELDS = tuple("cost_usd" if name == "cost_nanousd" else name for name in FIELDS)
"""The fields as users name them: money in dollars."""

FAILURES = ("logged", "unknown")
MOST = {"timeout_s": 86_400, "days_per_read": 366}
"""The options that are whole numbers from 1 to this."""
OPTIONS = ("table", "time_unit", "failures", *MOST)
"""What `--set` may give besides the record's fields and the options of a preset."""


@dataclass(frozen=True)
class Wishes:
    """What the user says about a table beyond the preset: columns by `--map`, fields and options by `--set`."""

    columns: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    def check(self, preset: Preset) -> None:
        """Raises `UsageError` for a name or value that cannot be."""
        for name, _ in self.columns:
            if name not in (*NAMED_FIELDS, "created_at"):
                raise UnknownName("field", name, (*NAMED_FIELDS, "created_at"))
        allowed = (*OPTIONS, *preset.options, *NAMED_FIELDS)
        for name, value in self.settings:
            if name not in allowed:
                raise UnknownName("setting", name, allowed)
            _check_setting(name, value, preset)
        if both := {name for name, _ in self.columns} & {name for name, _ in self.settings}:
            raise UsageError(f"{', '.join(sorted(both))} is both mapped and set.", "Give each field one origin.")

    def setting(self, name: str) -> str | None:
        return dict(self.settings).get(name)

    @property
    def time_unit(self) -> str | None:
        """How a time that is a number is counted, if the user says."""
        given = self.setting("time_unit")
        return TIME_UNITS[given] if given else None


def _check_setting(name: str, value: str, preset: Preset) -> None:
    choices = {"time_unit": tuple(TIME_UNITS), "failures": FAILURES}.get(name)
    if choices and value not in choices:
        raise UsageError(f"--set {name}={shorten(value)} cannot be.", f"Use one of: {', '.join(choices)}.")
    number = name in (*preset.options, *MOST) or name in MEASURE_FIELDS
    if number and not (value.isascii() and value.isdecimal()):
        raise UsageError(f"--set {name}={shorten(value)} is not a whole number.", "Mend it and try again.")
    if name in preset.options and not int(value):
        raise UsageError(f"--set {name}=0: nothing can be divided by 0.", "Mend it and try again.")
    if name in MOST and not 1 <= int(value) <= MOST[name]:
        raise UsageError(f"--set {name}={shorten(value)} is not from 1 to {MOST[name]}.", "Mend it and try again.")


def check(declaration: Declaration) -> tuple[Preset, Wishes]:
    """The preset and the wishes of a declaration; `UsageError` for a name that cannot be."""
    if declaration.preset not in PRESETS:
        raise UnknownName("preset", declaration.preset, PRESETS)
    preset = PRESETS[declaration.preset]
    wishes = Wishes(tuple(declaration.columns.items()), tuple(declaration.settings.items()))
    wishes.check(preset)
    if wishes.setting("failures") == "logged" and preset.limits.failures == "none":
        raise UsageError(f"{preset.title} has no rows for failures.", "Leave out --set failures=logged.")
    return preset, wishes


@dataclass(frozen=True)
class Match:
    """A relation over the table, and for which fields the table has nothing."""

    relation: Relation
    filled: tuple[str, ...]
    missing: tuple[str, ...]


def match(
    preset: Preset, wishes: Wishes, database: str, origin: str, kinds: Mapping[str, str], time: str | None = None
) -> Match:
    """The relation of the preset over what stands after FROM and has these columns.

    `time` is the unit of a time that is a number, where it is known. Raises `SourceFault` when a column is missing
    without which the records cannot be told.
    """
    expressions = _expressions(preset, wishes)
    time_column = _time_column(preset, wishes, database, kinds)
    where = _conditions(preset, kinds)
    chosen = {name: _choose(name, candidates, kinds, preset.written_in) for name, candidates in expressions.items()}
    fields = {name: expression for name, expression in chosen.items() if expression is not None}
    _check_mapped(wishes, fields, kinds, preset.written_in)
    if "model_name" not in fields:
        raise SourceFault(
            f"There is no column for model_name among {_listed(kinds)}.", "Name one with --map model_name=COLUMN."
        )
    attempts = preset.attempts if preset.attempts and _there((preset.attempts.key,), kinds) else None
    if attempts and database in preset.orders:
        attempts = replace(attempts, order=preset.orders[database])
    relation = Relation(
        origin=origin,
        time_column=time_column,
        time=_time(kinds[time_column], time or wishes.time_unit or preset.time, time_column),
        fields=tuple(fields.items()),
        columns=_columns(time_column, fields, kinds, preset.written_in),
        where=where,
        attempts=attempts,
        final=preset.final and database == "clickhouse",
        written_in=preset.written_in,
        unknown=() if "status_code" in fields else ("failed",),
    )
    return Match(relation, tuple(fields), tuple(name for name in FIELDS if name not in fields))


def _check_mapped(wishes: Wishes, fields: Mapping[str, str], kinds: Mapping[str, str], written_in: str) -> None:
    """A column that the user names must be there and fit, or the field would be unknown unnoticed."""
    for name, expression in wishes.columns:
        if name == "created_at" or ("cost_nanousd" if name == "cost_usd" else name) in fields:
            continue
        columns = columns_of(_as_column(expression), written_in)
        if missing := [column for column in columns if column not in kinds]:
            raise SourceFault(
                f"There is no column {', '.join(missing)} for {name} among {_listed(kinds)}.",
                f"Name another with --map {name}=COLUMN.",
            )
        raise SourceFault(
            f"The column {expression} is {kinds[columns[0]]}, and {name} is {_wanted(name)}.",
            f"Name another with --map {name}=COLUMN, or convert it with --query and a SELECT.",
        )


def _wanted(name: str) -> str:
    return "a text" if name in STRING_FIELDS else "a whole number"


def _expressions(preset: Preset, wishes: Wishes) -> dict[str, tuple[str, ...]]:
    """The candidates for each field: what is set, else what is mapped, else what the preset has."""
    options = {**preset.options, **{name: value for name, value in wishes.settings if name in preset.options}}
    found = {name: tuple(_with_options(each, options) for each in preset.fields.get(name, ())) for name in FIELDS}
    for name, expression in wishes.columns:
        if name == "cost_usd":
            found["cost_nanousd"] = (f"NANOUSD({_as_column(expression)})",)
        elif name != "created_at":
            found[name] = (_as_whole(expression) if name in MEASURE_FIELDS else _as_column(expression),)
    for name, value in wishes.settings:
        if name == "cost_usd":
            found["cost_nanousd"] = (str(_read_dollars(value)),)
        elif name in FIELDS:
            found[name] = (value if name in MEASURE_FIELDS else text_literal(value),)
    return found


def _with_options(expression: str, options: Mapping[str, str]) -> str:
    for name, value in options.items():
        expression = expression.replace(f":{name}", value)
    return expression


def _read_dollars(value: str) -> int:
    try:
        return read_cost(Decimal(value))
    except (InvalidOperation, Unacceptable):
        remedy = f"Give dollars, from 0 to {MAX_COST_USD:,}."
        raise UsageError(f"--set cost_usd={shorten(value)} is no cost of a request.", remedy) from None


def _as_column(expression: str) -> str:
    """A plain name is a column, though SQL may have another use for the word, as for `user` and `group`."""
    return f'"{expression}"' if expression.replace("_", "").isalnum() else expression


def _as_whole(expression: str) -> str:
    """What a user computes may have a fraction; a plain column is told by its type."""
    column = _as_column(expression)
    return column if parse(column).key == "column" else f"WHOLE({column})"


def _there(columns: Sequence[str], kinds: Mapping[str, str]) -> bool:
    return all(column in kinds for column in columns)


def _choose(name: str, candidates: Sequence[str], kinds: Mapping[str, str], written_in: str) -> str | None:
    """The first candidate whose columns are all there, made to fit the field's type."""
    for expression in candidates:
        if _there(columns_of(expression, written_in), kinds):
            fitted = _fit(name, expression, kinds, written_in)
            if fitted is not None:
                return fitted
    return None


def _fit(name: str, expression: str, kinds: Mapping[str, str], written_in: str) -> str | None:
    """An expression is taken as it is; a plain column may have another type than the field."""
    parsed = parse(expression, written_in)
    kind = kinds.get(parsed.name) if parsed.key == "column" else None
    if kind is None or kind == "unknown":
        return expression
    if name in STRING_FIELDS and kind in ("json", "nested"):
        return None
    if name in STRING_FIELDS:
        return expression if kind == "text" else f"CAST({expression} AS VARCHAR)"
    return {"int": expression, "float": f"WHOLE({expression})"}.get(kind)


def _time_column(preset: Preset, wishes: Wishes, database: str, kinds: Mapping[str, str]) -> str:
    mapped = dict(wishes.columns).get("created_at")
    candidates = (mapped,) if mapped else preset.time_columns_on(database)
    for column in candidates:
        if column in kinds:
            return column
    raise SourceFault(
        f"There is no column {' or '.join(candidates)} among {_listed(kinds)}.",
        "Name the column of the time with --map created_at=COLUMN.",
    )


def _time(kind: str, number_unit: str | None, column: str) -> str:
    by_kind = {"int": number_unit or "epoch_ms", "naive": "naive", "zoned": "zoned", "text": "text"}
    if kind == "unknown":
        return number_unit or "text"
    if kind not in by_kind:
        raise SourceFault(
            f"The column {column} holds no instants that we can compare.",
            "Attach it with --query, and a SELECT whose created_at is a timestamp or a whole number.",
        )
    return by_kind[kind]


def _conditions(preset: Preset, kinds: Mapping[str, str]) -> tuple[str, ...]:
    for condition in preset.where:
        if missing := [name for name in columns_of(condition, preset.written_in) if name not in kinds]:
            raise SourceFault(
                f"There is no column {', '.join(missing)} among {_listed(kinds)}.",
                "Check that the preset is the right one.",
            )
    known = tuple(each for each in preset.where_known if _there(columns_of(each, preset.written_in), kinds))
    return preset.where + known


def _columns(
    time_column: str, fields: Mapping[str, str], kinds: Mapping[str, str], written_in: str
) -> tuple[tuple[str, str], ...]:
    """The columns that are read, with kinds; one that had no value yet is what a field that is made of it needs."""
    needed = {time_column: kinds[time_column]}
    for name, expression in fields.items():
        plain = parse(expression, written_in).key == "column"
        for column in columns_of(expression, written_in):
            wanted = "int" if plain and name in MEASURE_FIELDS else "text"
            needed.setdefault(column, kinds[column] if kinds[column] != "unknown" else wanted)
    if needed[time_column] == "unknown":
        needed[time_column] = "text"
    return tuple(needed.items())


def _listed(kinds: Mapping[str, str]) -> str:
    return shorten(", ".join(kinds), 200)
