"""The suite that `bench init` writes: its text, its judge's questions, and what a plan says of its data."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.api import Message
from harness.cli.start import look
from harness.cli.start.look import Given
from harness.common import hub
from harness.data import chat_template
from harness.data.layouts import Pair
from harness.suite.loading import Known

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
)
ANSWERS = 256  # tokens of an answer
MOST_QUESTIONS = 100  # of held-out prompts, since a judge may take money for each
HELD_OUT, LEAST_HELD_OUT, MOST_HELD_OUT = 0.1, 8, 500  # a share of the pairs, and its bounds
JUDGED = "held-out-prompts"


class Split(NamedTuple):
    """The data of the keys `preference` and `validation`, and the held-out pairs as far as they are here."""

    preference: Mapping[str, Any]
    validation: Mapping[str, Any]
    held_out: Sequence[Pair]
    shared: int  # held-out pairs whose prompt is among those for training


def split_of(given: Given) -> Split:
    """The held-out pairs: those that are given, else the first pairs; of a hub id its last twentieth."""
    rows = look.pairs(given.preference)
    if given.validation:
        held = look.pairs(given.validation)
        return Split({"path": given.preference}, {"path": given.validation}, held, _shared(rows, held))
    if not rows:
        train, held_out = ({"path": given.preference, "split": f"train[{part}]"} for part in (":95%", "95%:"))
        return Split(train, held_out, [], 0)
    if len(rows) < 2:
        raise ValueError(f"{given.preference}: one usable pair, and none to hold out; give --validation")
    some = max(LEAST_HELD_OUT, min(MOST_HELD_OUT, int(HELD_OUT * len(rows))))
    count = min(some, len(rows) // 2)
    rest, first = {"skip": count}, {"limit": count}
    path = {"path": given.preference}
    return Split(path | rest, path | first, rows[:count], _shared(rows[count:], rows[:count]))


def _shared(train: Sequence[Pair], held_out: Sequence[Pair]) -> int:
    prompts = {json.dumps(pair.prompt) for pair in train}
    return sum(json.dumps(pair.prompt) in prompts for pair in held_out)


def questions_of(held_out: Sequence[Pair]) -> list[dict[str, str]]:
    """The held-out prompts of one turn, each once, in alpaca_eval's layout."""
    asked = dict.fromkeys(pair.prompt[0]["content"] for pair in held_out if len(pair.prompt) == 1)
    return [{"id": str(n), "instruction": text} for n, text in enumerate(list(asked)[:MOST_QUESTIONS])]


def text_of(given: Given, known: Known, out: Path, split: Split, questions: Path | None) -> str:
    """The suite as it is written to `out`; with `questions` a judge compares the answers to these."""
    max_length = look.longest(given)
    max_tokens = min(ANSWERS, max_length // 2)
    here, waiting = look.benchmarks(given, known)
    if given.judge and questions:
        # Any two answers: the first benchmark that compares them, whose layout the questions have.
        like = next(name for name, one in known.benchmarks.items() if one.declaration.comparison)
        compared = {"judge": given.judge.name, "reference": "Student", "max_tokens": max_tokens}
        here = {JUDGED: {"like": like, "data": str(questions), **compared}, **here}
    return TEMPLATES.get_template("suite.yaml.j2").render(
        name=out.stem,
        file=out,
        given=given,
        split=split,
        max_length=max_length,
        max_tokens=max_tokens,
        benchmarks=here,
        waiting=waiting,
        judges=look.judges(given, known),
    )


def planned(out: Path, known: Known) -> list[str]:
    """What a plan of the written suite says of its rows; ValueError where it cannot be planned."""
    from harness.run import data_counts, pipeline
    from harness.run.checks import chat_checks
    from harness.store.store import Store
    from harness.suite import loading

    with TemporaryDirectory() as folder, hub.unresolved_allowed():
        store = Store(Path(folder) / "store")
        plan = pipeline.make_plan(
            loading.load(str(out), [], known), (), store, pipeline.machine(Path(folder)), None
        )
        chat_checks.check(plan.steps)
        return list(data_counts.data_lines(plan.steps, store))


def example_of(given: Given, split: Split) -> str:
    """A held-out prompt and its preferred answer as the student reads them; "" where they are not here."""
    tokenizer = look.tokenizer_of(given.student)
    if tokenizer is None or not split.held_out:
        return ""
    pair = split.held_out[0]
    answer: Message = {"role": "assistant", "content": pair.chosen}
    return chat_template.render(
        tokenizer, [*pair.prompt, answer], template=given.chat_template, add_generation_prompt=False
    )
