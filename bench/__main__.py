"""`python -m bench [NAME …] [--quick]`: measures, prints, and leaves nothing behind."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import table
from bench.answering import measure_answering
from bench.attaching import measure_attaching
from bench.backfill import measure_backfill
from bench.chunks import measure_chunks
from bench.closing import measure_closing
from bench.collecting import measure_collecting
from bench.memory import measure_memory
from bench.page import measure_page
from bench.table import Findings

BENCHMARKS: dict[str, Callable[[Path, int], list[Findings]]] = {
    "closing": measure_closing,
    "backfill": measure_backfill,
    "answering": measure_answering,
    "memory": measure_memory,
    "attaching": measure_attaching,
    "collecting": measure_collecting,
    "page": measure_page,
    "chunks": measure_chunks,
}
ONLY_WHEN_NAMED = ("chunks",)
"""What takes long and is needed only to choose a setting of our own."""

QUICK_DIVISOR = 100


def main() -> None:
    """Runs the benchmarks that were named, or all but those that have to be."""
    arguments = _parse()
    if arguments.quick:
        print("Quick: with so few records the fixed costs rule, and the targets mean nothing.\n")
    for name in arguments.names or [name for name in BENCHMARKS if name not in ONLY_WHEN_NAMED]:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="tallybook-bench-") as folder:
            tables = BENCHMARKS[name](Path(folder), QUICK_DIVISOR if arguments.quick else 1)
        for findings in tables:
            print(table.as_markdown(findings)) if arguments.markdown else table.show(findings)
        print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    help_on_names = (
        f"{', '.join(BENCHMARKS)}; all but {', '.join(ONLY_WHEN_NAMED)}, which takes minutes, if none is named"
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=help_on_names)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_DIVISOR} times fewer records: only a smoke test")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    main()
