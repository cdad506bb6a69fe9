"""docs/performance.md, from the measurements below a folder."""

import json
from collections.abc import Iterable
from math import inf, isfinite
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from tests.gpu.page import NOT_MEASURED as NOT_CHECKED
from tests.perf import jobs, sharing
from tests.perf.breakdown import KINDS, REST
from tests.perf.markdown import table
from tests.perf.scales import CPU, GPU, Scale
from tests.perf.workloads import VOCABS, WORKLOADS

APART = 1e-4  # of two losses of the same step
NOT_MEASURED = "Not measured.\n"
GIB = 2**30
NAMES = {
    "trl": "TRL",
    "trl precomputed": "TRL, `precompute_ref_log_probs`",
    "auto": "ours",
    "compiled": "ours, `engine.compile`",
    "keep": "ours, logits kept",
    "recompute": "ours, logits recomputed",
    "plain": "one matrix of logits, torch's cross entropy",
    "limit": "the matrix products alone",
    "transformers": "`model.generate`",
}
Measured = list[dict[str, Any]]


class Took(NamedTuple):
    """Seconds of the repeats of one thing, and the largest peak."""

    best: float
    median: float
    cpu: float  # of all threads, the least
    peak: float  # GiB
    repeats: int


def read(root: Path, section: str) -> dict[str, Any]:
    path = root / f"{section}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"measured": []}
    return found


def _of(measured: Measured, **asked: Any) -> Measured:
    return [m for m in measured if not m.get("profiled") and all(m.get(k) == v for k, v in asked.items())]


def took(found: Measured) -> Took | None:
    """A training's seconds are those of a step, the first left out; None where nothing was measured."""
    if not found:
        return None
    each, cpu = ([_mean(m[key]) for m in found] for key in ("seconds", "cpu"))
    return Took(min(each), median(each), min(cpu), max(m["peak"] for m in found) / GIB, len(each))


def _mean(seconds: float | list[float]) -> float:
    return mean(seconds[1:]) if isinstance(seconds, list) else seconds


def _ratio(a: Took | None, b: Took | None) -> str:
    return f"{a.best / b.best:.2f}" if a and b else "-"


def _numbers(t: Took) -> list[str]:
    return [f"{t.best:.3f}", f"{t.median:.3f}", f"{t.cpu:.2f}", str(t.repeats)]


def _head(measured: Measured) -> str:
    text = ""
    for vocab in VOCABS:
        every = {
            s: took(_of(measured, vocab=vocab, side=s))
            for s in ("limit", "keep", "recompute", "plain", "trl")
        }
        rows = [
            [
                NAMES[side],
                *_numbers(t),
                _ratio(t, every["limit"]),
                f"{t.peak:.2f}" if side != "limit" else "-",
            ]
            for side, t in every.items()
            if t
        ]
        if rows:
            text += f"\n{vocab:,} words:\n\n"
            text += table(("", "s, best", "s, median", "CPU-s", "repeats", "/ limit", "peak GiB"), rows)
    return text or NOT_MEASURED


def _training(measured: Measured) -> str:
    text = ""
    for vocab in VOCABS:
        rows = [row for name in CPU.workloads for row in _workload(measured, name, vocab)]
        if rows:
            text += f"\n{vocab:,} words:\n\n"
            columns = (
                "",
                "",
                "s a step, best",
                "median",
                "CPU-s",
                "repeats",
                "/ ours",
                "goal",
                "/ limit",
                "peak GiB",
            )
            text += table((*columns, "loss apart"), rows)
    return text or NOT_MEASURED


def _growth(measured: Measured) -> str:
    """What a step's peak gains from the small vocabulary to the large one, beside the head's own matrices:
    weight, gradient and two moments, and for KD the teacher's weight.
    """
    words, rows = VOCABS[1] - VOCABS[0], []
    for name in CPU.workloads:
        a, b = (took(_of(measured, vocab=v, name=name, side="recompute")) for v in VOCABS)
        if a and b:
            teacher = CPU.teacher["hidden_size"] * len(WORKLOADS[name].heads)
            own = words * 4 * (4 * CPU.student["hidden_size"] + teacher) / GIB
            rest = b.peak - a.peak - own
            rows.append([name, *(f"{x:.2f}" for x in (a.peak, b.peak, own, rest)), f"{rest / a.peak:.1%}"])
    columns = ("", *(f"GiB, {v:,} words" for v in VOCABS), "the head's own", "beside it", "share")
    return table(columns, rows) if rows else NOT_MEASURED


