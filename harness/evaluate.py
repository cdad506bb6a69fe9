"""The steps that measure a checkpoint: its answers, their judgments, and lm-eval's tasks.

    answers.jsonl    {"question": "81", "turns": ["..."], "tokens": [12], "truncated": [false]}
    judgments.jsonl  {"question": "81", "turn": 1, "order": "", "request": "9f3a...", "reply": "... [[7]]",
    "value": 7.0} results.jsonl    {"task": "pocket_facts", "metric": "acc_norm", "document": "12", "value":
    1.0}

Answers are stored once; another judge needs no new ones. A reply that could not be parsed has the value null.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import alpaca_eval, mt_bench
from benchmarks.api import Answer, JudgedBenchmark, JudgeRequest, Message, Question, Score, Unparsed
from harness.store import Work

Loaded = tuple[list[Question], JudgedBenchmark]


def load_benchmark(name: str, folder: Path, settings: Mapping[str, Any]) -> Loaded:
    """The questions of a judged benchmark and its functions.

    "rule" puts AlpacaEval's questions to MT-Bench's single-answer grading: the mean score on them.
    """
    if name == "alpaca-eval":
        return alpaca_eval.load(
            folder / "alpaca_eval", order=settings.get("order", "both"), max_tokens=settings["max_tokens"]
        )
    questions, graded = mt_bench.load(folder / "mt_bench", max_tokens=settings["max_tokens"])
    if name == "rule":
        asked, pairwise = alpaca_eval.load(folder / "alpaca_eval", max_tokens=settings["max_tokens"])
        return asked, replace(graded, name="rule", sampling=pairwise.sampling)
    return questions, graded


def read_answers(folder: Path) -> dict[str, Answer]:
    """Question id -> answer."""
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return {
        r["question"]: Answer(r["question"], tuple(r["turns"]), tuple(r["tokens"]), tuple(r["truncated"]))
        for r in rows
    }


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_answers(work: Work) -> dict[str, Any]:
    """The step: a model answers every question, turn by turn, its own earlier answers in the prompt."""
    from harness import chat
    from harness.generate import Request, generate
    from harness.models import load, load_tokenizer

    settings, tokenizer = work.settings, load_tokenizer(work.inputs["model"])
    model = load(work.inputs["model"]).to(work.context["device"])
    questions, benchmark = load_benchmark(settings["benchmark"], work.inputs["data"], settings)
    stop = chat.end_ids(tokenizer, model.generation_config, template=settings["template"])
    said: dict[str, list[tuple[str, int, bool]]] = {q.id: [] for q in questions}
    for turn in range(max(len(q.turns) for q in questions)):
        asked = [q for q in questions if len(q.turns) > turn]
        requests = [
            Request(
                chat.encode_prompt(tokenizer, _conversation(q, said[q.id]), template=settings["template"]),
                benchmark.sampling(q),
                f"{q.id}/{turn}",
            )
            for q in asked
        ]
        drawn = generate(model, requests, stop, batch=work.context["batch"], seed=settings["seed"])
        for q, answer in zip(asked, drawn, strict=True):
            text = tokenizer.decode(answer.ids, skip_special_tokens=True).strip()
            said[q.id].append((text, len(answer.ids), answer.truncated))
    answers = []
    for q in questions:
        turns, tokens, truncated = zip(*said[q.id], strict=True)
        answers.append(Answer(q.id, turns, tokens, truncated))
    _write(work.out / "answers.jsonl", [asdict(a) for a in answers])
    return {"answers": len(answers), "truncated": sum(any(a.truncated) for a in answers)}


def _conversation(question: Question, said: Sequence[tuple[str, int, bool]]) -> list[Message]:
    """The question's turns so far, with the answers given to all but the last."""
    messages: list[Message] = []
    for turn, (text, _, _) in zip(question.turns, said, strict=False):
        messages += [Message(role="user", content=turn), Message(role="assistant", content=text)]
    return [*messages, Message(role="user", content=question.turns[len(said)])]


def run_judgments(work: Work) -> dict[str, Any]:
    """The step: the judge reads every answer, and the benchmark reads the judge."""
    from harness.pocket.judge import RuleJudge

    settings = work.settings
    questions, benchmark = load_benchmark(settings["benchmark"], work.inputs["data"], settings)
    answers = read_answers(work.inputs["answers"])
    reference = read_answers(work.inputs["reference"]) if benchmark.pairwise else {}
    judge = RuleJudge(work.inputs["judge"])
    rows, unparsed = [], 0
    for q in questions:
        for item in benchmark.requests(q, answers[q.id], reference.get(q.id)):
            if isinstance(item, Score):
                rows.append(_row(item.turn, item.order, q, None, "", item.value))
                continue
            reply = judge(item.messages)
            value = benchmark.parse(item, reply)
            unparsed += isinstance(value, Unparsed)
            rows.append(_row(item.turn, item.order, q, item, reply.text, value))
    _write(work.out / "judgments.jsonl", rows)
    return {"judgments": len(rows), "unparsed": unparsed}


def _row(
    turn: int, order: str, q: Question, request: JudgeRequest | None, reply: str, value: float | Unparsed
) -> dict[str, Any]:
    asked = "" if request is None else hashlib.sha256(json.dumps(request.messages).encode()).hexdigest()[:12]
    return {
        "question": q.id,
        "category": q.category,
        "turn": turn,
        "order": order,
        "request": asked,
        "reply": reply,
        "value": None if isinstance(value, Unparsed) else value,
    }


def run_openllm(work: Work) -> dict[str, Any]:
    """The step: lm-eval's tasks on a model, document by document."""
    from benchmarks import openllm
    from harness.models import load, load_tokenizer

    settings = work.settings
    model = load(work.inputs["model"]).to(work.context["device"])
    results = openllm.evaluate(
        model,
        load_tokenizer(work.inputs["model"]),
        settings["tasks"],
        work.inputs.get("include"),
        data=work.inputs.get("data"),
        batch_size=settings["batch_size"],
        num_fewshot=settings["num_fewshot"],
        limit=settings["limit"],
    )
    rows = [
        {"task": r.task, "metric": r.metric, "document": str(document), "value": value}
        for r in results
        for document, value in r.values.items()
    ]
    _write(work.out / "results.jsonl", rows)
    return {"documents": len(rows), "versions": {r.task: r.version for r in results}}
