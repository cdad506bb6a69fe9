"""The row types that a run writes and every table reads: one JSON object a line.

    {"suite": "pocket", "pair": "pocket", "dataset": "pocket", "method": "ADPA", "seed": 0,
     "benchmark": "my-bench", "metric": "score", "group": "math", "question": "81", "turn": 1, "order": "",
     "judge": "rule", "reference": "", "value": 7.0, "status": "ok", "tokens": 21, "truncated": false,
     "artifacts": ["answers-0f3a...", "judgments-77b1..."], "version": ""}

`results.jsonl` holds records, `summaries.jsonl` numbers of whole benchmarks, `judging.jsonl` what judging
took, `repeats.jsonl` verdicts that were asked for again, `judges.jsonl` how good judges are, `training.jsonl`
what training changed, `curves.jsonl` what it logged, and `counts.jsonl` what was lost on the way; all are
deterministic. `costs.jsonl` holds what was measured (seconds). jsonl.py reads and writes them.
"""

from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config

from reports.statistics.bootstrap import Replicate

LARGEST = 1e151  # value: sums of the squares of larger ones are no floats
Named = Annotated[str, Field(min_length=1)]
# A column is called "benchmark.metric vs reference by judge", and a folder of exports by the name alone.
BenchmarkName = Annotated[str, Field(pattern=r"^[^\s./\x00-\x1f\x7f]{1,100}$")]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
OPTIONAL = {"optional": True}  # a field's metadata: it stands in a line only where it is not its default


def optional(default: Any) -> Any:
    """A field that stands in a line only where it is not its default."""
    return field(default=default, metadata=OPTIONAL)


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Row:
    """A line of a file holds what a run wrote: no key too many, no text that only looks like a number."""


@dataclass(frozen=True)
class MethodRow(Row):
    """A row about one method, trained with one seed on models of one world seed."""

    suite: Named
    pair: Named
    dataset: str
    method: Named
    seed: Seed
    # By keyword: the kinds of rows below add fields without a default.
    world_seed: Seed = field(default=0, kw_only=True, metadata=OPTIONAL)

    @property
    def replicate(self) -> Replicate:
        """Which run of its method it is of."""
        return Replicate(self.world_seed, self.seed)


@dataclass(frozen=True)
class JudgedRow(MethodRow):
    """A row about a method on one benchmark, by one judge; `reference` is whom it was compared with."""

    benchmark: BenchmarkName
    judge: str
    reference: str


@dataclass(frozen=True)
class Record(MethodRow):
    """One value of one method on one item.

    `group` is the question's category or its task, `version` lm-eval's and the number of shots; `value` is
    finite, and None exactly where `status` is not "ok"; `marks` are what is to be told of it; win rates and
    accuracies are 0-1; `tokens` and `truncated` describe the answer, or the prompt where `benchmarks.json`
    says so. A result that could not be had at all is one record per method and benchmark with `question` "",
    `value` None and the reason as its `status` ("not run: no answers of the reference ADPA").
    """

    benchmark: BenchmarkName
    metric: str
    group: str
    question: str
    turn: int
    order: str
    judge: str
    reference: str
    value: float | None
    status: str = "ok"
    tokens: int = 0
    truncated: bool = False
    artifacts: tuple[str, ...] = ()
    version: str = ""
    marks: tuple[str, ...] = optional(())

    def __post_init__(self) -> None:
        _check_value(self)


@dataclass(frozen=True)
class Cost(MethodRow):
    """What one method cost, were it run alone: its own stages and its share-free part of the teacher's work.

    Seconds are measured; FLOPs are counted (6 x parameters x tokens for a training step, 2 x for a forward
    pass). `padding_share` is 0-1; `rows_dropped` and `rows_truncated` count rows of the training set.
    `passes` names the forward passes of teacher-size models over training sets, "model/sequences/dtype".
    `positions` are those that training computed, `padded_positions` those of the same batches padded; both 0
    where no step told. `unshared` says which models could not share, and why.
    """

    train_seconds: float
    train_flops: float
    teacher_flops: float
    train_tokens: int
    padding_share: float
    rows_dropped: int
    rows_truncated: int
    device: str
    passes: tuple[str, ...] = ()
    positions: int = 0
    padded_positions: int = 0
    unshared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training(MethodRow):
    """What training changed, from before its first step to after its last.

    `loss_*` is the method's own loss on a fixed probe of its training set (no two methods share a scale);
    `margin_*` is log pi(y_w|x) - log pi(y_l|x) in nats, the mean over held-out pairs; None is a number that
    is not finite or was not computed. `moved` is the share, 0-1, of weights whose stored value changed.
    `terms` names the loss's terms: (name, before, after). `held_*` is the loss on held-out prompts or, where
    `objective` names another mean, that mean, which the method raises. `watched` are means on the probe
    (name, before, after); `warnings` those of them that pass a limit, in words.
    """

    loss_before: float | None
    loss_after: float | None
    margin_before: float | None
    margin_after: float | None
    moved: float
    steps: int
    terms: tuple[tuple[str, float, float], ...] = ()
    objective: str = "loss"
    held_before: float | None = None
    held_after: float | None = None
    watched: tuple[tuple[str, float, float], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def margin_change(self) -> float | None:
        """What training added to the margin."""
        if self.margin_before is None or self.margin_after is None:
            return None
        return self.margin_after - self.margin_before


@dataclass(frozen=True)
class Curve(MethodRow):
    """A quantity on the way of a training, after optimizer steps that its log has a line of.

    `kind` is "term" (of the loss), "gradient" (its norm), "margin" (nats) or "mean" (of a statistic over a
    view's tokens); `quantity` names it. None is a value that is not finite. Of `logged` lines some are left
    out where they are many.
    """

    kind: str
    quantity: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]
    logged: int


