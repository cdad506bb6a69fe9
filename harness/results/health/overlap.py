"""The step that counts the training prompts of a data set that overlap with the questions of a benchmark.

It is no part of a plan: the store makes it when results are written, once per data and benchmark.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Generic

from harness.common.files import read_json_lines
from harness.common.tokenizer import Tokenizer, load_tokenizer
from harness.data.token_sequences import Sequences
from harness.evaluate import questions, registry
from harness.evaluate.answers import AnswerSettings
from harness.evaluate.openllm import TASKS
from harness.results.health.ngrams import Turns, overlap
from harness.store.step import Ref, Source, Step, StepKind, Work
from harness.store.step_record import several
from harness.suite.measurement import Measures

# What templates write before a turn, where it is no special token ("<|im_start|>user\n").
ROLE = re.compile(r"\s*(system|user|assistant)\n")


@dataclass(frozen=True)
class OverlapSettings:
    """The benchmark whose questions are asked, with the settings that choose them; or lm-eval's tasks."""

    benchmark: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class OverlapInputs(Generic[Ref]):
    """The training pairs and SFT dialogues, the tokenizer that made these, and where the questions are."""

    pairs: Ref
    tokenizer: Ref
    dialogues: Mapping[str, Ref] = several("dialogues")
    data: Ref | None = None
    include: Ref | None = None


def step_of(measures: Measures, pairs: Step, dialogues: Mapping[str, Step], tokenizer: Step) -> Step | None:
    """The step for what a row is measured by; None where it asks no questions of its own."""
    answers, results = measures.get("answers"), measures.get("results")
    if isinstance(answers, Step) and isinstance(answers.settings, AnswerSettings):
        name, options, asked = answers.settings.benchmark, answers.settings.options, answers
        where = {"data": answers.inputs.data}
    elif isinstance(results, Step) and results.kind is TASKS:
        name, asked = TASKS.name, results
        options = {"tasks": results.settings.tasks, "limit": results.settings.limit}
        where = {"data": results.inputs.data, "include": results.inputs.include}
    else:
        return None
    inputs = OverlapInputs[Source](pairs, tokenizer, dialogues, **where)
    context = {key: asked.context[key] for key in ("benchmark_file",) if key in asked.context}
    return OVERLAP.step(f"overlap with {name}", OverlapSettings(name, options), inputs, context)


def run(work: Work[OverlapSettings, OverlapInputs[Path]]) -> dict[str, Any]:
    """The step; all that it finds is in its record."""
    inputs = work.inputs
    tokenizer = load_tokenizer(inputs.tokenizer)
    prompts = chain(
        _of_pairs(inputs.pairs), *(_of_dialogues(folder, tokenizer) for folder in inputs.dialogues.values())
    )
    file = work.context.get("benchmark_file")
    return overlap(prompts, asked(work.settings, inputs.data, inputs.include, file))._asdict()


def asked(
    settings: OverlapSettings, data: Path | None, include: Path | None, file: str | None
) -> list[Turns]:
    """The texts of a benchmark's questions; `file` is the --benchmark-file that declares it."""
    if settings.benchmark == TASKS.name:
        from benchmarks.openllm.evaluate import documents  # it imports lm-eval

        texts = documents(settings.options["tasks"], include, data, settings.options["limit"])
        return [(text,) for text in texts]
    assert data
    declared = registry.declared(settings.benchmark, file)
    return [q.turns for q in questions.load(declared, data, settings.options)[0]]


def _of_pairs(folder: Path) -> Iterator[Turns]:
    for row in read_json_lines(folder / "prompts.jsonl"):
        yield [message["content"] for message in row["prompt"]]


def _of_dialogues(folder: Path, tokenizer: Tokenizer) -> Iterator[Turns]:
    """The turns of each sequence as text, answers among them: SFT learns from both."""
    sequences, special = Sequences(folder), set(tokenizer.all_special_ids)
    for i in range(len(sequences)):
        turns: list[list[int]] = [[]]
        for token in sequences[i].ids:
            if token in special:
                turns.append([])
            else:
                turns[-1].append(token)
        texts = tokenizer.batch_decode([ids for ids in turns if ids])
        yield [ROLE.sub("", text, count=1) for text in texts]


OVERLAP = StepKind("overlap", OverlapSettings, OverlapInputs, "harness.results.health.overlap:run")
