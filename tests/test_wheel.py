"""The wheel: it holds what the packages need, and runs without the tree."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.paths import ROOT, TINY

PACKAGES = ("harness", "methods", "benchmarks", "reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the tree; no network is asked."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    subprocess.run([*build, "--no-index", "--wheel-dir", copy / "dist", copy], check=True)
    (path,) = (copy / "dist").glob("prefbench-*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if not name.startswith("prefbench-")}
    assert packed == files
    assert {path.rpartition(".")[2] for path in files} >= {"csv", "css", "j2", "js", "json", "typed", "yaml"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and the libraries of this one by their folder alone:
    a .pth file in there, such as that of an editable install, is not read.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    python = folder / "bin" / "python"
    install = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    )
    subprocess.run([*install, wheel], check=True)
    return folder / "bin" / "bench"


def run(command: Path, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "BENCH_RUNS")}
    env |= {"CI": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run([command, *words], capture_output=True, text=True, cwd=cwd, env=env, timeout=300)


@pytest.mark.slow
def test_the_installed_command_shows_a_suite_that_ships(installed: Path, tmp_path: Path) -> None:
    shown = run(installed, "suites", "show", "pocket-all", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert (ROOT / "harness" / "presets" / "pocket-all.yaml").read_text().strip() in shown.stdout


@pytest.mark.slow
def test_the_installed_command_gives_the_rows_that_the_tree_gives(
    installed: Path, tiny_run: Path, tmp_path: Path
) -> None:
    suite = shutil.copy(TINY, tmp_path)
    done = run(installed, "run", str(suite), "--runs", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("results.jsonl", "training.jsonl", "tables/main.md"):
        assert (tmp_path / "runs" / "tiny" / name).read_bytes() == (tiny_run / "tiny" / name).read_bytes()
