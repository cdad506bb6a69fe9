"""Where `bench export` and `bench push` write to: a name that nothing has, of any bytes."""

import os
from pathlib import Path

import pytest

from tests.bench_command import bench

COMMANDS = (
    ("export", "tiny/DPO", "TO"),
    ("export", "tiny", "TO"),
    ("push", "tiny", "DPO", "--to", "o/n", "--dry-run", "--out", "TO"),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_a_link_to_nowhere_is_a_name_that_is_taken(
    tiny_run: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    to = tmp_path / "link"
    to.symlink_to("nowhere")
    done = bench(*(str(to) if word == "TO" else word for word in words), "--runs", str(tiny_run))
    assert done.returncode == 2 and f"{to}: exists; name a folder" in done.stderr, done.stderr
    assert to.is_symlink() and list(tmp_path.iterdir()) == [to]


def test_a_word_that_a_text_cannot_hold_is_named(tiny_run: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    words = ("push", "tiny", "DPO", "--to", "o/n", "--dry-run", "--license", odd)
    done = bench(*words, "--out", str(tmp_path / "d"), "--runs", str(tiny_run))
    assert done.returncode == 2 and done.stderr == "bench: \\udcff: not UTF-8\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_of_any_bytes_is_written(tiny_run: Path, tmp_path: Path) -> None:
    to = tmp_path / os.fsdecode(b"\xff")
    done = bench("export", "tiny/DPO", str(to), "--runs", str(tiny_run))
    assert done.returncode == 0 and (to / "config.json").is_file(), done.stderr
