"""What ends a training that is lost: a loss or gradient that is no number, a norm over a limit."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from harness.common.files import replace
from harness.common.text import cut
from harness.store.step import StepLost
from harness.train.examples import TrainWork

STOPPED = "stopped.jsonl"  # in what the step keeps: its metrics up to the optimizer step that ended it
WORDS_OF_LOSS = 60  # characters of a loss's other terms in the line


@dataclass(frozen=True)
class Moment:
    """One optimizer step: its loss terms, gradient norm before clipping, and learning rate; `told` is what
    its line tells beside them.
    """

    step: int
    terms: Mapping[str, float]
    norm: float
    rate: float
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The step as a line of metrics."""
        numbers = {"step": self.step, "lr": self.rate, "grad_norm": self.norm}
        return json.dumps({**numbers, **self.told, **self.terms})

    def fault(self, limit: float | None, *, overflowed: bool = False) -> str:
        """What is wrong with it in words, "" where nothing is. An overflowed float16 step, which the scaler
        leaves out, is no fault; a loss that is no number is.
        """
        if bad := [name for name, value in self.terms.items() if not math.isfinite(value)]:
            return f"loss term {bad[0]} is {self.terms[bad[0]]}"
        if overflowed:
            return ""
        if not math.isfinite(self.norm):
            return f"the gradient norm is {self.norm}"
        if limit is not None and self.norm > limit:
            return f"the gradient norm is {self.norm:.3g}, over health.grad_norm: {limit:g}"
        return ""


def check(work: TrainWork, moment: Moment, steps: int, before: list[str], *, overflowed: bool) -> None:
    """StepLost for an optimizer step that ends a training of so many; its metrics are kept for a look,
    `before` the lines so far.
    """
    if fault := moment.fault(work.context.get("most_grad_norm"), overflowed=overflowed):
        told = f"{_where(work, moment.step, steps)}: {fault} ({_beside(moment)}); lower lr?"
        raise StepLost(f"{told}{_log(work, moment, before)}")


def check_probe(work: TrainWork, terms: Mapping[str, float], when: str) -> None:
    """StepLost where the loss on the probe is no number, before the first step or behind the last."""
    if fault := Moment(0, terms, 0.0, 0.0).fault(None):
        raise StepLost(f"{_named(work)}: {when} {fault}; lower lr?")


def check_names(work: TrainWork, what: str, first: Mapping[str, float], last: Mapping[str, float]) -> None:
    """StepLost where what a method computes has other names at the end than at the beginning."""
    if first.keys() != last.keys():
        before, after = (", ".join(cut(name) for name in sorted(names)) or "none" for names in (first, last))
        told = f"before the first step {before}, behind the last {after}; the same names throughout"
        raise StepLost(f"{_named(work)}: the {what}: {told}")


def finite(method: str, watched: Mapping[str, Tensor]) -> dict[str, float]:
    """A method's watched means as numbers; ValueError for one that is none, of a count of 0 mostly."""
    means = {name: float(value) for name, value in watched.items()}
    if odd := [name for name, value in means.items() if not math.isfinite(value)]:
        allowed = "a finite sum over a count that is not 0"
        raise ValueError(f"{method}: watch: {odd[0]} is {means[odd[0]]}; {allowed}")
    return means


def _named(work: TrainWork) -> str:
    return f"{work.context['method']}: seed {work.settings.seed}"


def _where(work: TrainWork, step: int, steps: int) -> str:
    return f"{_named(work)}: step {step} of {steps}"


def _beside(moment: Moment) -> str:
    loss = ", ".join(f"{name} {value:.3g}" for name, value in moment.terms.items())
    return f"loss {cut(loss, WORDS_OF_LOSS)}, gradient norm {moment.norm:.3g}, lr {moment.rate:.3g}"


def _log(work: TrainWork, moment: Moment, before: list[str]) -> str:
    """The end of the line: where the metrics are kept, if they are."""
    if work.kept is None:
        return ""
    work.kept.mkdir(parents=True, exist_ok=True)
    log = work.kept / STOPPED
    replace(log, "".join(before) + moment.line + "\n")  # every process of a training may write it
    return f" log: {log}"