def _workload(measured: Measured, name: str, vocab: int) -> list[list[str]]:
    load, rows = WORKLOADS[name], []
    sides = (*load.variants, *CPU.ours, "limit")
    every = {side: took(_of(measured, vocab=vocab, name=name, side=side)) for side in sides}
    for side, t in every.items():
        if t is None:
            continue
        goal = load.goals[side][VOCABS.index(vocab)] if side in load.goals else None
        peak = "-" if side == "limit" else f"{t.peak:.2f}"
        told = [_ratio(t, every["auto"]), f">= {goal}" if goal else "-", _ratio(t, every["limit"]), peak]
        rows.append([name, NAMES[side], *_numbers(t), *told, _apart_told(measured, name, vocab, side)])
    return rows


def _apart_told(measured: Measured, name: str, vocab: int, side: str) -> str:
    compared = _theirs(measured, name, vocab) and side not in ("limit", WORKLOADS[name].variants[0])
    return f"{_apart(measured, name, vocab, side):.0e}" if compared else "-"


def _theirs(measured: Measured, name: str, vocab: int) -> Measured:
    return [m for v in WORKLOADS[name].variants[:1] for m in _of(measured, vocab=vocab, name=name, side=v)]


def _apart(measured: Measured, name: str, vocab: int, side: str) -> float:
    """The largest difference of a step's loss from TRL's, 0 without; infinite where a side stands alone."""
    theirs = _theirs(measured, name, vocab)
    found = [
        abs(a - b) if isfinite(a - b) else inf
        for m in _of(measured, vocab=vocab, name=name, side=side)
        for a, b in zip(m["losses"], theirs[0]["losses"] if theirs else [], strict=False)
    ]
    return max(found, default=inf if theirs else 0.0)


def losses_agree(root: Path) -> bool:
    """Whether every loss of ours is TRL's."""
    measured = read(root, "train")["measured"]
    asked = {(m["name"], m["vocab"], m["side"]) for m in measured if "losses" in m and not m.get("profiled")}
    return all(_apart(measured, *a) <= APART for a in asked)


def _profile(measured: Measured) -> str:
    found = [m for m in measured if m.get("profiled")]
    if not found:
        return NOT_MEASURED
    found.sort(key=lambda m: (m["vocab"], CPU.workloads.index(m["name"])))
    shares = [(m, [m["profile"]["head"], *m["profile"]["kinds"].values()]) for m in found]
    rows = ([m["name"], f"{m['vocab']:,}", *(f"{share:.0%}" for share in of)] for m, of in shares)
    heads = table(("", "words", "the head", *KINDS, REST), rows)
    m = next((m for m in found if m["name"] == "DPO"), found[0])
    rows = ([f"`{n}`", str(count), f"{share:.1%}"] for n, count, share in m["profile"]["operations"])
    return (
        heads + f"\n{m['name']}, {m['vocab']:,} words:\n\n" + table(("", "calls", "share of the step"), rows)
    )


def _making(measured: Measured, scale: Scale) -> str:
    """What our side reads, and how long its making took, once for all methods, epochs and seeds."""
    names = {
        "ref": "the reference's log-probs, both answers",
        "teacher": "hidden states of the teacher, and its head",
        "teacher_ref": "the same of the teacher's reference",
    }
    rows = (
        [f"{m['vocab']:,}", names[key], f"{seconds:.2f}", f"{seconds / scale.steps:.2f}"]
        for m in measured
        for key, seconds in m["making"].items()
    )
    return table(("words", "", "s", "s per step's examples"), rows) if measured else NOT_MEASURED


