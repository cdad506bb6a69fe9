"""What tests share: the real files beside the repository, and a word on what was skipped without them."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
NO_SHARED_DATA = "no shared data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{NO_SHARED_DATA} at {SHARED_DATA}; set BENCH_TEST_DATA")
    return SHARED_DATA


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests could not run without the shared data."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NO_SHARED_DATA in str(report.longrepr) for report in skipped)
    terminalreporter.write_line(
        f"{count} tests skipped for want of shared data (BENCH_TEST_DATA={SHARED_DATA})"
    )
