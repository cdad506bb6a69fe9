"""What a run's models and judges wrote, and the steps that made it: one JSON object a line.

    texts.jsonl  {"method": "ADPA", "benchmark": "my-bench", "question": "81", "turn": 1, "order": "",
                  "asked": "Compose a ...", "answer": "Aloha! ...", "reply": "... [[7]]", "value": 7.0, ...}
    steps.jsonl  {"id": "210cc04687b6", "kind": "train", "label": "ADPA+", "seconds": 9.9, "inputs": ...}

A text is one judgment, with the question and the answers that it is about: a page needs nothing else.
"""

from dataclasses import dataclass
from pathlib import Path

from reports.records import jsonl
from reports.records.rows import Row, optional
from reports.statistics.bootstrap import Replicate


@dataclass(frozen=True)
class Text(Row):
    """One verdict on one turn of an answer.

    `asked` is the turn's question, `answer` what the row's model wrote; `reference_answer` is the answer of
    the reference run where the benchmark compares (`metric` "win_rate"), else the one that the benchmark's
    authors give ("" without one). `order` is "" for single answers, "ab" where the judge saw ours first.
    `value` is None exactly where `status` is not "ok"; `reply` is "" where no judge was asked.
    """

    pair: str
    dataset: str
    method: str
    seed: int
    benchmark: str
    metric: str
    judge: str
    reference: str
    question: str
    category: str
    turn: int
    order: str
    asked: str
    answer: str
    tokens: int
    truncated: bool
    reference_answer: str
    reply: str
    value: float | None
    status: str
    world_seed: int = optional(0)

    @property
    def replicate(self) -> Replicate:
        """Which run of its method it is of."""
        return Replicate(self.world_seed, self.seed)


@dataclass(frozen=True)
class StepRecord(Row):
    """One step of the plan as it was done: what it read, by input, and how long it took.

    `settings` are (name, value) with nested names joined by dots and values as JSON; `results` names the rows
    whose last stage of training it is: (pair, dataset, method, seed), all of `world_seed`.
    """

    id: str
    kind: str
    label: str
    seconds: float
    inputs: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str, str, int], ...] = ()
    world_seed: int = optional(0)


def read_texts(path: Path) -> list[Text]:
    """The rows of a `texts.jsonl`; a run without one has none."""
    return jsonl.read(path, Text) if path.is_file() else []


def read_steps(path: Path) -> list[StepRecord]:
    """The rows of a `steps.jsonl`; a run without one has none."""
    return jsonl.read(path, StepRecord) if path.is_file() else []
