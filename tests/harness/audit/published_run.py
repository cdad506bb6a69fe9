"""A run on published answers whose judge says again what GPT-4 once said of them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.alpaca_eval import benchmark as alpaca_eval
from benchmarks.alpaca_eval.declaration import ONE
from benchmarks.api import Answer, JudgeRequest, Question
from benchmarks.declaration import BASELINE
from benchmarks.mt_bench import benchmark as mt_bench
from benchmarks.mt_bench import fastchat_files
from tests.bench_command import bench
from tests.benchmarks.alpaca_eval.published import annotations

ALPACA = "alpaca-7b"
MODELS = {"GPT-4": "gpt-4-1106-preview", "Mixtral": "mistralai/Mixtral-8x7B-Instruct-v0.1"}
REAL = "mt_bench/judgments/routellm_gpt4turbo_mixtral_gpt-4_single.jsonl.gz"
JUDGE = """
import json
from pathlib import Path
from benchmarks.api import Reply
from harness.evaluate.judges import computed
SAID = json.loads(Path({path!r}).read_text())
JUDGE = computed("gpt-4", lambda messages: Reply(SAID[messages[-1]["content"]]))
"""
SUITE = """
name: published
models:
  alpaca-7b: {{answers: alpaca-7b}}
benchmarks:
  alpaca-eval: {{judge: gpt-4, data: {alpaca}, order: random}}
"""
SUITE_MT = """
name: published-mt
models:
  GPT-4: {{answers: GPT-4}}
  Mixtral: {{answers: Mixtral}}
benchmarks:
  mt-bench: {{judge: gpt-4, data: {mt_bench}}}
"""


def run(shared_data: Path, folder: Path) -> Path:
    """Both suites, under `folder`/runs."""
    alpaca = _alpaca_folder(shared_data, folder / "alpaca-eval")
    mt = _mt_folder(shared_data, folder / "mt-bench")
    said = dict(_rankings(shared_data, alpaca)) | dict(_ratings(shared_data, mt))
    (folder / "said.json").write_text(json.dumps(said))
    (folder / "judge.py").write_text(JUDGE.format(path=str(folder / "said.json")))
    for name, text in (("published", SUITE.format(alpaca=alpaca)), ("mt", SUITE_MT.format(mt_bench=mt))):
        (folder / f"{name}.yaml").write_text(text)
        words = ("--runs", str(folder / "runs"), "--judge-file", str(folder / "judge.py"))
        done = bench("run", str(folder / f"{name}.yaml"), *words)
        assert done.returncode == 0, done.stderr
    return folder / "runs"


def _alpaca_folder(shared_data: Path, folder: Path) -> Path:
    rows = annotations(shared_data, f"ae1_gpt4/{ALPACA}")
    (folder / "model_outputs").mkdir(parents=True)
    for path, output in ((f"model_outputs/{ALPACA}.json", "output_2"), ("alpaca_eval.json", "output_1")):
        outputs = [
            {"dataset": r["dataset"], "instruction": r["instruction"], "output": r[output], "generator": "g"}
            for r in rows
        ]
        (folder / path).write_text(json.dumps(outputs))
    return folder


def _mt_folder(shared_data: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in (shared_data / "mt_bench").glob("*.jsonl"):
        (folder / path.name).symlink_to(path.resolve())
    questions, _ = mt_bench.load(folder)
    told = {
        (r["model"], str(r["question_id"])): r["user_prompt"]
        for r in _judgments(shared_data)
        if r["turn"] == 2
    }
    for name, model in MODELS.items():
        answers = [_answer(q, told[model, q.id]) for q in questions]
        fastchat_files.write_answers(folder, name, answers)
    return folder


def _judgments(shared_data: Path) -> list[dict[str, Any]]:
    with gzip.open(shared_data / REAL, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _answer(question: Question, prompt: str) -> Answer:
    """Both turns, out of the prompt that the judge of the second was sent."""
    conversation = prompt.partition("<|The Start of Assistant A's Conversation with User|>")[2]
    middle = f"\n\n### User:\n{question.turns[1]}\n\n### Assistant A:\n"
    first, _, second = conversation.partition("### Assistant A:\n")[2].partition(middle)
    turns = (first, second.partition("\n\n<|The End of Assistant A")[0])
    assert all(turns), question.id
    return Answer(question.id, turns, (0, 0), (False, False))


def _rankings(shared_data: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The ranking that each published preference was read from, by the prompt that asks for it."""
    preferred = {r["instruction"]: r["preference"] for r in annotations(shared_data, f"ae1_gpt4/{ALPACA}")}
    questions, benchmark = alpaca_eval.load(folder)
    ours = alpaca_eval.baseline(folder, ALPACA)
    assert ONE.stored
    theirs = ONE.stored(folder, ONE.settings(), BASELINE) or {}
    for q in questions:
        for request in benchmark.requests(q, ours[q.id], theirs[q.id]):
            if isinstance(request, JudgeRequest):
                better = preferred[q.turns[0]] == 2
                first = 1 if better == (request.order == "ab") else 2
                ranks = [{"model": "model_1", "rank": first}, {"model": "model_2", "rank": 3 - first}]
                yield request.messages[-1]["content"], str(ranks)


def _ratings(shared_data: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Each published judgment, by the prompt that asks for it here."""
    texts = {(r["model"], str(r["question_id"]), r["turn"]): r["judgment"] for r in _judgments(shared_data)}
    questions, benchmark = mt_bench.load(folder)
    for name, model in MODELS.items():
        answers = fastchat_files.read_answers(folder, name)
        for q in questions:
            for request in benchmark.requests(q, answers[q.id], None):
                assert isinstance(request, JudgeRequest)
                yield request.messages[-1]["content"], texts[model, q.id, request.turn]
