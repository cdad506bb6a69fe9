"""The pictures of the docs: the first screen of a run's page on a desk and on a phone.

python -m tests.reports.page.screenshots runs/pocket
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.paths import ROOT

PICTURES = {"report.png": (1400, 900), "report-390.png": (390, 844)}
LARGEST = 300_000  # bytes: of a picture in the repository


def main(run: Path) -> None:
    """Write both pictures of `report.html` in the folder of a run."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height) in PICTURES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
            page.goto((run / "report.html").resolve().as_uri(), wait_until="load")
            picture = page.screenshot(path=ROOT / "docs" / name)
            assert len(picture) < LARGEST, f"{name}: {len(picture):,} bytes"
            print(f"Written: docs/{name}, {len(picture):,} bytes")
            page.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
