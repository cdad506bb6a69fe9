"""Optimizer steps of the student: speed, share of the peak, memory, and how long the GPU waits."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tests.gpu import world
from tests.gpu.check import Absent, Check, Line
from tests.gpu.measure import emptied, memory, profiled, seconds
from tests.perf import ours
from tests.perf.clock import gpu
from tests.perf.workloads import WORKLOADS
from tests.perf.world import counts, flops


def dpo(check: Check) -> Iterator[Line]:
    """DPO from stored log-probs of the reference."""
    yield _trained(check, "DPO")


def dckd(check: Check) -> Iterator[Line]:
    """DCKD from the teacher's stored hidden states."""
    yield _trained(check, "DCKD")


def adpa(check: Check) -> Iterator[Line]:
    """ADPA from the stored hidden states of both teachers."""
    yield _trained(check, "ADPA")


def kd(check: Check) -> Iterator[Line]:
    """Forward KL on the chosen answers, from the teacher's stored hidden states."""
    yield _trained(check, "KD")


def compiled(check: Check) -> Iterator[Line]:
    """DPO with compiled layers."""
    if not torch.cuda.is_available():
        raise Absent("compiling for a CPU takes minutes")
    yield _trained(check, "DPO", ours.COMPILED)


def live_teachers(check: Check) -> Iterator[Line]:
    """ADPA with both teachers, all layers, run at every step; one model stands for both."""
    teacher = world.whole_teacher(check)
    yield _trained(check, "ADPA", live={"teacher": teacher, "teacher_ref": teacher})


def twice(check: Check) -> Iterator[Line]:
    """Whether two trainings of three steps end in the same bytes, as it comes and where torch is told to."""
    for deterministic in (False, True):
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        try:
            a, b = (_weights_after(check, steps=3) for _ in range(2))
        finally:
            torch.use_deterministic_algorithms(False)
        differ = [name for name in a if not torch.equal(a[name], b[name])]
        yield {"deterministic": deterministic, "equal": not differ, "differ": differ[:3], "of": len(a)}


def trl(check: Check) -> Iterator[Line]:
    """The same DPO steps by TRL."""
    try:
        from tests.perf import theirs
    except ImportError as error:
        raise Absent(f"trl cannot be imported: {error}") from error
    at, scale = world.ready(check), world.scale(check)
    emptied()
    taken = theirs.run(at, scale, "DPO", precomputed=True)
    steps = taken["seconds"]
    rates = _rates(check, "DPO", median(steps[1:]))
    yield {"name": "DPO", "side": "trl", "step_s": median(steps[1:]), "steps_s": steps, **rates, **memory()}


def begun(check: Check, name: str, side: str = "auto", live: Mapping[str, Path] | None = None) -> Any:
    """A loop of a workload and its optimizer, and what is in memory before its first step."""
    at, scale = world.ready(check), world.scale(check)
    emptied()
    return ours.prepared(at, scale, name, side, live)


def _trained(check: Check, name: str, side: str = "auto", live: Mapping[str, Path] | None = None) -> Line:
    loop, optimizer = begun(check, name, side, live)
    scale, before = world.scale(check), memory()
    steps = [range(n * scale.batch, (n + 1) * scale.batch) for n in range(scale.steps)]
    terms: dict[str, float] = {}

    def step(number: int) -> None:
        terms.update(ours.one_step(loop, optimizer, steps[number]))

    taken = [seconds(partial(step, n)) for n in range(len(steps))]
    after, one = memory(), profiled(partial(step, 1))
    busy = {"idle": max(0.0, 1 - one["busy_s"] / taken[1])} if one else {}
    return {
        "name": name,
        "side": "live" if live else side,
        "step_s": median(taken[1:]),
        "steps_s": taken,
        "micro_batches": len(loop.micro_batches(steps[0])),
        **_rates(check, name, median(taken[1:])),
        **busy,
        "before": before,
        **after,
        "profile": one,
        "terms": terms,
    }


def _rates(check: Check, name: str, step_s: float) -> Line:
    """Tokens a second, a pair's prompt once, and the share of the GPU's peak: of the student's own
    operations, and of those with the products of the teachers' heads.
    """
    at, scale, load = world.ready(check), world.scale(check), WORKLOADS[name]
    n, words = counts(at, scale, load.sides), world.vocab(check)
    own = flops(at, scale, load.sides, words)
    taught = sum(n["answers"] * sides // load.sides for sides in load.heads)
    heads = 2 * words * scale.teacher["hidden_size"] * taught
    rates: Line = {"tokens_s": n["once"] / step_s, "tflop": own / 1e12, "teachers_tflop": heads / 1e12}
    if found := gpu():
        peak = found["flops"] * step_s
        rates |= {"of_peak": own / peak, "of_peak_with_teachers": (own + heads) / peak}
    return rates


def _weights_after(check: Check, steps: int) -> dict[str, Tensor]:
    """The weights after some steps of DPO, on the CPU."""
    loop, optimizer = begun(check, "DPO")
    size = world.scale(check).batch
    for n in range(steps):
        ours.one_step(loop, optimizer, range(n * size, (n + 1) * size))
    return {name: weight.detach().cpu().clone() for name, weight in loop.policy.named_parameters()}
