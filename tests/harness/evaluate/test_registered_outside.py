"""Benchmarks and judges that this tree does not know, each registered by one file or one line of a suite."""

import ast
import filecmp
import json
from pathlib import Path
from typing import Any

import pytest

from harness.evaluate import judges, registry
from harness.results import benchmarks as described
from harness.suite.benchmarks import benchmarks_of
from harness.suite.loading import suite_of
from tests.bench_command import bench
from tests.docs.pages import blocks
from tests.paths import ROOT

CONTROLS = """
name: own
world: {animals: 8, people: 8, pretrain: 60, sft: 160, pairs: 96, questions: 16, mt_questions: 8}
models: {constant: {control: constant}, copy: {control: copy}}
benchmarks:
"""
CLONE = """
from dataclasses import replace

from benchmarks.mt_bench import declaration

SHOWN = declaration.BENCHMARK.presentation
COLUMNS = tuple(replace(c, title="Clone", published={}) for c in SHOWN.columns)
CLONE = replace(
    declaration.BENCHMARK, name="clone", presentation=replace(SHOWN, title="Clone", columns=COLUMNS)
)
"""
MISTAKEN = """
from dataclasses import replace

from benchmarks.gsm8k import declaration

SHOWN = declaration.BENCHMARK.presentation
UNIT = replace(SHOWN.columns[0], unit="percent")
MINE = replace(declaration.BENCHMARK, **{{"name": "mine", **dict({})}})
"""
NAMES = ("mt-bench", "clone")
GRADED = "  mt-bench: {data: world/test/mt_bench}\n"


def run(folder: Path, benchmarks: str, *words: str, judges: str = "") -> str:
    (folder / "own.yaml").write_text(CONTROLS + benchmarks + judges)
    done = bench("run", str(folder / "own.yaml"), "--runs", str(folder), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(folder: Path, name: str, benchmark: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "own" / name).read_text().splitlines())
    return [row for row in lines if row["benchmark"] == benchmark]


