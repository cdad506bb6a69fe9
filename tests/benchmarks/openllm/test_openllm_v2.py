"""The second leaderboard: its scores by hand, and BBH and IFEval on real rows against plain lm-eval."""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from benchmarks.openllm.evaluate import TaskResult, evaluate
from benchmarks.openllm.leaderboard_scores import CHOICES, Score, averages, normalised, scores
from benchmarks.openllm.tasks import SETS, V1, V2, check, expand, leaderboard_index, leaves
from harness.evaluate.lm_eval_model import PooledLM
from harness.evaluate.openllm import TASKS, run
from harness.models.worker_pool import Pool
from tests.benchmarks.openllm.leaderboard_rows import World, plain, small_world


def result(task: str, right: int, of: int) -> TaskResult:
    values = {f"{n}-{task}": float(n < right) for n in range(of)}
    return TaskResult(task, "1.0", 0, "acc_norm", values, {})


@pytest.mark.parametrize(
    ("value", "choices", "expected"),
    [
        (Fraction(1, 2), 2, Fraction(0)),
        (Fraction(3, 4), 2, Fraction(1, 2)),
        (Fraction(2, 5), 2, Fraction(0)),  # below chance
        (Fraction(1, 2), 5, Fraction(3, 8)),  # (1/2 - 1/5) / (4/5)
        (Fraction(1), 19, Fraction(1)),
        (Fraction(1, 4), 1, Fraction(1, 4)),  # nobody guesses
    ],
)
def test_a_score_is_its_share_of_what_lies_above_chance(
    value: Fraction, choices: int, expected: Fraction
) -> None:
    assert normalised(float(value), choices) == pytest.approx(float(expected), abs=1e-15)


def test_musr_is_normalised_by_subtask_and_gpqa_as_one_set() -> None:
    """MuSR: 3/4 of 2, 1/10 of 5 (below chance), 2/3 of 3 -> 1/2, 0, 1/2. Raw: 3 + 1 + 4 of 4 + 10 + 6.

    GPQA: 1/2, 1/4, 1/4 on 8, 4 and 12 -> 8/24 = 1/3 -> (1/3 - 1/4) / (3/4) = 1/9.
    """
    found = scores(
        [
            result("leaderboard_musr_murder_mysteries", 3, 4),
            result("leaderboard_musr_object_placements", 1, 10),
            result("leaderboard_musr_team_allocation", 4, 6),
            result("leaderboard_gpqa_diamond", 4, 8),
            result("leaderboard_gpqa_main", 1, 4),
            result("leaderboard_gpqa_extended", 3, 12),
        ]
    )
    assert list(found) == ["leaderboard_gpqa", "leaderboard_musr"]
    assert found["leaderboard_musr"].raw == pytest.approx(8 / 20)
    assert found["leaderboard_musr"].normalised == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert found["leaderboard_gpqa"].raw == pytest.approx(1 / 3)
    assert found["leaderboard_gpqa"].normalised == pytest.approx(1 / 9)


def test_ifeval_is_the_mean_over_prompts_and_over_instructions() -> None:
    """Prompts: 1 of 2. Instructions: 1 + 1 of 1 + 3. -> (1/2 + 1/2) / 2; then 1 of 2 and 3 of 4 -> 5/8."""
    for followed, expected in (
        ([[True], [True, False, False]], 1 / 2),
        ([[True], [True, True, False]], 5 / 8),
    ):
        values = {str(n): float(all(one)) for n, one in enumerate(followed)}
        details = {str(n): {"metrics": {"inst_level_strict_acc": one}} for n, one in enumerate(followed)}
        task = TaskResult("leaderboard_ifeval", "3.0", 0, "prompt_level_strict_acc", values, details)
        assert scores([task]) == {"leaderboard_ifeval": Score(expected, expected)}


def test_the_boards_have_an_average_only_when_they_are_whole() -> None:
    """v1: 1/2 five times and an MMLU of 0 and 1 in turns, 29 of 57 -> (5/2 + 29/57) / 6.

    v2, all right but for BBH, half of every subtask: its mean over the subtasks of (1/2 - 1/k) / (1 - 1/k).
    """
    ones = [result(name, 1, 2) for name in V1 if name != "mmlu"]
    subjects = [result(f"mmlu_{n}", (n + 1) % 2, 1) for n in range(57)]
    found = scores([*ones, *subjects])
    assert found["mmlu"].raw == pytest.approx(29 / 57)
    assert averages(found) == {"v1": pytest.approx((5 / 2 + 29 / 57) / 6)}
    assert averages(scores([*ones, *subjects[:-1]])) == {}

    tasks = [t for choices in CHOICES.values() for t in choices if t != "leaderboard_ifeval"]
    results = [result(t, 1 if t.startswith("leaderboard_bbh") else 2, 2) for t in tasks]
    details = {"0": {"metrics": {"inst_level_strict_acc": [True]}}}
    results.append(TaskResult("leaderboard_ifeval", "3.0", 0, "prompt_level_strict_acc", {"0": 1.0}, details))
    ks = CHOICES["leaderboard_bbh"].values()
    bbh = sum(float((Fraction(1, 2) - Fraction(1, k)) / (1 - Fraction(1, k))) for k in ks) / 24
    assert averages(scores(results)) == {"v2": pytest.approx((5 + bbh) / 6)}
    assert averages(scores(results[1:])) == {}