@dataclass(frozen=True)
class Summary(JudgedRow):
    """A number of a whole benchmark for one row, as the benchmark's own tool adds it up.

    Shares are 0-1. It is what no mean over items gives: a length-controlled win rate, a Bradley-Terry score,
    an average that the leaderboard normalises, and the standard errors and intervals of these.
    """

    metric: str
    value: float


@dataclass(frozen=True)
class Repeat(JudgedRow):
    """One more verdict on what a record has the first one of: `repeat` counts from 1.

    No mean knows of it. `value` is in the record's unit, and None exactly where `status` is not "ok".
    `request` is a hash of what the judge was sent: rows that share it share the reply.
    """

    metric: str
    group: str
    question: str
    turn: int
    order: str
    repeat: int
    request: str
    value: float | None
    status: str = "ok"

    def __post_init__(self) -> None:
        _check_value(self)


@dataclass(frozen=True)
class Judging(JudgedRow):
    """What judging one row on one benchmark took, were nothing of it there before.

    `usd` is None where the judge's price is not known; `models` names who served the replies, with its
    fingerprint where the server gives one; `guarded` counts tokens of chat templates that the answers held
    and that were broken up. Of `calls`, whose tokens and money are all here, `repeats` asked for a verdict
    again; `judgments` and `unparsed` are of first ones.
    """

    judgments: int
    unparsed: int
    guarded: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    models: tuple[str, ...]
    repeats: int = optional(0)


@dataclass(frozen=True)
class Count(Row):
    """How many of a step's rows, answers or the like something befell: what the line of health adds up.

    None: could not be counted, and `note` says why. `total` is of how many, 0 where nobody says; `label` is
    the step's, and `step` is "" of a count that no step of the run has; `benchmark` is one that the line
    tells from others.
    """

    suite: str
    pair: str
    dataset: str
    name: str
    step: str
    label: str
    count: int | None
    total: int
    benchmark: str = ""
    note: str = ""


@dataclass(frozen=True)
class JudgeCheck(Row):
    """What a check on gold pairs says of a judge with one benchmark's prompt; shares are 0-1.

    `n` of `pairs` have a verdict in both orders; `low` and `high` bound the agreement at 95 %. None: could
    not be had. `repeat_noise` is the standard deviation of a pair's value between repeats, `unparsed` is of
    `verdicts`.
    """

    suite: str
    judge: str
    prompt: str
    pairs: int
    n: int
    agreement: float | None
    low: float | None
    high: float | None
    consistent: float | None
    first_slot_rate: float | None
    repeat_noise: float | None
    flips: float | None
    kappa: float | None
    unparsed: int
    verdicts: int


def _check_value(row: Record | Repeat) -> None:
    if (row.value is None) == (row.status == "ok"):
        raise ValueError(
            f"value {row.value} with status {row.status!r}: a value has status 'ok', None has a reason"
        )
    if row.value is not None and not abs(row.value) <= LARGEST:
        raise ValueError(
            f"value {row.value} of {row.method} on {row.benchmark}: must be finite, and {LARGEST:g} at most"
        )


RUN = ("suite", "pair", "dataset", "method", "world_seed", "seed")
ITEM = ("benchmark", "metric", "group", "question", "turn", "order", "judge", "reference")
JUDGED = ("benchmark", "judge", "reference")
# What tells a row from all others of its kind: a file holds each of these once.
KEYS: dict[type, tuple[str, ...]] = {
    Record: RUN + ITEM,
    Repeat: (*RUN, *ITEM, "repeat"),
    Cost: RUN,
    Training: RUN,
    Curve: (*RUN, "kind", "quantity"),
    Summary: (*RUN, *JUDGED, "metric"),
    Judging: RUN + JUDGED,
    Count: ("suite", "pair", "dataset", "name", "step", "benchmark"),
    JudgeCheck: ("suite", "judge", "prompt"),
}
KEY_OF = {kind: attrgetter(*names) for kind, names in KEYS.items()}
