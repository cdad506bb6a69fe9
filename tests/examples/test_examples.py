"""Every file of examples/ runs as it stands."""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench_command import bench
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT, TINY

EXAMPLES = ROOT / "examples"


def table(runs: Path, suite: str = "tiny") -> str:
    return (runs / suite / "tables" / "main.md").read_text()


def test_the_suite_runs_on_models_and_data_of_ones_own(tmp_path: Path) -> None:
    for seed, who in enumerate(("teacher", "student")):
        tiny_folder(tmp_path / "models" / who, seed=seed, positions=512)
    (tmp_path / "data").mkdir()
    talk = [
        [{"role": "user", "content": f"a b {w}"}, {"role": "assistant", "content": f"c {w}"}] for w in "defg"
    ]
    write_rows(tmp_path / "data" / "dialogues.jsonl", [{"messages": messages} for messages in 4 * talk])
    pairs = [{"prompt": f"{v} {w}", "chosen": "x y", "rejected": "z"} for v in "abcd" for w in "efgh"]
    for name in ("pairs", "validation"):
        write_rows(tmp_path / "data" / f"{name}.jsonl", pairs)
    few = (
        "--name",
        "own",
        "--set",
        "generation.max_tokens=8",
        "--set",
        "benchmarks.teacher-reward.max_tokens=8",
    )
    done = bench("run", str(EXAMPLES / "own_suite.yaml"), *few, "--runs", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for row in ("Teacher", "Student", "SFT", "DPO", "DCKD", "ADPA"):
        assert f"| {row} |" in table(tmp_path / "runs", "own")


def test_the_method_gets_a_row(copied: Path) -> None:
    words = ("--method-file", str(EXAMPLES / "own_method.py"), "--only", "CPO")
    done = bench("run", TINY, "--runs", str(copied), *words)
    assert done.returncode == 0, done.stderr
    assert "| CPO |" in table(copied)


def test_the_benchmark_gets_a_column(copied: Path, tmp_path: Path) -> None:
    asked = [{"id": w, "prompt": f"is a {w} an animal ?", "keywords": [w]} for w in ("cat", "horse")]
    (tmp_path / "questions").mkdir()
    write_rows(tmp_path / "questions" / "keywords.jsonl", asked)
    words = ("--benchmark-file", str(EXAMPLES / "own_benchmark.py"), "--only", "DPO")
    setting = f"benchmarks.keywords={{data: {tmp_path / 'questions'}, max_tokens: 8}}"
    done = bench("run", TINY, "--runs", str(copied), *words, "--name", "tiny", "--set", setting)
    assert done.returncode == 0, done.stderr
    assert "| Keywords (%) (n=2) |" in table(copied)
    rows = [json.loads(line) for line in (copied / "tiny" / "results.jsonl").read_text().splitlines()]
    scores = [row["value"] for row in rows if row["benchmark"] == "keywords"]
    assert len(scores) == 3 * 2 and all(0 <= score <= 1 for score in scores)  # Teacher, Student, DPO


def test_the_judge_judges(copied: Path) -> None:
    words = ("--judge-file", str(EXAMPLES / "own_judge.py"), "--only", "DPO", "--name", "tiny")
    done = bench("run", TINY, "--runs", str(copied), *words, "--set", "benchmarks.mt-bench.judge=politeness")
    assert done.returncode == 0, done.stderr
    assert "MT-Bench: judge politeness" in table(copied)


def test_a_runs_rows_are_read_cell_by_cell(tiny_run: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "read_results.py"), str(tiny_run / "tiny")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "7 methods" in done.stdout and "ADPA less DPO: " in done.stdout and "train_flops" in done.stdout


def test_every_example_is_in_the_list_of_examples() -> None:
    page = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"({path.name})" in page
