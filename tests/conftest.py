"""What tests share: the real files beside the repository, a finished run, and a word on what was skipped."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from filelock import FileLock

from tests.bench_command import bench
from tests.paths import TINY

SHARED_DATA = Path(os.environ.get("BENCH_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
NO_SHARED_DATA = "no shared data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{NO_SHARED_DATA} at {SHARED_DATA}; set BENCH_TEST_DATA")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny suite has run, once for all of pytest's processes; who writes copies it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each has a folder of its own in that of the session
        folder = folder.parent
    runs = folder / "tiny-run"
    with FileLock(folder / "tiny-run.lock"):
        if not (runs / "done").exists():
            done = bench("run", TINY, "--runs", str(runs))
            assert done.returncode == 0, done.stderr
            (runs / "done").touch()
    return runs


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to go on from."""
    return shutil.copytree(tiny_run, tmp_path / "runs", symlinks=True)


def pytest_configure() -> None:
    """What a shell puts into the background starts deaf to Ctrl-C; the tests and their processes hear it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests could not run without the shared data."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NO_SHARED_DATA in str(report.longrepr) for report in skipped)
    terminalreporter.write_line(
        f"{count} tests skipped for want of shared data (BENCH_TEST_DATA={SHARED_DATA})"
    )