def _generation(measured: Measured) -> str:
    every = {side: _of(measured, side=side) for side in ("transformers", "ours")}
    rows = []
    for side, found in every.items():
        if t := took(found):
            rate = found[0]["answered"] / t.best
            rows.append([NAMES.get(side, side), *_numbers(t), f"{rate:.0f}", f"{t.peak:.2f}"])
    return (
        table(("", "s, best", "s, median", "CPU-s", "repeats", "tokens/s", "peak GiB"), rows)
        if rows
        else NOT_MEASURED
    )


def _sharing(measured: Measured) -> str:
    """Of one seed with one job, whose steps nothing ran beside."""
    one = next((m for m in measured if m["seeds"] == "[0]" and m["jobs"] == 1), None)
    return sharing.tables(one["shared"]) if one else NOT_MEASURED


def _gpu(told: dict[str, Any]) -> str:
    """A GPU's steps, beside its peak in bfloat16."""
    measured = told["measured"]
    if not measured:
        return NOT_MEASURED
    gpu = measured[-1]["gpu"]
    rows = [
        row for vocab in VOCABS for name in GPU.workloads for row in _gpu_workload(measured, name, vocab, gpu)
    ]
    columns = ("words", "", "", "s a step, best", "median", "repeats", "/ ours", "tokens/s", "of the peak")
    device = f"{gpu['name']}, against the peak of {gpu['as']}, {gpu['flops'] / 1e12:.0f} TFLOP/s"
    return f"{device}; {_versions(told['versions'])}.\n\n" + table((*columns, "peak GiB", "loss apart"), rows)


def _gpu_workload(measured: Measured, name: str, vocab: int, gpu: dict[str, Any]) -> list[list[str]]:
    sides, rows = (*WORKLOADS[name].variants, *GPU.ours), []
    every = {side: _of(measured, vocab=vocab, name=name, side=side) for side in sides}
    for side, found in every.items():
        if t := took(found):
            rate, share = found[0]["tokens"] / t.best, found[0]["flops"] / t.best / gpu["flops"]
            row = [f"{vocab:,}", name, NAMES[side], f"{t.best:.3f}", f"{t.median:.3f}", str(t.repeats)]
            row += [_ratio(t, took(every["auto"])), f"{rate:.0f}", f"{share:.0%}", f"{t.peak:.1f}"]
            rows.append([*row, _apart_told(measured, name, vocab, side)])
    return rows


def _machine(told: Iterable[dict[str, Any]]) -> str:
    every = [t for t in told if "machine" in t]
    if not every:
        return ""
    m = every[-1]["machine"]
    versions = next((t["versions"] for t in reversed(every) if "versions" in t), {})
    here = f"{m['cpu']}, {m['cores']} cores, {m['memory'] / GIB:.0f} GiB, load {m['load']:.0f}"
    return f"{here}; Python {m['python']}, {_versions(versions)}.\n"


def _versions(of: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in of.items())


def text(root: Path, gpu_check: str = NOT_CHECKED) -> str:
    """The page; `gpu_check` is the part that tests/gpu writes."""
    told = {s: read(root, s) for s in ("head", "train", "generate", "world", "jobs")}
    on_gpu = {s: read(root / "gpu", s) for s in ("train", "world")}
    parts = {
        "{machine}": _machine(told[s] for s in ("head", "generate", "train")),
        "{head}": _head(told["head"]["measured"]),
        "{training}": _training(told["train"]["measured"]),
        "{making}": _making(told["world"]["measured"], CPU),
        "{growth}": _growth(told["train"]["measured"]),
        "{profile}": _profile(told["train"]["measured"]),
        "{generation}": _generation(told["generate"]["measured"]),
        "{jobs}": jobs.tables(told["jobs"]["measured"]) or NOT_MEASURED,
        "{sharing}": _sharing(told["jobs"]["measured"]),
        "{gpu check}": gpu_check,
        "{gpu}": _gpu(on_gpu["train"]),
        "{making on gpu}": _making(on_gpu["world"]["measured"], GPU),
    }
    page = Path(__file__).with_name("page.md").read_text()
    for name, part in parts.items():
        page = page.replace(name + "\n", part)
    return page
