"""The code keeps the shape that ARCHITECTURE.md gives it: imports point inward, functions and modules stay small."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tallybook
from tallybook.book.schema import daily_slices, daily_stats
from tallybook.cli import tallybook as command
from tallybook.measures import DIMENSION_NAMES, MEASURE_NAMES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODULES = sorted(SOURCE.rglob("*.py"))
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400
BANNED = re.compile(r"(?:^|_)(?:manager|utils?|helpers?)(?:_|$)")

DOMAIN = (
    *("days", "periods", "histogram", "measures", "records", "shape", "aggregate", "offline"),
    *("content", "change", "vintage", "digest", "errors", "source", "declaration", "tokens"),
    *("prices", "tariff", "listed_prices", "own_prices", "filters", "wording"),
)
ON_THE_BOOK = (
    *(
        "closing",
        "job",
        "adjusting",
        "reconcile",
        "rounds",
        "standing",
        "live",
        "figures",
        "stats",
        "hours",
        "verification",
    ),
)
"""What knows a source only as `source` describes it, wherever its records lie."""

BORDERS = ("web", "cli", "page", "operations", "bookkeeper")
PARTS_OF_THE_BOOKKEEPER = ("upkeep", "pruning", "status", "attaching", "heads")
AROUND_ENGINES = ("own", "table", "places", "presets", "matching", "inspection", "attached", "registry", "urls")
MAY_NOT_IMPORT = {
    **dict.fromkeys(DOMAIN, ("book", "logs", "collect", "sources", *ON_THE_BOOK, *BORDERS)),
    **dict.fromkeys(ON_THE_BOOK, ("logs", "collect", "sources", *BORDERS)),
    "book": ("logs", "sources", *ON_THE_BOOK, *BORDERS),
    "logs": ("book", "collect", *ON_THE_BOOK, *BORDERS),
    "collect": ("book", "sources", *ON_THE_BOOK, *BORDERS),
    "sources": ("book", "logs", *ON_THE_BOOK, *BORDERS),
    "sources.engines": tuple(f"sources.{name}" for name in AROUND_ENGINES),
    "announcing": ("logs", "collect", "sources", *BORDERS),
    "anchoring": ("book", "logs", "collect", "sources", *ON_THE_BOOK, *BORDERS),
    **dict.fromkeys(PARTS_OF_THE_BOOKKEEPER, BORDERS),
    "web": ("cli",),
    "cli": (),
    "page": ("web", "cli"),
    "operations": ("web", "cli", "page"),
    "bookkeeper": ("web", "cli", "page", "operations"),
}
SERVE_COMMAND = "tallybook.web.serve"
"""What the command line starts of the web; the one wire between the two borders."""


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Every module of ours that the file imports, wherever in it: `from tallybook import x` is `tallybook.x`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tallybook"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            if module == "tallybook":
                yield from (f"tallybook.{alias.name}" for alias in node.names)
            elif module.startswith("tallybook."):
                yield module


@pytest.mark.parametrize("part", MAY_NOT_IMPORT)
def test_imports_point_inward(part: str) -> None:
    own = [path for path in MODULES if (module_name(path) + ".").startswith(f"tallybook.{part}.")]
    assert own, f"there is no tallybook.{part}"
    wrong = [
        f"{module_name(path)} imports {name}"
        for path in own
        for name in imported(path)
        for forbidden in MAY_NOT_IMPORT[part]
        if (name + ".").startswith(f"tallybook.{forbidden}.")
    ]
    assert wrong == []


def test_the_command_line_takes_nothing_of_the_web_but_the_server() -> None:
    taken = {
        name
        for path in MODULES
        if module_name(path).startswith("tallybook.cli")
        for name in imported(path)
        if name.startswith("tallybook.web")
    }
    assert taken == {SERVE_COMMAND}


def test_the_dialects_of_the_book_are_named_in_one_place() -> None:
    named = [
        module_name(path)
        for path in MODULES
        if module_name(path).startswith("tallybook.book")
        and "migrations" not in module_name(path)
        and re.search(r"\bDIALECTS: |\bDIALECTS = ", path.read_text())
    ]
    assert named == ["tallybook.book.engine"]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def defined(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name


def test_no_function_is_longer_than_a_screen_or_two() -> None:
    """A migration may be: it is written once, from top to bottom, and never changed."""
    long = [
        f"{module_name(path)}.{function.name}"
        for path in MODULES
        if "versions" not in path.parts
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    assert [module_name(path) for path in MODULES if len(path.read_text().splitlines()) > MAX_MODULE_LINES] == []


def test_nothing_has_a_name_that_says_nothing() -> None:
    named = [(path, path.stem) for path in MODULES]
    for path in MODULES:
        named += [(path, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) for name in defined(path)]
    assert [f"{module_name(path)}: {name}" for path, name in named if BANNED.search(name)] == []


def test_every_module_says_what_it_is_for() -> None:
    modules = [path for path in MODULES if len(path.read_text().splitlines()) > 5 and path.name != "env.py"]
    assert [module_name(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))] == []


@pytest.mark.parametrize("name", sorted(command.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    described = command.commands[name]
    assert described.help
    options = [parameter for parameter in described.params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not getattr(option, "help", None)] == []


@pytest.mark.parametrize("name", sorted(command.commands))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"tallybook {name}" in (ROOT / "README.md").read_text()


def test_versions_agree() -> None:
    assert importlib.metadata.version("tallybook") == tallybook.__version__
    told = subprocess.run([sys.executable, "-m", "tallybook", "--version"], capture_output=True, check=True, text=True)
    assert told.stdout == f"tallybook, version {tallybook.__version__}\n"


@pytest.mark.parametrize("name", MEASURE_NAMES)
def test_every_measure_is_a_column_and_documented(name: str) -> None:
    assert name in daily_stats.columns
    assert name in daily_slices.columns
    assert f"`{name}`" in (ROOT / "ARCHITECTURE.md").read_text()


@pytest.mark.parametrize("name", DIMENSION_NAMES)
def test_every_dimension_is_a_column(name: str) -> None:
    assert name in daily_slices.columns
