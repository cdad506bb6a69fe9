"""What a checkpoint thought before its answer is no part of it: closed blocks, cut ones, and opened ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.thoughts import thoughts_and_answer
from harness.evaluate.answers import BY_MODEL, run_model
from harness.models.loading import load
from tests.benchmarks.mt_bench import judge_prompts
from tests.benchmarks.openllm.small_tasks import write_rows
from tests.harness.models.tiny_models import TEMPLATE, WORDS, tiny_folder, tiny_tokenizer

MARKS = ["<think>", "</think>"]
# What the model has learned by heart: its first answer, and its second one after a history of either sort.
FIRST = "<user> a <end> <assistant> <think> b </think> c <end>"
SECOND = "<user> a <end> <assistant> c <end> <user> d <end> <assistant> <think> e </think> f <end>"
KEPT = f"{FIRST} <user> d <end> <assistant> g <end>"


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<think>Hm</think>Yes", "<think>Hm</think>", "Yes"),
        ("<think>\n\n</think>\n\nYes", "<think>\n\n</think>\n\n", "Yes"),
        ('<THINK why="1">Hm</Think >Yes', '<THINK why="1">Hm</Think >', "Yes"),
        ("<thinking>Hm</thinking> Yes", "<thinking>Hm</thinking> ", "Yes"),
        ("[THINK]Hm[/THINK] Yes", "[THINK]Hm[/THINK] ", "Yes"),
        ("<think>a</think>\n<think>b</think>Yes", "<think>a</think>\n<think>b</think>", "Yes"),
        ("<think>Hm, cut", "<think>Hm, cut", ""),
        ("Hm</think>Yes", "Hm</think>", "Yes"),
        ("<think>a</think>Write </think> there", "<think>a</think>", "Write </think> there"),
        ("Write <think>so</think> there", "", "Write <think>so</think> there"),
        ("<thin>air</thin>", "", "<thin>air</thin>"),
        ("Yes", "", "Yes"),
        ("", "", ""),
    ],
)
def test_thoughts_stand_before_an_answer(text: str, thoughts: str, answer: str) -> None:
    assert thoughts_and_answer(text) == (thoughts, answer)


@pytest.fixture(scope="module", params=[False, True], ids=["words", "special tokens"])
def thinking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows three texts by heart; the marks of its thoughts are words or special tokens."""
    words = [*WORDS, *MARKS]
    folder = tiny_folder(tmp_path_factory.mktemp("thinking"), words=words, hidden=32)
    model, tokenizer = load(folder), tiny_tokenizer(words)
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in (FIRST, SECOND, KEPT)]
    learning = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = sum(model(torch.tensor([one]), labels=torch.tensor([one])).loss for one in ids)
        learning.zero_grad()
        loss.backward()
        learning.step()
    model.save_pretrained(folder)
    if request.param:
        tokenizer.add_special_tokens({"extra_special_tokens": MARKS}, replace_extra_special_tokens=False)
    tokenizer.save_pretrained(folder)
    return folder


def answered(folder: Path, model: Path, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the step counts, and the answer to a question of two turns."""
    data = folder / "data"
    data.mkdir()
    write_rows(data / "question.jsonl", [{"question_id": 1, "category": "math", "turns": ["a", "d"]}])
    judge_prompts.write(data)
    given = {"benchmark": "mt-bench", "template": None, "seed": 0, "limit": None, "max_tokens": 8}
    (folder / "out").mkdir()
    inputs, context = {"data": data, "model": model}, {"device": "cpu", "batch": 1}
    measured = run_model(BY_MODEL.work(given | settings, inputs, folder / "out", context))
    return measured, json.loads((folder / "out" / "answers.jsonl").read_text())


def test_thoughts_are_taken_out_of_answers_and_of_the_history(thinking: Path, tmp_path: Path) -> None:
    measured, answer = answered(tmp_path, thinking)
    assert answer["turns"] == ["c", "f"] and measured["thoughts"] == 1
    assert answer["thoughts"] == ["<think> b </think> ", "<think> e </think> "]
    assert answer["tokens"] == [5, 5]  # what was written, thoughts and end of turn with it


def test_thoughts_are_kept_where_the_benchmark_says_so(thinking: Path, tmp_path: Path) -> None:
    measured, answer = answered(tmp_path, thinking, thoughts="keep")
    assert answer["turns"] == ["<think> b </think> c", "g"]
    assert "thoughts" not in answer and measured["thoughts"] == 0


@pytest.mark.parametrize("opened", [False, True])
def test_thoughts_that_the_limit_cuts_are_no_answer(thinking: Path, tmp_path: Path, opened: bool) -> None:
    """Where the generation prompt opens the block, nothing in the text says so."""
    template = TEMPLATE.replace("<assistant> {% endif", "<assistant> <think> {% endif") if opened else None
    measured, answer = answered(tmp_path, thinking, template=template, max_tokens=1 if opened else 2)
    assert answer["turns"][0] == "" and answer["truncated"][0] and measured["truncated"] == 1
    assert answer["thoughts"][0].split() == ["<think>", "b"]


def test_a_template_that_opens_the_block_leaves_the_answer_behind_it(thinking: Path, tmp_path: Path) -> None:
    template = TEMPLATE.replace("<assistant> {% endif", "<assistant> <think> {% endif")
    _, answer = answered(tmp_path, thinking, template=template)
    assert answer["turns"] == ["c", "f"]
