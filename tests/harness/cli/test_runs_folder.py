"""--runs of a command that only reads: a folder that was typed is there."""

from pathlib import Path

import pytest

from tests.bench_command import bench

OF_STORE = (("store", "ls"), ("store", "gc"), ("store", "verify"))


@pytest.mark.parametrize("words", [("runs",), ("why", "a", "b"), ("view", "a"), *OF_STORE])
def test_a_mistyped_folder_is_one_line_and_no_empty_list(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for given, told in (("gone", "no such folder"), ("file", "a file, where a folder is expected")):
        ended = bench(*words, "--runs", given, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"bench: --runs {given}: {told}\n"


@pytest.mark.parametrize("words", [("runs",), ("store", "ls")])
def test_a_fresh_folder_holds_nothing_where_none_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    assert bench(*words, cwd=tmp_path, BENCH_RUNS=str(tmp_path / "later")).returncode == 0
