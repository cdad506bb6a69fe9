"""The bare matrix products that a step cannot do without, timed on this machine at their own shapes."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from tests.perf import world
from tests.perf.scales import CPU
from tests.perf.workloads import WORKLOADS

REPEATS = 3


def best(run: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Seconds, and CPU-seconds of all threads, the least of some calls after one that warms up."""
    run()
    taken = []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        run()
        taken.append((time.perf_counter() - began, time.process_time() - used))
    seconds, cpu = map(min, zip(*taken, strict=True))
    return {"seconds": seconds, "cpu": cpu}


def products(n: int, width: int, out: int, backward: bool = True) -> dict[str, float]:
    """What [n, width] x [width, out] and its two gradients take, and how many operations they are."""
    x, w, y = torch.randn(n, width), torch.randn(out, width), torch.randn(n, out)
    taken = [best(lambda: torch.mm(x, w.T, out=y))]
    if backward:
        dx, dw = torch.empty_like(x), torch.empty_like(w)
        taken += [best(lambda: torch.mm(y, w, out=dx)), best(lambda: torch.mm(y.T, x, out=dw))]
    total = {key: sum(t[key] for t in taken) for key in ("seconds", "cpu")}
    return total | {"flops": 2.0 * n * width * out * len(taken)}


def of_step(at: Path, name: str, vocab: int) -> dict[str, float]:
    """Of a step of a workload: the body on every token (a pair's prompt once), the head on response tokens,
    and the teachers' heads on those that their distributions are of. Attention's own products are left out.
    """
    load = WORKLOADS[name]
    n = world.counts(at, CPU, load.sides)
    width, wide = CPU.student["hidden_size"], CPU.student["intermediate_size"]
    layers = CPU.student["num_hidden_layers"]
    square, up, down = (products(n["once"], a, b) for a, b in ((width, width), (width, wide), (wide, width)))
    parts = [(4 * layers, square), (2 * layers, up), (layers, down)]
    parts.append((1, products(n["answers"], width, vocab)))
    teacher = CPU.teacher["hidden_size"]
    for sides in load.heads:
        # The sides are of one distribution, so that each has its share of the answers.
        answers = n["answers"] * sides // load.sides
        parts.append((1, products(answers, teacher, vocab, backward=False)))
    return {key: sum(times * part[key] for times, part in parts) for key in ("seconds", "cpu", "flops")}