def alike(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what names its benchmark and its steps."""
    return {k: v for k, v in row.items() if k not in ("benchmark", "artifacts")}


def main_table(folder: Path) -> str:
    return (folder / "own" / "tables" / "main.md").read_text()


def test_the_benchmark_of_the_docs_puts_its_column_into_the_table(tmp_path: Path) -> None:
    (tmp_path / "brief.py").write_text(blocks("docs/own-benchmark.md", "python")[0])
    words = ("--benchmark-file", str(tmp_path / "brief.py"))
    run(tmp_path, "  brief: {data: world/test/alpaca_eval}\n", *words)
    assert "Brief (%)" in main_table(tmp_path)
    values = {(r["method"], r["value"]) for r in rows(tmp_path, "results.jsonl", "brief")}
    assert ("constant", 1.0) in values and all(value in (0.0, 1.0) for _, value in values)
    kept = bench("store", "gc", "--keep", str(tmp_path / "own.yaml"), *words, "--runs", str(tmp_path))
    assert kept.stdout.splitlines()[-1].startswith("0 folders")

    ids = {r["artifacts"] and r["artifacts"][-1] for r in rows(tmp_path, "results.jsonl", "brief")}
    (tmp_path / "brief.py").write_text(blocks("docs/own-benchmark.md", "python")[0] + "# edited\n")
    run(tmp_path, "  brief: {data: world/test/alpaca_eval}\n", *words)
    assert not ids & {r["artifacts"][-1] for r in rows(tmp_path, "results.jsonl", "brief")}


def test_the_judge_of_the_docs_judges_a_column_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "brevity.py").write_text(blocks("docs/own-judge.md", "python")[0])
    graded = "  mt-bench: {data: world/test/mt_bench, judge: brevity}\n"
    run(tmp_path, graded, "--judge-file", str(tmp_path / "brevity.py"))
    assert "MT-Bench: judge brevity" in main_table(tmp_path)
    found = rows(tmp_path, "results.jsonl", "mt-bench")
    assert {r["judge"] for r in found} == {"brevity"} and all(1 <= r["value"] <= 10 for r in found)
    (told,) = {(r["calls"], r["usd"]) for r in rows(tmp_path, "judging.jsonl", "mt-bench")}
    assert told == (0, 0.0)


@pytest.mark.parametrize("by_file", [True, False])
def test_a_clone_of_mt_bench_gets_all_that_the_original_gets(tmp_path: Path, by_file: bool) -> None:
    """Registered by a file, or `like` it in the suite, on the same data."""
    (tmp_path / "clone.py").write_text(CLONE)
    words = ("--benchmark-file", str(tmp_path / "clone.py")) if by_file else ()
    like = "" if by_file else "like: mt-bench, "
    run(tmp_path, GRADED + f"  clone: {{{like}data: world/test/mt_bench}}\n", *words)
    for name in ("results.jsonl", "summaries.jsonl", "judging.jsonl", "texts.jsonl"):
        ours, theirs = (rows(tmp_path, name, benchmark) for benchmark in ("clone", "mt-bench"))
        assert list(map(alike, ours)) == list(map(alike, theirs)) != []

    exports = tmp_path / "own" / "exports"
    found = [p.relative_to(exports / "clone") for p in (exports / "clone").rglob("*.jsonl")]
    assert len(found) == 3  # answers of two rows, and the judgments
    assert all(filecmp.cmp(exports / "clone" / f, exports / "mt-bench" / f, shallow=False) for f in found)
    told = {b["name"]: b for b in json.loads((tmp_path / "own" / "benchmarks.json").read_text())}
    assert told["clone"]["categories"] == told["mt-bench"]["categories"]
    head = main_table(tmp_path).splitlines()
    assert any("MT-Bench" in line and ("Clone" in line or "clone" in line) for line in head)


def test_a_clone_is_planned_and_estimated_as_the_original(tmp_path: Path) -> None:
    (tmp_path / "clone.py").write_text(CLONE)
    file = ("--benchmark-file", str(tmp_path / "clone.py"))
    (empty := tmp_path / "no-questions").mkdir()
    both = f"  mt-bench: {{data: {empty}, judge: g}}\n  clone: {{data: {empty}, judge: g}}\n"
    told = run(tmp_path, both, "--estimate", *file, judges="judges: {g: {model: gpt-4}}\n")
    lines = {
        name: line.split(name)[1]
        for line in told.splitlines()
        for name in ("mt-bench", "clone")
        if name in line
    }
    assert lines["clone"].split() == lines["mt-bench"].split() and "320" in lines["clone"]

    told = run(tmp_path, GRADED + "  clone: {data: world/test/mt_bench}\n", "--plan", *file)
    assert told.count("clone judgments of") == told.count("mt-bench judgments of") == 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "defines no Benchmark"),
        ("from benchmarks.gsm8k.declaration import BENCHMARK", "benchmark registered twice: gsm8k-cot"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (MISTAKEN.format('name="a.b"'), r"benchmark a.b: name: given 'a.b'"),
        (MISTAKEN.format("settings=dict"), "benchmark 'mine'.settings: given <class 'dict'>"),
        (MISTAKEN.format("load=None"), "benchmark mine: load: missing"),
        (MISTAKEN.format('metric="shre"'), "a column of 'accuracy', but its records hold 'shre'"),
        (MISTAKEN.format("presentation=replace(SHOWN, columns=(UNIT,))"), "columns.0.unit: given 'percent'"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ValueError, match=message):
        registry.known(benchmark_file=str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    ("benchmarks", "message"),
    [
        ("  mt-bnch: {}", "benchmarks.mt-bnch: no benchmark 'mt-bnch'; did you mean 'mt-bench'?"),
        ("  mine: {like: mt}", "benchmarks.mine.like: no benchmark 'mt'"),
        ("  mine: {like: mt-bench, dat: x}", "benchmarks.mine.dat: unknown key; did you mean 'data'?"),
        (
            "  mt-bench: {judge: ruel}",
            "benchmarks.mt-bench.judge: no judge 'ruel'; did you mean 'rule'?",
        ),
        (
            "  tickets: {like: mt-bench, data: tickets}",
            "benchmarks.tickets: no file tickets/judge_prompts.jsonl",
        ),
        (
            "  style: {like: alpaca-eval, data: style}",
            "benchmarks.style: no outputs of 'text_davinci_003' in style",
        ),
        ("  mine: {like: [mt-bench]}", "benchmarks.mine.like: no benchmark ['mt-bench']"),
        ("  my.own: {like: mt-bench}", "benchmarks.my.own: given 'my.own'"),
        ("  3: {like: mt-bench}", "benchmarks: the key 3 is no text; put it in quotes"),
        ("  openllm: {like: mt-bench}", "benchmarks.openllm.like: openllm is a benchmark itself"),
        ("  objective: {rate: 1}", "benchmarks.objective.rate: unknown key; known: none"),
        ("  - mt-bench", "benchmarks: given ['mt-bench']; input should be a mapping of keys"),
    ],
)
def test_a_fault_in_what_a_suite_says_of_benchmarks_is_one_line(
    tmp_path: Path, benchmarks: str, message: str
) -> None:
    (tmp_path / "own.yaml").write_text(CONTROLS + benchmarks)
    for folder, name, text in (
        ("tickets", "question.jsonl", '{"question_id": 1, "turns": ["When will it come?"]}'),
        ("style", "questions.json", '[{"instruction": "Write a line about rain."}]'),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    done = bench("run", "own.yaml", "--runs", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_row_has_its_records_in_one_order_whatever_a_suite_lists_first() -> None:
    """And not in that of the tables' columns: both are those of the runs that were written before."""
    listed = {"mine": {"like": "mt-bench"}, "gsm8k-cot": {}, "openllm": {"tasks": ["a"]}, "rule": {}}
    known = registry.known().benchmarks
    assert [*benchmarks_of(listed, known, "").chosen] == ["rule", "openllm", "gsm8k-cot", "mine"]
    raw = {"name": "s", "models": {"m": {"control": "empty"}}, "benchmarks": listed, "world": {}}
    columns = [b.name for b in described.benchmarks(suite_of(raw, registry.known(), "")) if b.name in listed]
    assert columns == ["gsm8k-cot", "openllm", "rule", "mine"]


# Registrations; and the generated world, which writes the files of several benchmarks.
OWN = {f"harness/evaluate/{name}.py" for name in ("registry", "held_out", "openllm", "judges")}
# Names that also stand for something else: kinds of steps, a field of rewards.jsonl, a way to select.
AMBIGUOUS = {"openllm", "objective", "reward"}


def test_names_of_benchmarks_and_judges_stand_in_no_module_of_the_harness() -> None:
    names = {b.declaration.name for b in registry.BUILT_IN} | {kind.name for kind in judges.BUILT_IN}
    found = [
        f"{path}:{node.lineno} {node.value}"
        for path in (p.relative_to(ROOT) for p in (ROOT / "harness").rglob("*.py"))
        if str(path) not in OWN and path.parts[1] != "pocket"
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Constant) and node.value in names - AMBIGUOUS
    ]
    assert not found
