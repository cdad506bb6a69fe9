"""A run with two worlds and two seeds, by the command: rows of each, told apart in every file and text."""

import json
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import methods
from harness.executors.options import Machine
from harness.plan import plan as planning
from harness.results import manifest
from harness.store.store import Store
from reports.answers_in_terminal import shown
from reports.page.plan_view import trained
from reports.records import run_folder
from reports.records.groups import grouped
from reports.records.merge import merged
from reports.records.run_folder import Rows
from reports.records.texts import read_steps, read_texts
from reports.statistics.bootstrap import Replicate
from tests import suites
from tests.bench_command import bench
from tests.paths import TINY

SMALLER = (
    "world={animals: 8, people: 8, pretrain: 16, sft: 16, pairs: 16, validation_pairs: 8, questions: 8, "
    "mt_questions: 8}",
    "benchmarks={mt-bench: {data: world/test/mt_bench, max_tokens: 8}, "
    "alpaca-eval: {data: world/test/alpaca_eval, max_tokens: 8, reference: ADPA}}",
)
pytestmark = pytest.mark.slow  # 20 s; the plan's tests and those of rows show the same in seconds
ROWS = ("Teacher", "Student", "ADPA")
ALL = [Replicate(world, seed) for world in (0, 1) for seed in (0, 1)]


def run(runs: Path, *overrides: str) -> "CompletedProcess[str]":
    sets = [word for given in ("name=tiny", *SMALLER, *overrides) for word in ("--set", given)]
    return bench("run", TINY, "--runs", str(runs), "--only", "ADPA", *sets)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("worlds")
    done = run(runs, "world_seeds=[0, 1]", "seeds=[0, 1]")
    assert done.returncode == 0, done.stderr
    return runs


@pytest.fixture(scope="module")
def rows(runs: Path) -> Rows:
    return run_folder.read(runs / "tiny")


def test_every_kind_of_row_is_there_for_each_world_and_seed(rows: Rows) -> None:
    of_methods = (rows.records, rows.summaries, rows.judging, rows.costs, rows.training)
    for kind in of_methods:
        runs = {(r.method, r.replicate) for r in kind}
        methods = {method for method, _ in runs}
        assert runs == {(method, replicate) for method in methods for replicate in ALL}
        assert {*methods} == ({*ROWS} if kind is not rows.training else {"ADPA"})
    asked = Counter(r.replicate for r in rows.records)
    assert len(set(asked.values())) == 1, "as many of each"


def test_a_line_names_its_world_seed_only_where_it_is_not_0(runs: Path) -> None:
    lines = [json.loads(line) for line in (runs / "tiny" / "results.jsonl").read_text().splitlines()]
    assert Counter(line.get("world_seed") for line in lines).keys() == {None, 1}


def test_worlds_have_other_base_models_and_the_same_questions(rows: Rows) -> None:
    students = {world: set[str]() for world in (0, 1)}
    asked: dict[Replicate, set[tuple[str, str, str]]] = {replicate: set() for replicate in ALL}
    for r in rows.records:
        asked[r.replicate].add((r.benchmark, r.group, r.question))
        if r.method == "Student":
            students[r.world_seed].add(r.artifacts[0])
    assert len(students[0]) == len(students[1]) == 1 and students[0] != students[1]
    assert len({frozenset(own) for own in asked.values()}) == 1


def test_a_row_is_compared_with_the_reference_of_its_own_world_and_seed(runs: Path, rows: Rows) -> None:
    texts = [t for t in read_texts(runs / "tiny" / "texts.jsonl") if t.benchmark == "alpaca-eval"]
    own = {(t.replicate, t.question): t.answer for t in texts if t.method == "ADPA"}
    assert texts and all(t.reference_answer == own[t.replicate, t.question] for t in texts)
    assert {r.value for r in rows.records if r.benchmark == "alpaca-eval" and r.method == "ADPA"} == {0.5}


def test_a_second_run_does_no_work_and_one_world_needs_nothing_new(runs: Path) -> None:
    again = run(runs, "world_seeds=[0, 1]", "seeds=[0, 1]")
    assert again.returncode == 0 and "steps, 0 to do" in again.stdout
    assert "steps, 0 to do" in run(runs, "world_seeds=[1]", "seeds=[1]", "name=one").stdout


