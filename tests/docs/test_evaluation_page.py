"""Every command of docs/evaluation.md as it stands there; what would call a judge is planned."""

import json
import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.evaluate import registry
from harness.suite import loading
from tests.bench_command import bench
from tests.benchmarks.mt_bench import judge_prompts
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import tiny_folder
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "evaluation.md").read_text()
DRY = {"eval": ["--plan"], "judge": ["--help"], "run": [], "data": []}


def commands() -> list[list[str]]:
    """The page's lines; a "#" inside a word (URL#MODEL) is no comment."""
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    return [shlex.split(re.sub(r"\s+# .*", "", line)) for line in block.splitlines()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the page's commands name."""
    folder = tmp_path_factory.mktemp("desk")
    for who in ("teacher", "student"):
        tiny_folder(folder / "models" / who)
    for name in ("mt-bench", "openllm", "llmbar"):
        (folder / "data" / name).mkdir(parents=True)
    write_rows(
        folder / "data/mt-bench/question.jsonl", [{"question_id": 1, "category": "stem", "turns": ["a"]}]
    )
    judge_prompts.write(folder / "data/mt-bench")
    write_rows(folder / "data/mt-bench/reference_answer_gpt-4.jsonl", [])
    (folder / "data/llmbar/Natural.json").write_text(json.dumps([]))
    return folder


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_page_is_understood(words: list[str], desk: Path) -> None:
    dry = ["--help"] if "fetch" in words else [] if "--estimate" in words else DRY[words[1]]
    done = bench(*words[1:], *dry, cwd=desk, BENCH_DATA=str(desk / "home"), COLUMNS="200")
    assert done.returncode == 0, done.stderr
    if "--estimate" in words:
        assert "Tokens in" in done.stdout and "total" in done.stdout


def test_the_pages_suite_is_valid() -> None:
    suite, own = (
        YAML(typ="safe", pure=True).load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    )
    found = loading.suite_of({"name": "page", **suite}, registry.known(), "page")
    assert set(found.benchmarks.settings_by_name()) == {
        "mt-bench", "alpaca-eval", "alpaca-eval-2", "arena-hard", "openllm", "openllm-v2", "gsm8k-cot"
    }  # fmt: skip
    found = loading.suite_of({"name": "page", **suite, **own}, registry.known(), "page")
    assert list(found.benchmarks.settings_by_name()) == ["support-tickets", "house-style"]
