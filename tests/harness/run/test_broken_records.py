"""A run's folder and a store that something has damaged: what can be made again is, the rest is one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.run import earlier_rows, results
from harness.run.results import SCREEN, STAMP
from tests.bench_command import COMMAND, ENV, bench
from tests.paths import ROOT, TINY

RUN = ("run", TINY)
SHOW = ("show", "tiny", "--methods", "SFT", "--benchmark", "mt-bench", "--question", "1")
DEEP = b"[" * 100_000


BROKEN = [
    ("results.jsonl", b"null\n", ("report", "tiny"), "results.jsonl:1: not a record"),
    ("results.jsonl", b"", ("report", "tiny"), "results.jsonl: not as its run wrote it"),
    ("costs.jsonl", None, ("report", "tiny"), "costs.jsonl: No such file"),
    ("texts.jsonl", b"\xff\xfe", SHOW, "texts.jsonl:1: not a text"),
    ("steps.jsonl", b"null\n", ("chat", "tiny", "SFT"), "steps.jsonl, line 1: not a run's steps"),
    ("steps.jsonl", DEEP, ("export", "tiny/SFT", "to"), "steps.jsonl, line 1: nested"),
    ("steps.jsonl", b"", ("export", "tiny/SFT", "to"), "steps.jsonl: holds no steps"),
    ("benchmarks.json", b"{", ("report", "tiny"), "benchmarks.json: "),
]


def test_a_file_of_a_run_that_cannot_be_read_is_one_line_and_the_run_writes_it_anew(copied: Path) -> None:
    for file, content, words, told in BROKEN:
        path = copied / "tiny" / file
        whole, at = path.read_bytes(), path.stat()
        path.unlink()
        if content is not None:
            path.write_bytes(content)

        found = bench(*words, BENCH_RUNS=str(copied))

        assert found.returncode == 2 and len(found.stderr) < 300 and found.stderr.count("\n") == 1
        assert f"{copied / 'tiny' / told}" in found.stderr
        if file != BROKEN[-1][0]:
            path.write_bytes(whole)
            os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert bench(*RUN, BENCH_RUNS=str(copied)).returncode == 0
    assert (copied / "tiny" / BROKEN[-1][0]).read_bytes() == whole


def test_rows_edited_by_hand_are_told_by_their_checksum(copied: Path) -> None:
    path = copied / "tiny" / "results.jsonl"
    at, rows = path.stat(), path.read_text()
    assert '"value": 1.0' in rows
    path.write_text(rows.replace('"value": 1.0', '"value": 0.0', 1))
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))

    found = bench("compare", "tiny", "--baseline", "SFT", BENCH_RUNS=str(copied))
    assert found.returncode == 2 and f"{path}: not as its run wrote it" in found.stderr

    assert bench(*RUN, BENCH_RUNS=str(copied)).returncode == 0
    assert path.read_text() == rows


CONTENTS = (b"", b"null", b"[3]", b'{"of": 3, "rows": 1, "suite": [1]}', DEEP, b"\xff\xfe")


def test_what_a_run_keeps_for_itself_is_read_as_nothing_where_it_is_broken(tmp_path: Path) -> None:
    for content in CONTENTS:
        for name in (STAMP, SCREEN, earlier_rows.SETTINGS):
            (tmp_path / name).write_bytes(content)
        assert results._stamped(tmp_path) == results.Stamp()
        assert results._screen(tmp_path) is None and earlier_rows.read(tmp_path) is None


def test_what_a_run_keeps_for_itself_is_written_anew(copied: Path) -> None:
    files = (STAMP, SCREEN, earlier_rows.SETTINGS, "exports/manifest.json")
    for file in files:
        (copied / "tiny" / file).write_bytes(DEEP)
    found = bench(*RUN, BENCH_RUNS=str(copied))
    assert found.returncode == 0 and not found.stderr
    assert all(json.loads((copied / "tiny" / file).read_text()) for file in files)
    assert "settings.json cannot be read: rows of earlier runs are no more in the tables" in found.stdout


def test_a_table_that_a_stamp_names_elsewhere_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / STAMP).write_text(json.dumps({"of": "", "files": {}, "tables": ["../../mine"]}))
    assert not results._stamped(tmp_path).tables


def test_runs_are_listed_beside_one_whose_rows_cannot_be_read(copied: Path) -> None:
    shutil.copytree(copied / "tiny", copied / "other")
    (copied / "other" / "settings.json").unlink()
    (copied / "other" / "results.jsonl").write_text("null\n")
    found = bench("runs", "--json", BENCH_RUNS=str(copied))
    assert found.returncode == 0 and "other/results.jsonl:1: not a record" in found.stderr
    assert {run["run"]: run["rows"] for run in json.loads(found.stdout)} == {"other": None, "tiny": 7}


def removed(record: Path) -> None:
    record.unlink()


def of_another(record: Path) -> None:
    shutil.rmtree(record.parent)
    shutil.copytree(next((record.parent.parent).glob("sft-teacher-*")), record.parent)


def of_other_types(record: Path) -> None:
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "inputs": {"a": 3}, "version": [1]}))


def test_artifacts_without_a_record_of_their_own_are_told_and_made_again(copied: Path) -> None:
    lost = {}
    for row, damage, told in (
        ("dpo", removed, "RECORD.json missing"),
        ("dckd", of_another, "RECORD.json is of another artifact"),
        ("adpa", of_other_types, "RECORD.json cannot be read"),
    ):
        record = next((copied / "store" / "train").glob(f"{row}-[0-9a-f]*/RECORD.json"))
        damage(record)
        lost[f"train/{record.parent.name}"] = told

    listed, checked = (bench("store", word, BENCH_RUNS=str(copied)) for word in ("ls", "verify"))
    assert listed.returncode == 0 and all(Path(name).name in listed.stdout for name in lost)
    assert checked.returncode == 1 and all(name in checked.stdout for name in lost)
    for words in (("why", "DPO", "SFT"), ("store", "gc"), ("chat", "tiny", "ADPA")):
        assert "Traceback" not in bench(*words, BENCH_RUNS=str(copied)).stderr

    again = bench(*RUN, BENCH_RUNS=str(copied))
    assert again.returncode == 0, again.stderr
    assert all(f"damaged, so it is made again: {name}: {told}" in again.stdout for name, told in lost.items())
    assert bench("store", "verify", BENCH_RUNS=str(copied)).returncode == 0


def test_a_run_without_work_needs_to_write_nowhere(copied: Path) -> None:
    """As on a disk that is read alone; its tables may have to be drawn by other code than wrote them."""
    stamp = copied / "tiny" / STAMP
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "of": "other code"}))
    for path in (copied, *copied.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = {path: path.lstat().st_mtime_ns for path in copied.rglob("*")}
    # Root writes whatever the modes say, unless it gives that up.
    without = () if os.getuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    command = (*without, sys.executable, *COMMAND[1:], *RUN, "--runs", str(copied))

    found = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True)

    assert found.returncode == 0, found.stderr
    assert f"{copied / 'tiny'} cannot be written" in found.stderr and found.stderr.count("\n") == 1
    assert "Results: tiny" in found.stdout and "ADPA" in found.stdout
    assert {path: path.lstat().st_mtime_ns for path in copied.rglob("*")} == before
    for path in (copied, *copied.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