def test_the_values_of_a_group_are_by_world_and_seed_and_the_table_says_so(runs: Path, rows: Rows) -> None:
    groups = grouped(rows.records, rows.benchmarks)
    assert {tuple(sorted(g.replicates)) for g in groups} == {tuple(ALL)}
    assert {tuple(sorted(g.measured.runs)) for g in groups} == {tuple(ALL)}
    table = (runs / "tiny" / "tables" / "main.md").read_text()
    assert "means over worlds 0, 1 x seeds 0, 1" in table
    assert "nothing says how far trainings lie apart" in table  # all values of so small a world are alike


def test_exports_are_named_by_world_and_seed_and_hold_what_the_run_says(runs: Path) -> None:
    out = runs / "tiny" / "exports"
    written = manifest.read(out)
    assert written and not written.differences(out)
    names = {row.row: (row.world_seed, row.seed, row.method) for row in written.rows}
    assert names == {f"{r.world}-{r.seed}-{m}": (*r, m) for r in ALL for m in ROWS}
    audited = bench("audit", "tiny", "--runs", str(runs))
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_answers_and_stages_are_told_by_world_and_seed(runs: Path) -> None:
    texts = read_texts(runs / "tiny" / "texts.jsonl")
    question = next(t.question for t in texts if t.benchmark == "mt-bench")
    heads = [line for line in shown(texts, ["ADPA"], "mt-bench", question).splitlines() if "--- ADPA" in line]
    for replicate in ALL:  # of each two turns
        assert sum(f"ADPA, world {replicate.world}, seed {replicate.seed}," in head for head in heads) == 2
    assert len(heads) == 8

    stages = trained(read_steps(runs / "tiny" / "steps.jsonl"))
    assert {row.name for row in stages} == {f"ADPA, world {r.world}, seed {r.seed}" for r in ALL}
    assert "world 1, seed 0" in (runs / "tiny" / "report.html").read_text()


def test_merged_with_another_run_of_one_of_its_worlds_nothing_is_mixed(runs: Path, rows: Rows) -> None:
    assert run(runs, "world_seeds=[1]", "seeds=[1]", "name=one").returncode == 0
    both = merged({"tiny": rows, "one": run_folder.read(runs / "one")})
    assert {r.replicate for r in both.records if r.method.endswith("(one)")} == {Replicate(1, 1)}
    of_both = {(r.method, r.replicate) for r in both.records if r.method.endswith("(tiny)")}
    assert of_both == {(f"{m} (tiny)", r) for m in ROWS for r in ALL}


def test_prompts_that_overlap_are_counted_once_for_all_worlds(rows: Rows) -> None:
    found = [c for c in rows.counts if c.benchmark == "mt-bench" and c.step.startswith("overlap")]
    assert len(found) == 1 and found[0].total == 16 + 16


def test_a_row_of_no_world_is_one_replicate_and_the_reference_of_all(copied: Path) -> None:
    """A student from outside, a teacher that is trained here: the student's DPO is one model, ADPA is two."""
    store = Store(copied / "store")
    stages = {s.label: s for s in planning.plan(suites.load(TINY), methods.registry(), Machine()).steps}
    student, teacher = (store.find(stages[f"sft {who}"]) for who in ("student", "teacher"))
    pair = f"{{teacher: {{base: {teacher}, dpo: {{beta: 0.1, epochs: 1}}}}, student: {{base: {student}}}}}"
    sets = [f"pairs={{ready: {pair}}}", *SMALLER, "benchmarks.alpaca-eval.reference=DPO", "name=ready"]
    given = [word for one in (*sets, "world_seeds=[3, 4]") for word in ("--set", one)]
    done = bench("run", TINY, "--runs", str(copied), "--only", "DPO", "--only", "ADPA", *given)
    assert done.returncode == 0, done.stderr

    written, out = manifest.read(copied / "ready" / "exports"), copied / "ready" / "exports"
    assert written
    names = {row.row: (row.world_seed, row.method) for row in written.rows}
    assert names == {
        **{f"3-{m}": (3, m) for m in ("Teacher", "Student", "DPO", "ADPA")},
        **{f"4-{m}": (4, m) for m in ("Teacher", "ADPA")},
    }
    read = run_folder.read(copied / "ready")
    assert len({r.artifacts[0] for r in read.records if r.method == "ADPA"}) == 2
    assert "world 3: seed 0 of worlds 3, 4 x seed 0" in (copied / "ready" / "tables" / "main.md").read_text()
    judged = [json.loads(p.read_text()) for p in out.rglob("annotations.json")]
    assert len(judged) == 6 and {row["generator_1"] for rows in judged for row in rows} == {"3-DPO"}
    audited = bench("audit", "ready", "--runs", str(copied))
    assert audited.returncode == 0, audited.stdout + audited.stderr
