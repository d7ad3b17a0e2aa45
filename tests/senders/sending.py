"""Runs the senders, each as a process in an environment of its own, and tells what came of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from acceptance.running import Home, Server, end, environment, wait_for

TESTS = Path(__file__).parents[1]
ENVIRONMENTS = TESTS.parent / os.environ.get("SENDERS", ".venv-senders")
REQUIRED = "TALLYBOOK_REQUIRE_SENDERS"
"""Where this is set, an environment that is not there is a failure and no skip."""

PATIENCE_S = 120
LOCAL_ONLY = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "sk-of-nobody"}
"""LiteLLM would fetch its prices from the network."""

FIGURES = ("requests", "success", "failed", "tokens_in", "tokens_out")


def interpreter(name: str) -> str:
    """The Python of an environment of senders; without it the test is skipped, or fails where senders are required."""
    found = ENVIRONMENTS / name / "bin" / "python"
    if not found.exists():
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(f"no {found}; make test-senders makes it")
    return str(found)


@dataclass(frozen=True)
class Sending:
    """A sender at work."""

    process: subprocess.Popen[bytes]

    def outcome(self) -> Any:
        """Waits for its end, which must be a good one, without a call beyond this machine; what it says it sent."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err.decode()
        told = json.loads(out)
        assert told.pop("beyond_loopback") == []
        return told


@contextmanager
def sending(where: str, *words: str, env: Mapping[str, str]) -> Iterator[Sending]:
    """A sender at work: a program of ours, or a command of the environment; stopped at the end, whatever happens."""
    python = Path(interpreter(where))
    own = {name: value for name, value in environment().items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [str(python.with_name(words[0])), *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=TESTS,
        env={**own, **LOCAL_ONLY, **env, "PATH": f"{python.parent}:{own['PATH']}"},
    )
    with process:
        try:
            yield Sending(process)
        finally:
            end(process)


def send(where: str, *words: str, env: Mapping[str, str]) -> Any:
    """Runs a sender to its end; answers what it says it sent."""
    with sending(where, *words, env=env) as started:
        return started.outcome()


@dataclass(frozen=True)
class FakeOpenAI:
    """An OpenAI of our own."""

    url: str

    def truth(self) -> dict[str, int]:
        """What it has told its clients."""
        counted: dict[str, int] = httpx.get(f"{self.url}/truth", trust_env=False).json()
        return counted


@contextmanager
def fake_openai(*statuses: int) -> Iterator[FakeOpenAI]:
    """An OpenAI of our own, which answers with these statuses, again and again."""
    process = subprocess.Popen(
        [sys.executable, "-m", "senders.fake_openai", *map(str, statuses)],
        stdout=subprocess.PIPE,
        cwd=TESTS,
    )
    with process:
        try:
            assert process.stdout
            yield FakeOpenAI(wait_for(process.stdout.readline).decode().strip())
        finally:
            end(process)


def figures(server: Server) -> dict[str, int]:
    """What the server counts today, in the terms of `fake_openai`."""
    totals = server.get("/v1/stats", period="today")["totals"]
    return {name: totals[name] for name in FIGURES}


def counted(server: Server, sender: str) -> dict[str, int]:
    """What this server has counted of a sender, by what became of it."""
    told = server.http.get("/metrics").text
    names = ("accepted", "duplicate", "rejected", "ignored")
    return {name: _sum(told, f"tallybook_records_{name}_total", f'sender="{sender}"') for name in names}


def _sum(told: str, metric: str, label: str) -> int:
    lines = [line.split() for line in told.splitlines() if line.startswith(f"{metric}{{") and label in line]
    return sum(round(float(line[-1])) for line in lines)


def stored_ids(home: Home) -> list[str]:
    """The ids of all stored records, of a home whose server has stopped."""
    with duckdb.connect(home.path / "logs.duckdb", read_only=True) as logs:
        return [request_id for (request_id,) in logs.execute("SELECT request_id FROM log_records").fetchall()]


def free_port() -> str:
    """A port of loopback that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])
