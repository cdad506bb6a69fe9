"""`judges.x.repeats` as people run it: a noisy judge on 127.0.0.1, whose first verdicts stay as they are."""

import csv
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import pvariance
from typing import Any

import pytest

from tests import bench_command
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.cli.test_eval import MULTI, SINGLE, bench
from tests.harness.endpoints import judging_server
from tests.harness.endpoints.judging_server import KEY, KEY_ENV, Running
from tests.paths import TINY

# What a run without repeats says of itself, but for what judging took and which steps there are.
SAME = ("results.jsonl", "summaries.jsonl", "texts.jsonl", "tables/main.csv", "tables/comparison.csv")
SUITE = """
name: again
models: {{constant: {{control: constant}}, copy: {{control: copy}}}}
judges: {{noisy: {{model: noisy, seed: 3, base_url: "{url}", api_key_env: {key}, concurrency: 4}}}}
benchmarks:
  mt-bench: {{judge: noisy, data: {data}/mt-bench}}
  alpaca-eval: {{judge: noisy, data: {data}/alpaca-eval, reference: copy, order: both}}
"""
ITEM = ("method", "seed", "benchmark", "question", "turn", "order", "judge", "reference")
QUESTIONS, AGAIN = 8, 2  # and a quarter of them


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from judging_server.running(tmp_path_factory.mktemp("judge") / "log.jsonl")


@pytest.fixture
def suite(judge: Running, tmp_path: Path) -> Path:
    """Two controls on two benchmarks, one of two turns and one of two orders."""
    mt_bench, alpaca = tmp_path / "mt-bench", tmp_path / "alpaca-eval"
    mt_bench.mkdir()
    alpaca.mkdir()
    asked = [{"question_id": n, "category": "stem", "turns": [f"a {n}", f"b {n}"]} for n in range(QUESTIONS)]
    write_rows(mt_bench / "question.jsonl", asked)
    templates = {"single-v1": SINGLE, "single-math-v1": SINGLE}
    templates |= {f"{name}-multi-turn": MULTI for name in templates}
    prompts = [
        {"name": name, "system_prompt": "Give a [[rating]].", "prompt_template": f"Rating: {template}"}
        for name, template in templates.items()
    ]
    write_rows(mt_bench / "judge_prompts.jsonl", prompts)
    instructions = [{"id": str(n), "instruction": f"Say {n}."} for n in range(QUESTIONS)]
    (alpaca / "questions.json").write_text(json.dumps(instructions))
    path = tmp_path / "again.yaml"
    path.write_text(SUITE.format(url=judge.url, key=KEY_ENV, data=tmp_path))
    return path


def words(suite: Path, repeats: str = "", runs: str = "runs") -> list[str]:
    again = [f"--set=judges.noisy.repeats={repeats}"] if repeats else []
    return ["run", str(suite), *again, f"--runs={suite.parent / runs}", "--name=again"]


