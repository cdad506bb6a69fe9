"""Judges of `bench eval`: one that was checked on gold pairs, and folders that are served here."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from scipy.stats import binomtest

from tests.harness.cli.test_eval import bench, judge, rows, words, world
from tests.harness.endpoints.judging_server import KEY_ENV, Running

__all__ = ["judge", "world"]  # fixtures


def test_a_checked_judge_is_told_under_every_table_that_it_judged(
    world: Path, judge: Running, tmp_path: Path
) -> None:
    gold = tmp_path / "gold"
    gold.mkdir()
    pairs = [{"input": f"a {n}", "output_1": "b", "output_2": "c", "label": 1 + n % 2} for n in range(10)]
    (gold / "Natural.json").write_text(json.dumps(pairs))
    asked = ["--judge=gpt-4", f"--judge-url={judge.url}", f"--judge-key-env={KEY_ENV}", f"--runs={tmp_path}"]
    before = len(judge.prompts())
    done = bench("judge", "check", *asked, f"--data={gold}", "--repeats=2")
    assert done.returncode == 0, done.stderr
    assert len(judge.prompts()) - before == 10 * 2 * 2
    (path,) = (tmp_path / "store" / "judge-check").glob("*/quality.json")
    quality = json.loads(path.read_text())
    assert (quality["n"], quality["repeat_noise"], quality["unparsed"]) == (
        10,
        0.0,
        0,
    )

    assert bench(*words(world, judge, tmp_path, "mt-bench")).returncode == 0
    agreement = f"agrees with {100 * quality['agreement']['value']:.1f} % of 10 gold pairs"
    assert f"{agreement}; repeats differ by 0.0 (sd)" in (tmp_path / "e" / "tables" / "main.md").read_text()
    assert (tmp_path / "e" / "tables" / "judges.md").exists()
    check = json.loads((tmp_path / "e" / "judges.jsonl").read_text())
    found = binomtest(round(20 * check["agreement"]), 20).proportion_ci(0.95, "exact")
    # Ties are halves, so that 20 trials are the least that are whole; 10 pairs say less.
    assert check["low"] < found.low <= check["agreement"] <= found.high < check["high"]


def served_here(model: str, judge: str, data: Path, runs: Path, tokens: int) -> None:
    limits = [f"benchmarks.mt-bench.max_tokens={tokens}", f"judges.{Path(judge).name}.max_tokens={tokens}"]
    asked = ["--bench=mt-bench", f"--judge={judge}", f"--data=mt-bench={data}", "--limit=2"]
    settings = [f"--set={s}" for s in limits]
    done = bench("eval", f"ours={model}", *asked, *settings, "--name=e", f"--runs={runs}")
    assert done.returncode == 0, done.stderr


def no_server_of(judge: str) -> bool:
    running = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True).stdout
    return not [line for line in running.splitlines() if " serve " in line and judge in line]


def test_a_folder_is_served_as_the_judge_and_the_server_is_gone_afterwards(
    world: Path, tmp_path: Path
) -> None:
    """It says nothing that could be read: every judgment is there, and counted as unparsed."""
    served_here(str(world / "ours"), str(world / "theirs"), world / "mt-bench", tmp_path, 4)
    assert {(r["value"], r["status"]) for r in rows(tmp_path)} == {(None, "unparsed")}
    (told,) = rows(tmp_path, "judging")
    assert (told["calls"], told["unparsed"], told["usd"]) == (4, 4, 0.0) and told["completion_tokens"] > 0
    assert no_server_of(str(world / "theirs"))


@pytest.mark.slow
def test_a_real_model_is_judged_by_a_real_one(shared_data: Path, tmp_path: Path) -> None:
    folder = os.environ.get("BENCH_TEST_SMOLLM2")
    if not folder:
        pytest.skip("BENCH_TEST_SMOLLM2 names no folder of SmolLM2")
    served_here(folder, folder, shared_data / "mt_bench", tmp_path, 24)
    (told,) = rows(tmp_path, "judging")
    assert told["calls"] == 4 and told["prompt_tokens"] > 400
    (path,) = (tmp_path / "store" / "judgments").glob("*/judgments.jsonl")
    replies = [json.loads(line)["reply"] for line in path.read_text().splitlines()]
    assert all(len(reply.split()) > 3 for reply in replies), replies
    assert no_server_of(folder)
