"""The steps that answer a benchmark's questions: a checkpoint, an endpoint, a control, or answers that exist.

    answers.jsonl   {"question": "81", "turns": ["..."], "tokens": [12], "truncated": [false]}

Answers are stored once; another judge needs no new ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.api import Answer, JudgedBenchmark, Message, Question
from harness.common.files import write_json_lines
from harness.endpoints.replies import EndpointReply
from harness.evaluate import questions, registry
from harness.evaluate.judges import endpoint_replies
from harness.store.step import StepKind, Work
from harness.suite.benchmarks import Control

# What a judge should give nothing for: a fixed text, no text, the question itself.
CONTROLS: dict[Control, Callable[[str], str]] = {
    "constant": lambda question: "I am happy to help. Here is a detailed and accurate answer.",
    "empty": lambda question: "",
    "copy": lambda question: question,
}
Said = tuple[str, int, bool]  # text, tokens, truncated


def run_model(work: Work) -> dict[str, Any]:
    """The step: a model answers every question, turn by turn, its own earlier answers in the prompt."""
    from harness.common.tokenizer import load_tokenizer
    from harness.data import chat_template
    from harness.models.generation import Request, generate
    from harness.models.loading import load

    settings, tokenizer = work.settings, load_tokenizer(work.inputs["model"])
    model = load(work.inputs["model"]).to(work.context["device"])
    _, benchmark = _loaded(work)
    stop = chat_template.end_ids(tokenizer, model.generation_config, template=settings["template"])

    def answer(asked: Sequence[tuple[Question, list[Message]]], turn: int) -> list[Said]:
        requests = [
            Request(
                chat_template.encode_prompt(tokenizer, conversation, template=settings["template"]),
                benchmark.sampling(q),
                f"{q.id}/{turn}",
            )
            for q, conversation in asked
        ]
        batch, seed = work.context["batch"], settings["seed"]
        drawn = generate(model, requests, stop, batch=batch, seed=seed, kept=work.kept)
        texts = [tokenizer.decode(a.ids, skip_special_tokens=True).strip() for a in drawn]
        return [(text, len(a.ids), a.truncated) for text, a in zip(texts, drawn, strict=True)]

    return _answer_all(work, answer)


def run_endpoint(work: Work) -> dict[str, Any]:
    """The step: an OpenAI-compatible endpoint answers every question; what it has answered is never asked
    again.
    """
    _, benchmark = _loaded(work)
    ask, given = endpoint_replies(work.settings["endpoint"], work.context), list[EndpointReply]()

    def answer(asked: Sequence[tuple[Question, list[Message]]], turn: int) -> list[Said]:
        found = ask([(tuple(c), benchmark.sampling(q), 0) for q, c in asked])
        given.extend(found)
        return [(g.text.strip(), g.completion_tokens, g.finish_reason == "length") for g in found]

    measured = _answer_all(work, answer)
    return measured | {
        "calls": len(given),
        "prompt_tokens": sum(g.prompt_tokens for g in given),
        "completion_tokens": sum(g.completion_tokens for g in given),
    }


def run_control(work: Work) -> dict[str, Any]:
    """The step: a control's answers."""
    write = CONTROLS[work.settings["control"]]
    return _answer_all(work, lambda asked, turn: [(write(q.turns[turn]), 0, False) for q, _ in asked])


def run_stored(work: Work) -> dict[str, Any]:
    """The step: answers that lie in the benchmark's data, of a named model or of its authors' baseline."""
    settings, (asked, _) = work.settings, _loaded(work)
    declared = registry.declared(settings["benchmark"], work.context.get("benchmark_file"))
    return _write(work, questions.stored(declared, work.inputs["data"], settings, settings["answers"], asked))


def _loaded(work: Work) -> tuple[list[Question], JudgedBenchmark]:
    declared = registry.declared(work.settings["benchmark"], work.context.get("benchmark_file"))
    return questions.load(declared, work.inputs["data"], work.settings)


def _answer_all(
    work: Work, answer: Callable[[Sequence[tuple[Question, list[Message]]], int], Sequence[Said]]
) -> dict[str, Any]:
    """Ask every question's turns in order; `answer` is given those that have a turn of that number."""
    asked, _ = _loaded(work)
    said: dict[str, list[Said]] = {q.id: [] for q in asked}
    for turn in range(max(len(q.turns) for q in asked)):
        of_turn = [(q, _conversation(q, said[q.id])) for q in asked if len(q.turns) > turn]
        for (q, _), one in zip(of_turn, answer(of_turn, turn), strict=True):
            said[q.id].append(one)
    answers = []
    for q in asked:
        turns, tokens, truncated = zip(*said[q.id], strict=True)
        answers.append(Answer(q.id, turns, tokens, truncated))
    return _write(work, answers)


def _conversation(question: Question, said: Sequence[Said]) -> list[Message]:
    """The question's turns so far, with the answers given to all but the last."""
    messages: list[Message] = []
    for turn, (text, _, _) in zip(question.turns, said, strict=False):
        messages += [Message(role="user", content=turn), Message(role="assistant", content=text)]
    return [*messages, Message(role="user", content=question.turns[len(said)])]


def _write(work: Work, answers: Sequence[Answer]) -> dict[str, Any]:
    write_json_lines(work.out / "answers.jsonl", map(asdict, answers))
    return {"answers": len(answers), "truncated": sum(any(a.truncated) for a in answers)}


def _kind(run: str, version: int) -> StepKind:
    run = f"harness.evaluate.answers:{run}"
    return StepKind("answers", dict, dict, run, version, True, "workers", one_thread=True)


# One kind for the store, whoever answers. Settings are a dictionary: each benchmark has keys of its own.
BY_MODEL, BY_ENDPOINT = _kind("run_model", 3), _kind("run_endpoint", 2)
BY_CONTROL, STORED = _kind("run_control", 2), _kind("run_stored", 2)
