"""`bench new-method` and `bench new-benchmark`: files and tests that pass at once and take no other place."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench_command import ENV, bench


def run_pytest(folder: Path, *files: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files_pass_their_own_tests_at_once(tmp_path: Path) -> None:
    for kind, name in (("method", "My-Hinge"), ("benchmark", "house-words")):
        done = bench(f"new-{kind}", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "4 passed" in run_pytest(tmp_path, "test_my_hinge.py", "test_house_words.py")
    listed = bench("methods", "My-Hinge", "--method-file", "my_hinge.py", cwd=tmp_path)
    assert listed.returncode == 0 and "delta" in listed.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new-method", "dpo"), "there is a DPO already"),
        (("new-method", "student"), "there is a Student already"),
        (("new-method", "torch"), "torch is Python's or a library's name"),
        (("new-method", "a/b"), "allowed are letters"),
        (("new-benchmark", "mt-bench"), "there is a mt-bench already"),
        (("new-benchmark", "mine"), "test_mine.py is there already"),
        (("new-benchmark", "other", "--to", "nowhere"), "no such folder"),
    ],
)
def test_a_name_that_is_taken_writes_nothing(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("mine")
    done = bench(*words, cwd=tmp_path)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
