"""The command border: words in, one sentence or a table out, an exit code by the contract."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from tallybook import __version__
from tallybook.cli.attaching import attach, detach, sources
from tallybook.cli.backup import backup, restore
from tallybook.cli.common import with_settings
from tallybook.cli.days import backfill, close
from tallybook.cli.logs import demo, import_, prune
from tallybook.cli.reading import report, stats, status
from tallybook.cli.roles import roles
from tallybook.cli.serving import serve
from tallybook.cli.tokens import token
from tallybook.cli.trust import adjustments, migrate, reconcile, verify
from tallybook.errors import TallybookError, UsageError

DONE, FAILED, REFUSED = 0, 1, 2
REFUSING_CODES = {"usage", "unknown_name", "not_over"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tallybook")
@with_settings
def tallybook() -> None:
    """Keep the daily books of LLM API traffic.

    Collect the request logs of LLM gateways, close every UTC day once into an immutable daily statistic, and read any
    range from closed days. For a first look: `tallybook --home ./tallybook-demo demo`.
    """


for command in (
    serve,
    import_,
    attach,
    sources,
    detach,
    close,
    backfill,
    stats,
    report,
    status,
    verify,
    reconcile,
    adjustments,
    prune,
    backup,
    restore,
    migrate,
    roles,
    token,
    demo,
):
    tallybook.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: 0 done, 1 failed or a fault found, 2 wrong usage or refused."""
    _write_what_can_be_written()
    _start_no_idle_threads()
    try:
        code = tallybook.main(arguments, prog_name="tallybook", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = REFUSED
    except click.ClickException as error:
        code = _say(error.format_message(), "See `tallybook --help`.", REFUSED)
    except (KeyboardInterrupt, click.Abort):
        code = _say("Stopped.", "What was done is kept; run the command again to go on.", FAILED)
    except TallybookError as error:
        refused = isinstance(error, UsageError) or error.code in REFUSING_CODES
        code = _say(error.message, error.remedy, REFUSED if refused else FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        code = DONE
    except OSError as error:
        code = _say(f"The output cannot be written: {error.strerror}.", "Send it elsewhere.", FAILED)
    sys.exit(code if isinstance(code, int) else DONE)


def _write_what_can_be_written() -> None:
    """A terminal that knows no block characters gets question marks, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _start_no_idle_threads() -> None:
    """NumPy comes in with Arrow and would start a thread for each core, to multiply matrices, of which we have none."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _say(message: str, remedy: str, code: int) -> int:
    click.echo(f"tallybook: {' '.join(part for part in (message, remedy) if part)}", err=True)
    return code
