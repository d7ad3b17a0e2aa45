"""The command that serves."""

from __future__ import annotations

import logging

import click

from tallybook.cli.common import clock, err, out, settings, with_settings


@click.command()
@click.option("--host", metavar="HOST", help="Where to listen; 127.0.0.1 if not given.")
@click.option("--port", metavar="PORT", help="Where to listen; 8787 if not given, any free port for 0.")
@with_settings
def serve(host: str | None, port: str | None) -> None:
    """Serve: collect records over HTTP, answer statistics, and close each day at 00:05 UTC.

    Migrations are applied first. Days that were missed while no server ran are closed at once. Stops on Ctrl-C or
    SIGTERM after finishing what was accepted.
    """
    from tallybook.logformat import configure_logging
    from tallybook.web.serve import serve as run

    configure_logging(logging.INFO, as_json=not err.is_terminal)
    run(settings(host=host, port=port), clock, _announce)


def _announce(url: str) -> None:
    """Beside lines of log for people; where they are JSON, every line of standard error is, and one of them says it."""
    console = err if err.is_terminal else out
    console.print(f"tallybook serves on {url}  (Ctrl-C stops it)", soft_wrap=True)
