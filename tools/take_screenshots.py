"""Takes the pictures of the README: demo data, a real server, Chromium. `make screenshots` calls it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VIEWS: dict[str, dict[str, Any]] = {
    "overview": {"path": "", "color_scheme": "light"},
    "overview-dark": {"path": "?measure=latency&period=last90d", "color_scheme": "dark"},
    "day": {"path": "day?day={yesterday}", "color_scheme": "light"},
    "book": {"path": "book", "color_scheme": "light"},
    "phone": {"path": "", "color_scheme": "dark", "width": 390, "height": 844},
}
DAYS = 190
"""As many as it takes for 90 days to have as many before them."""


@contextmanager
def serving() -> Iterator[str]:
    """The URL of a server on demo data."""
    with tempfile.TemporaryDirectory(prefix="tb-") as home:
        command = [sys.executable, "-m", "tallybook", "--home", home]
        subprocess.run([*command, "demo", "--days", str(DAYS)], check=True, capture_output=True)
        with subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
            found = re.search(r"http://[^\s\"]+", server.stderr.readline() if server.stderr else "")
            if found is None:
                sys.exit("The server did not start.")
            try:
                yield found[0]
            finally:
                server.terminate()


def main(folder: Path) -> None:
    """Writes a picture of each view into the folder."""
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit("There is no Chromium here; on Debian: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, view in VIEWS.items():
            size = {"width": view.get("width", 1240), "height": view.get("height", 860)}
            page = browser.new_page(viewport=size, color_scheme=view["color_scheme"])  # type: ignore[arg-type]
            page.goto(f"{url}/{view['path'].format(yesterday=yesterday)}")
            page.screenshot(path=folder / f"{name}.png", full_page=name in ("book", "day"))
            page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
