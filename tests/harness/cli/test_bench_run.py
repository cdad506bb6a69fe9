"""The command `bench`, as people run it: real processes, real kills, one clear line for each fault."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from tests.bench_command import bench, start
from tests.paths import ROOT, TINY

RESULTS = ("results.jsonl", "training.jsonl", "tables/main.md", "tables/main.csv", "tables/main.tex")


def written(runs: Path) -> dict[str, bytes]:
    return {name: (runs / "tiny" / name).read_bytes() for name in RESULTS}


def made_at(runs: Path) -> dict[str, int]:
    """When texts, exports and page were written: they take seconds, and stay where no row is another."""
    files = [p for p in (runs / "tiny").rglob("*") if p.is_file()]
    return {str(p): p.stat().st_mtime_ns for p in files if "logs" not in p.parts}


def test_a_run_ends_in_tables_with_a_row_for_each_method(tiny_run: Path) -> None:
    table = (tiny_run / "tiny" / "tables" / "main.md").read_text()
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:]
    assert rows == ["Teacher", "Student", "SFT", "DPO", "DCKD", "ADPA", "ADPA+"]

    records = [json.loads(line) for line in (tiny_run / "tiny" / "results.jsonl").read_text().splitlines()]
    asked = {(r["benchmark"], r["method"]): 0 for r in records}
    for r in records:
        asked[r["benchmark"], r["method"]] += r["status"] == "ok"
    assert {n for (b, _), n in asked.items() if b == "rule"} == {16}
    assert {n for (b, _), n in asked.items() if b == "mt-bench"} == {16}
    assert {n for (b, _), n in asked.items() if b == "openllm"} == {16}
    assert {r["value"] for r in records if r["benchmark"] == "alpaca-eval" and r["method"] == "ADPA"} == {0.5}


def test_a_second_run_does_no_work(copied: Path, tmp_path: Path) -> None:
    before, times, used = written(copied), made_at(copied), 0.0
    running = start("run", TINY, "--runs", str(copied), folder=tmp_path)
    while running.process.exitcode is None:
        with contextlib.suppress(psutil.Error):
            used = sum(psutil.Process(running.process.pid).cpu_times()[:2])
        time.sleep(0.02)
    again = running.ended()

    assert again.returncode == 0 and "steps, 0 to do" in again.stdout
    assert 0 < used < 15  # seconds of a CPU, mostly 3; the store is not made again either way
    assert written(copied) == before and made_at(copied) == times


def test_what_was_taken_away_from_a_finished_run_is_written_again(copied: Path) -> None:
    out = copied / "tiny"
    page, export = (out / "report.html").read_bytes(), sorted((out / "exports" / "mt-bench").rglob("*"))
    tests = (out / "tables" / "comparison.csv").read_bytes()
    (out / "report.html").unlink()
    (out / "tables" / "comparison.csv").unlink()
    shutil.rmtree(out / "exports" / "mt-bench")
    assert bench("run", TINY, "--runs", str(copied)).returncode == 0
    assert (out / "report.html").read_bytes() == page
    assert (out / "tables" / "comparison.csv").read_bytes() == tests
    assert sorted((out / "exports" / "mt-bench").rglob("*")) == export


@pytest.mark.slow  # what is killed below shows the same, and more
def test_a_fresh_run_gives_the_same_bytes(tiny_run: Path, tmp_path: Path) -> None:
    assert bench("run", TINY, "--runs", str(tmp_path)).returncode == 0
    assert written(tmp_path) == written(tiny_run)


def test_another_seed_gives_other_bytes(tiny_run: Path, copied: Path) -> None:
    only = ("--only", "DCKD", "--set", "benchmarks={implicit-reward: {}}", "--name", "tiny")
    assert bench("run", TINY, "--runs", str(copied), *only).returncode == 0
    before = written(copied)["training.jsonl"]
    named = ("--set", "seeds=[1]", "--set", "name=tiny")  # another way to say --name
    assert bench("run", TINY, "--runs", str(copied), *only[:-2], *named).returncode == 0
    assert written(copied)["training.jsonl"] != before


@pytest.mark.parametrize("steps", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_bytes(tiny_run: Path, tmp_path: Path, steps: int) -> None:
    """SIGKILL when some steps are done: in the middle of the teacher's training, and of the students'."""
    running = start("run", TINY, "--runs", str(tmp_path), folder=tmp_path)
    running.wait_for(f"[{steps}/")
    time.sleep(0.05)
    running.process.kill()
    running.process.join()
    records = tmp_path.glob("store/*/*/RECORD.json")
    # Another step may have been on its way into the store.
    kept = {p: p.stat().st_mtime_ns for p in records if p.parents[1].name != "partial"}
    assert steps <= len(kept) < 89 and not (tmp_path / "tiny").exists()

    assert bench("run", TINY, "--runs", str(tmp_path)).returncode == 0
    assert written(tmp_path) == written(tiny_run)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "a finished step was done again"
    assert not list(tmp_path.glob("store/partial/*"))


def test_a_run_that_is_interrupted_says_in_one_line_that_it_can_go_on(tmp_path: Path) -> None:
    running = start("run", TINY, "--runs", str(tmp_path), folder=tmp_path)
    running.wait_for("[4/")
    assert running.process.pid
    os.kill(running.process.pid, signal.SIGINT)
    stopped = running.ended()

    assert stopped.returncode == 130
    assert stopped.stderr.strip() == "bench: stopped; the same command goes on where it was"
    assert not list(tmp_path.glob("store/partial/*"))


def test_a_changed_setting_is_planned_and_run_with_what_depends_on_it_only(copied: Path) -> None:
    change = ("--runs", str(copied), "--set", "methods.DCKD.alpha=2")
    told = [
        line for line in bench("run", TINY, *change, "--plan").stdout.splitlines() if line.startswith("run ")
    ]
    done = [line for line in bench("run", TINY, *change).stdout.splitlines() if line.startswith("[")]

    assert any("DCKD  [hp.alpha 1.0 -> 2.0]" in line for line in told)
    assert all("DCKD" in line or "ADPA+" in line for line in told)
    assert len(told) == len(done) < 30


def test_only_shows_the_reason_where_a_reference_run_is_missing(copied: Path) -> None:
    for path in copied.glob("store/*/alpaca-eval-*"):
        shutil.rmtree(path)
    done = bench("run", TINY, "--runs", str(copied), "--only", "DPO")
    table = (copied / "tiny" / "tables" / "main.md").read_text()

    assert done.returncode == 0
    assert "no answers of the reference ADPA" in table
    assert "| DCKD" not in table


def test_a_method_of_ones_own_gets_a_row(copied: Path, tmp_path: Path) -> None:
    own = tmp_path / "my.py"
    own.write_text((ROOT / "methods" / "dpo.py").read_text().replace('name="DPO"', 'name="MyMethod"'))
    words = ("run", TINY, "--runs", str(copied), "--method-file", str(own), "--only", "MyMethod")
    done = bench(*words)

    assert done.returncode == 0, done.stderr
    assert "MyMethod" in (copied / "tiny" / "tables" / "main.md").read_text()
    assert "0 to do" in bench(*words).stdout
    own.write_text(own.read_text() + "\n# another meaning, for all anyone knows\n")
    assert "  0 to do" not in bench(*words, "--plan").stdout


def folder_without_a_tokenizer(where: Path) -> str:
    from tests.harness.models.tiny_models import tiny_folder

    for path in tiny_folder(where / "bare").glob("token*"):
        path.unlink()
    return f"pairs.tiny.student.base={where / 'bare'}"


def folder_with_other_tokens(where: Path) -> str:
    from tests.harness.models.tiny_models import WORDS, tiny_folder

    return f"pairs.tiny.teacher.base={tiny_folder(where / 'other', words=[*WORDS[:-1], 'ZZ'])}"


def folder_without_a_matrix(where: Path) -> str:
    from safetensors.torch import load_file, save_file

    from tests.harness.models.tiny_models import tiny_folder

    file = tiny_folder(where / "student") / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    return f"pairs.tiny.student.base={where / 'student'}"


def data_without_a_column(where: Path) -> str:
    (where / "rows.jsonl").write_text('{"prompt": "a", "chosn": "b", "rejected": "c"}\n')
    return f"datasets.pocket.preference.path={where / 'rows.jsonl'}"


def empty_data(where: Path) -> str:
    (where / "rows.jsonl").write_text("")
    return f"datasets.pocket.preference.path={where / 'rows.jsonl'}"


def broken_data(where: Path) -> str:
    (where / "rows.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "cho')
    return f"datasets.pocket.preference.path={where / 'rows.jsonl'}"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda _: "trainin.lr=1", "did you mean 'training'"),
        (lambda _: "training.lr=fast", "given 'fast'"),
        (lambda _: "methods.ADAP={}", "no method 'ADAP'; did you mean 'ADPA'"),
        (folder_without_a_tokenizer, "no tokenizer there"),
        (folder_with_other_tokens, "other token maps"),
        (folder_without_a_matrix, "lacking: model.layers.1.mlp.up_proj.weight"),
        (data_without_a_column, "chosn"),
        (empty_data, "rows.jsonl"),
        (broken_data, "rows.jsonl"),
    ],
)
def test_what_a_person_can_mend_is_one_clear_line_and_exit_code_2(
    copied: Path, tmp_path: Path, fault, told
) -> None:  # type: ignore[no-untyped-def]
    failed = bench("run", TINY, "--runs", str(copied), "--set", fault(tmp_path))

    assert failed.returncode == 2, failed.stderr
    assert told in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1 and "Traceback" not in failed.stderr


def test_help_answers_without_the_heavy_libraries() -> None:
    heavy = "('torch', 'transformers', 'pandas')"
    code = f"import sys; from harness.cli.app import app; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert loaded.stdout.strip() == "[]"
    assert "run" in bench("--help").stdout


def test_the_version_is_the_packages() -> None:
    assert bench("--version").stdout == f"bench {version('prefbench')}\n"