def test_the_subtasks_and_their_numbers_of_choices_are_lm_evals() -> None:
    known = leaderboard_index()
    for name, choices in CHOICES.items():
        assert set(leaves(known, name)) == set(choices)
    for task, k in CHOICES["leaderboard_bbh"].items():
        assert len(known[task].cfg["doc_to_choice"]) == k
    assert all(len(known[task].cfg["doc_to_choice"]) == k for task, k in CHOICES["leaderboard_gpqa"].items())
    assert len([t for t in leaves(known, "mmlu")]) == 57
    assert expand(["v2"]) == expand(["leaderboard"]) == list(V2) and SETS["v1"] == tuple(V1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> World:
    return small_world(tmp_path_factory.mktemp("world"), shared_data, 20)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.mark.parametrize("subtask", ["navigate", "object_counting"])
def test_big_bench_hard_is_plain_lm_evals(world: World, subtask: str) -> None:
    task = f"leaderboard_bbh_{subtask}"
    with Pool(world.model) as pool:
        (found,) = evaluate(PooledLM(pool, 3), [task], data=world.data, limit=6)
    samples = plain(world.model, task, world.hub, limit=6)[task]
    assert (found.num_fewshot, found.metric, len(found.values)) == (3, "acc_norm", 6)
    assert list(found.values.values()) == [s["acc_norm"] for s in samples]
    assert [d["loglikelihoods"] for d in found.details.values()] == [
        [r[0][0] for r in s["resps"]] for s in samples
    ]
    assert samples[0]["arguments"][0][0].count("\nA:") == 4  # three examples and the question


def test_the_step_writes_ifevals_rows_and_its_score(world: World, tmp_path: Path) -> None:
    """Real prompts; the whole task by the step, then its generations and verdicts by plain lm-eval."""
    pytest.importorskip("langdetect")
    settings = {
        "tasks": ["leaderboard_ifeval"],
        "batch_size": 3,
        "num_fewshot": None,
        "limit": 3,
        "chat": True,
    }
    out = tmp_path / "out"
    out.mkdir()
    context = {"device": "cpu", "workers": 1, "replies": str(tmp_path / "replies")}
    told = run(TASKS.work(settings, {"model": world.model, "data": world.data}, out, context))
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    details = [json.loads(line) for line in (out / "details.jsonl").read_text().splitlines()]

    from benchmarks.openllm.tasks import ifeval_tools

    with ifeval_tools():
        told_plainly = plain(world.model, "leaderboard_ifeval", world.hub, limit=3, apply_chat_template=True)
    samples = told_plainly["leaderboard_ifeval"]
    assert [d["generated"] for d in details] == [s["resps"][0] for s in samples]
    metrics = [d["metrics"] for d in details]
    assert metrics == [{m: s[m] for m in s["metrics"]} for s in samples]
    about = {
        "task": "leaderboard_ifeval",
        "version": "3.0",
        "num_fewshot": 0,
        "metric": "prompt_level_strict_acc",
    }
    assert all(row.items() >= about.items() for row in rows)
    assert [row["value"] for row in rows] == [m["prompt_level_strict_acc"] for m in metrics]
    instructions = [x for m in metrics for x in m["inst_level_strict_acc"]]
    score = (sum(row["value"] for row in rows) / 3 + sum(instructions) / len(instructions)) / 2
    assert told["scores"]["leaderboard_ifeval"]["raw"] == pytest.approx(score)
    assert (told["documents"], told["averages"], told["truncated"]) == (3, {}, {})
    again = tmp_path / "again"
    again.mkdir()
    told = run(TASKS.work(settings, {"model": world.model, "data": world.data}, again, context))
    assert told["batches"] == {"computed": 0, "kept": 1, "halved": 0}
    for name in ("results.jsonl", "details.jsonl"):
        assert (again / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.parametrize(
    ("task", "package", "line"),
    [
        (
            "leaderboard_ifeval",
            "langdetect",
            r"leaderboard_ifeval needs langdetect: pip install 'prefbench\[ifeval\]'",
        ),
        (
            "leaderboard_math_hard",
            "math_verify",
            r"leaderboard_math_algebra_hard needs math_verify.*\[math\]'",
        ),
    ],
)
def test_a_package_that_a_task_needs_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, task: str, package: str, line: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=line):
        check([task], data=world.data)


def test_the_punkt_model_is_missed_where_no_wheel_brings_it(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from benchmarks.openllm import tasks as openllm_tasks

    nltk: Any = pytest.importorskip("nltk")
    pytest.importorskip("langdetect")
    monkeypatch.setattr(openllm_tasks, "PUNKT", "absent")
    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(ValueError, match="leaderboard_ifeval needs nltk's punkt_tab: pip install"):
        check(["leaderboard_ifeval"], data=world.data)
    (tmp_path / "tokenizers/punkt_tab").mkdir(parents=True)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    check(["leaderboard_ifeval"], data=world.data)
