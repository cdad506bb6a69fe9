"""`bench audit`: a run's numbers are the official tools', and whatever is altered afterwards shows."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.audit.audit import Audit, audit, text
from harness.audit.official import Tools
from harness.audit.our_numbers import our_numbers
from harness.evaluate import registry
from reports.records.jsonl import STAMP
from reports.records.rows import Record
from reports.records.run_folder import Rows
from tests.bench_command import bench
from tests.benchmarks.alpaca_eval.published import published
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.audit import published_run


@pytest.fixture(scope="module")
def runs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published answers under published judgments: `published` (AlpacaEval 1) and `published-mt`."""
    return published_run.run(shared_data, tmp_path_factory.mktemp("published"))


def audited(folder: Path) -> Audit:
    known = {name: b.declaration for name, b in registry.known().benchmarks.items()}
    return audit(folder, known, Tools())


def official(found: Audit) -> dict[tuple[str, str, str], float | None]:
    lines = [line for benchmark in found.benchmarks for line in benchmark.lines]
    return {(line.row.method, line.metric, line.way): line.theirs for line in lines}


def test_published_win_rates_are_recomputed_by_alpaca_eval(runs: Path, shared_data: Path) -> None:
    """What the tool says of the export is the number of its leaderboard, and ours."""
    found = audited(runs / "published")
    board = published(shared_data, "alpaca_eval_gpt4")[published_run.ALPACA]
    theirs, row = official(found), published_run.ALPACA
    for metric in ("win_rate", "standard_error", "discrete_win_rate"):
        assert theirs[row, metric, ""] == pytest.approx(float(board[metric]) / 100, abs=1e-11)
    assert theirs[row, "win_rate", "main table"] == theirs[row, "win_rate", ""]
    assert theirs[row, "n", ""] == int(board["n_total"])
    assert theirs[row, "mean_length", ""] == int(board["avg_length"])
    (lengths,) = {line.reasons for line in found.benchmarks[0].lines if line.metric == "mean_length"}
    assert found.holds and lengths == ("whole characters",)


def test_published_ratings_are_recomputed_by_fastchat(runs: Path) -> None:
    found = audited(runs / "published-mt")
    theirs = official(found)
    assert [theirs["GPT-4", name, ""] for name in ("score", "first_turn", "second_turn")] == [
        pytest.approx(value) for value in (9.228125, 9.40625, 9.05)
    ]
    assert theirs["Mixtral", "score", "main table"] == pytest.approx(8.340625)
    assert theirs["Mixtral", "score", "replies read again"] == pytest.approx(8.340625)
    assert found.holds and all(line.reasons == () for b in found.benchmarks for line in b.lines)