def rows(runs: Path, name: str) -> list[dict[str, Any]]:
    (path,) = runs.glob(f"*/{name}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def bytes_of(runs: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name in SAME for path in runs.glob(f"*/{name}")}


def judgments(runs: Path) -> dict[str, bytes]:
    """The artifacts of first verdicts."""
    return {
        path.parent.name: path.read_bytes() for path in runs.glob("store/judgments/*/*") if path.is_file()
    }


def sent(judge: Running, since: int = 0) -> list[tuple[str, int]]:
    """What was judged, but for the preflight: prompt and seed."""
    said = [(r["messages"][-1]["content"], r.get("seed", -1)) for r in judge.requests()[since:]]
    return [one for one in said if "Say OK." not in one[0]]


def check_added(judge: Running, first: list[str], again: list[str], runs: Path) -> list[dict[str, Any]]:
    """Run without repeats, then with: nothing that was asked is asked again, and nothing else changes."""
    done = bench(*first)
    assert done.returncode == 0, done.stderr
    artifacts, told, taken = judgments(runs), bytes_of(runs), rows(runs, "judging")
    assert len(told) == len(SAME) and not list(runs.glob("*/repeats.jsonl"))
    before = len(judge.requests())
    done = bench(*again)
    assert done.returncode == 0, done.stderr
    assert judgments(runs) == artifacts and bytes_of(runs) == told
    repeats = rows(runs, "repeats")
    # Rows that send the same share a reply, as they do of first verdicts.
    asked = sent(judge, before)
    assert len(asked) == len(set(asked)) == len({(r["request"], r["repeat"]) for r in repeats})
    assert Counter(seed for _, seed in asked) == {4: len(asked) / 2, 5: len(asked) / 2}
    for row, now in zip(taken, rows(runs, "judging"), strict=True):
        more = now.pop("repeats", 0)
        spent = {"calls": 1, "prompt_tokens": 100, "completion_tokens": 10}
        assert {n: now[n] - row[n] for n in spent} == {n: more * each for n, each in spent.items()}
        assert (now["judgments"], now["unparsed"]) == (row["judgments"], row["unparsed"])
    return repeats


def test_repeats_are_asked_beside_first_verdicts_that_stay_as_they_are(judge: Running, suite: Path) -> None:
    runs, again = suite.parent / "runs", "{share: 0.25, times: 3}"
    repeats = check_added(judge, words(suite), words(suite, again), runs)
    # In both turns and both orders, each twice more; what equals its reference is a tie without asking.
    by_row: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for r in repeats:
        by_row[r["benchmark"], r["method"]][r["question"]] += 1
    rows_there = {("mt-bench", "constant"), ("mt-bench", "copy"), ("alpaca-eval", "constant")}
    assert by_row.keys() == rows_there and len({frozenset(own.items()) for own in by_row.values()}) == 1
    assert sorted(by_row["mt-bench", "copy"].values()) == [4] * AGAIN

    known = {tuple(r[name] for name in ITEM): r["value"] for r in rows(runs, "results")}
    verdicts: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for r in repeats:
        verdicts[tuple(r[name] for name in ITEM)].append(r["value"])
    of_mt_bench = [[known[key], *own] for key, own in verdicts.items() if "mt-bench" in key]
    assert len(of_mt_bench) == 2 * AGAIN * 2 and {len(own) for own in of_mt_bench} == {3}
    noise = (sum(3 * pvariance(own) for own in of_mt_bench) / (2 * len(of_mt_bench))) ** 0.5
    with (runs / "again" / "tables" / "judge_noise.csv").open() as f:
        table = {(row["method"], row["column"]): row["value"] for row in csv.DictReader(f)}
    assert float(table["noisy, mt-bench", "noise.score"]) == pytest.approx(noise) and noise > 0


@pytest.mark.slow
def test_repeats_from_the_start_are_the_same_and_a_run_without_has_none_left(suite: Path) -> None:
    again, runs, fresh = "{share: 0.25, times: 3}", suite.parent / "runs", suite.parent / "fresh"
    for one in (words(suite), words(suite, again), words(suite, again, "fresh")):
        assert bench(*one).returncode == 0
    assert rows(fresh, "repeats") == rows(runs, "repeats") and bytes_of(fresh) == bytes_of(runs)
    assert bench(*words(suite)).returncode == 0
    assert rows(runs, "repeats") == [] and not list((runs / "again" / "tables").glob("judge_noise.*"))
    assert bytes_of(runs) == bytes_of(fresh)


@pytest.mark.slow
def test_a_killed_run_asks_only_the_repeats_that_were_not_answered(judge: Running, suite: Path) -> None:
    before, again = len(judge.requests()), "20"
    started = bench_command.start(*words(suite, again), folder=suite.parent, **{KEY_ENV: KEY})
    while sum(seed > 3 for _, seed in sent(judge, before)) < 40:
        assert started.process.exitcode is None, started.err.read_text()
        time.sleep(0.002)
    started.process.kill()
    started.process.join()
    assert not list((suite.parent / "runs").glob("*/repeats.jsonl"))
    done = bench(*words(suite, again))
    assert done.returncode == 0, done.stderr
    # At most those that were under way are asked twice.
    times = Counter(sent(judge, before))
    assert sum(times.values()) - len(times) <= 4
    repeats = rows(suite.parent / "runs", "repeats")
    assert len(repeats) == 3 * QUESTIONS * 2 * 19
    assert len({(r["request"], r["repeat"]) for r in repeats}) == sum(seed > 3 for _, seed in times)


def test_the_estimate_and_the_plan_count_repeats(suite: Path) -> None:
    """A quarter of 8 questions twice more: half of the calls, in two turns and in two orders; one of the two
    rows is the reference, which is not compared with itself.
    """
    done = bench(*words(suite, "{share: 0.25, times: 3}"), "--estimate")
    assert done.returncode == 0, done.stderr
    told = [[cell.strip() for cell in line.split("\u2502")[1:5]] for line in done.stdout.splitlines()]
    assert [cells for cells in told if "noisy" in cells] == [
        ["mt-bench", "noisy", "2", "32"],
        ["mt-bench, again", "noisy", "2", "16"],
        ["alpaca-eval", "noisy", "2", "16"],
        ["alpaca-eval, again", "noisy", "2", "8"],
    ]
    done = bench(*words(suite, "{share: 0.25, times: 3}"), "--plan")
    assert re.search(r"repeats +4 +4 +~7.5 s", done.stdout), done.stdout


@pytest.mark.slow
def test_a_whole_run_has_the_first_verdicts_of_one_without_repeats(judge: Running, copied: Path) -> None:
    noisy = f'judges.noisy={{model: noisy, seed: 3, base_url: "{judge.url}", api_key_env: {KEY_ENV}}}'
    by_noisy = [f"benchmarks.{name}.judge=noisy" for name in ("mt-bench", "alpaca-eval")]
    settings = [f"--set={s}" for s in (noisy, *by_noisy, "benchmarks.alpaca-eval.order=both")]
    asked = ["run", TINY, *settings, f"--runs={copied}", "--name=tiny"]
    again = [*asked, "--set=judges.noisy.repeats={share: 0.25, times: 3}"]
    repeats = check_added(judge, asked, again, copied)
    questions = Counter((r["method"], r["question"]) for r in repeats if r["benchmark"] == "mt-bench")
    assert len(questions) == 7 * 2 and set(questions.values()) == {4}
