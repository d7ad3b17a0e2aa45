"""`/openapi.json` is what the server does: every call, whatever a generator makes of its description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from acceptance.running import Home, serving

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))


def test_no_call_answers_otherwise_than_it_is_described(home: Home, tmp_path: Path) -> None:
    """One check is left out: that a day exists, a range runs forwards and a source is there, no schema can say."""
    with serving(home) as server:
        done = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"{server.url}/openapi.json",
                *("--exclude-checks", "positive_data_acceptance"),
                *("--max-examples", "30", "--seed", "20261124", "--no-color"),
            ],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        log = server.log.read_text()
    assert "12 operations" in done.stdout or "Tested: 12" in done.stdout, done.stdout
    assert "traceback" not in log.lower()