def test_a_run_with_tasks_of_lm_eval_holds(tiny_run: Path) -> None:
    done = bench("audit", "tiny", "--runs", str(tiny_run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "openllm: lm_eval " in done.stdout and "primary/pocket_facts" in done.stdout
    assert "not audited: rule (no official tool reads it)" in done.stdout
    assert " 0 differ; 0 faults of the exports" in done.stdout


def rewritten(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before


def rewritten_as(path: Path, text: str) -> None:
    path.write_text(text)


def flipped(lines: str) -> str:
    """A preference the other way round."""
    rows = json.loads(lines)
    rows[3]["preference"] = 3 - rows[3]["preference"]
    return json.dumps(rows)


def named(rows: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Callable[[Path], None]:
    """Other rows in the manifest, of the same files."""

    def change(text: str) -> str:
        written = json.loads(text)
        return json.dumps(written | {"rows": rows(written["rows"])})

    return lambda run: rewritten(run / "exports/manifest.json", change)


ANSWERS = "exports/mt-bench/model_answer"
ALTERED: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "a verdict of an export": (
        "published",
        lambda run: rewritten(next(run.rglob("annotations.json")), flipped),
        "differs",
    ),
    "a text of an export": (
        "published-mt",
        lambda run: rewritten(run / f"{ANSWERS}/GPT-4.jsonl", lambda text: text.replace("the", "The", 1)),
        f"{ANSWERS}/GPT-4.jsonl is not as the run wrote it",
    ),
    "a file less": (
        "published-mt",
        lambda run: (run / f"{ANSWERS}/Mixtral.jsonl").unlink(),
        f"{ANSWERS}/Mixtral.jsonl is gone",
    ),
    "a row more": (
        "published-mt",
        lambda run: rewritten_as(run / f"{ANSWERS}/mine.jsonl", "{}"),
        f"{ANSWERS}/mine.jsonl was not written by this run",
    ),
    "a rating of an export": (
        "published-mt",
        lambda run: rewritten(
            next(run.rglob("*_single.jsonl")), lambda text: text.replace('"score": 9.0', '"score": 10.0', 1)
        ),
        "differs",
    ),
    "a line of an export that is no JSON": (
        "published-mt",
        lambda run: rewritten(next(run.rglob("*_single.jsonl")), lambda text: text + "{"),
        "fschat could not read",
    ),
    "a row that the manifest names no more": (
        "published-mt",
        named(lambda rows: rows[1:]),
        "GPT-4: manifest",
    ),
    "no row in the manifest": ("published-mt", named(lambda rows: []), "GPT-4, Mixtral: manifest"),
    "a row of another seed": (
        "published-mt",
        named(lambda rows: [rows[0] | {"seed": 7}, *rows[1:]]),
        "GPT-4: the run has no number of it",
    ),
    "a number of the run": (
        "published-mt",
        lambda run: rewritten(run / "summaries.jsonl", lambda text: text.replace("9.228125", "9.3", 1)),
        "differs",
    ),
    "a record of the run": (
        "published-mt",
        lambda run: rewritten(
            run / "results.jsonl", lambda text: text.replace('"value": 9.0', '"value": 1.0', 1)
        ),
        "score (main table)",
    ),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_was_altered_does_not_hold(runs: Path, what: str, tmp_path: Path) -> None:
    name, alter, said = ALTERED[what]
    # Without its stamp, which tells of changed rows before anything is audited.
    run = shutil.copytree(runs / name, tmp_path / name, ignore=shutil.ignore_patterns(STAMP))
    alter(run)
    found = audited(run)
    assert not found.holds
    lines = [line for line in text(found) if said in line]
    assert lines and (said != "score (main table)" or any("differs" in line for line in lines))


def test_what_file_managers_leave_alters_nothing(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "published-mt", tmp_path / "looked-at")
    for name in (".DS_Store", "mt-bench/.DS_Store", "mt-bench/Thumbs.db"):
        (run / "exports" / name).write_bytes(b"\0")
    assert audited(run).altered == []


def test_an_altered_export_ends_in_exit_code_1(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "published-mt", tmp_path / "altered")
    rewritten(next(run.rglob("*_single.jsonl")), lambda text: text.replace('"score": 8.0', '"score": 1.0', 1))
    done = bench("audit", str(run))
    assert done.returncode == 1 and "differs" in done.stdout and not done.stderr


def test_what_cannot_be_audited_is_one_line(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "published-mt", tmp_path / "old")
    (run / "exports/manifest.json").unlink()
    for words, said in (
        ((str(run),), "exports has no manifest.json"),
        (("published", "--checkout", "arena-hard=x"), "did you mean 'arena-hard-auto'?"),
        (("published", "--checkout", "arena-hard-auto=nowhere"), "no folder 'nowhere'"),
        (("published", "--python", "nowhere"), "--python nowhere: no such file"),
        (("publishd",), "did you mean 'published'?"),
    ):
        done = bench("audit", *words, "--runs", str(runs))
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_tool_is_asked_in_an_environment_of_its_own(runs: Path, tmp_path: Path) -> None:
    """An interpreter without the tool says so: nothing of this one's is lent to it."""
    bare = tmp_path / "bare"
    bare.symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    found = audit(
        runs / "published-mt",
        {name: b.declaration for name, b in registry.known().benchmarks.items()},
        Tools(python=bare),
    )
    (only,) = found.benchmarks
    assert not found.holds and "fschat could not read" in only.faults[0] and "No" in only.faults[0]


ODD = """
import hashlib
from benchmarks.api import Reply
from harness.evaluate.judges import computed


def say(messages):
    text = messages[-1]["content"]
    draw = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if "AI:" in text:
        first = 1 + draw % 2
        ranks = [{"model": "model_1", "rank": first}, {"model": "model_2", "rank": 3 - first}]
        return Reply("neither" if draw % 5 == 0 else str(ranks))
    words = ("<think>[[9]]?</think>It is [[3]]", "none", "[[12]]", "Rating: [[7]]", "[[2]]", "so [6]")
    return Reply(words[draw % len(words)])


JUDGE = computed("odd", say)
"""
ODD_SUITE = """
name: odd
models: {constant: {control: constant}, copy: {control: copy}}
benchmarks:
  mt-bench: {judge: odd, data: mt-bench}
  alpaca-eval: {judge: odd, data: alpaca-eval, reference: copy}
"""


def test_a_run_whose_judge_is_hard_to_read_holds(tmp_path: Path) -> None:
    """Half-judged items, turns without a rating, ratings of 12 and thoughts: one rule, in every table."""
    questions = [{"question_id": n, "category": "stem", "turns": [f"ask {n}", "and?"]} for n in range(24)]
    names = ("single-v1", "single-math-v1", "single-v1-multi-turn", "single-math-v1-multi-turn")
    prompt = {"system_prompt": "", "prompt_template": "{question}{answer}"}
    two = {"system_prompt": "", "prompt_template": "{question_1}{answer_1}{question_2}{answer_2}"}
    prompts = [{"name": n} | (two if "multi" in n else prompt) for n in names]
    for name in ("mt-bench", "alpaca-eval"):
        (tmp_path / name).mkdir()
    write_rows(tmp_path / "mt-bench/question.jsonl", questions)
    write_rows(tmp_path / "mt-bench/judge_prompts.jsonl", prompts)
    asked = [{"instruction": f"AI: ask {n}"} for n in range(24)]
    (tmp_path / "alpaca-eval/questions.json").write_text(json.dumps(asked))
    (tmp_path / "odd.py").write_text(ODD)
    (tmp_path / "odd.yaml").write_text(ODD_SUITE)
    done = bench("run", "odd.yaml", "--judge-file", "odd.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    done = bench("audit", "odd", cwd=tmp_path)
    assert done.returncode == 0 and " 0 differ; 0 faults" in done.stdout, done.stdout
    assert "out of range, thoughts" in done.stdout
    tables = [line for line in done.stdout.splitlines() if "(main table)" in line]
    assert len(tables) == 4


def test_a_mean_over_seeds_that_lack_verdicts_is_no_mean_of_theirs() -> None:
    about = ("run", "p", "d", "DPO")
    records = [
        Record(*about, seed, "mt-bench", "score", "", f"q{n}", 1, "", "j", "", value, status)
        for seed, n, value, status in (
            (0, 0, 2.0, "ok"),
            (0, 1, 4.0, "ok"),
            (1, 0, 6.0, "ok"),
            (1, 1, None, "unparsed"),
        )
    ]
    found = our_numbers(Rows(records=records), ())
    assert not found.cells and [key.method for key in found.over_seeds] == ["DPO"]
    whole = our_numbers(Rows(records=[r for r in records if r.question == "q0"]), ())
    assert not whole.over_seeds and list(whole.cells.values()) == [4.0]
