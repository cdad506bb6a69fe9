"""Which examples form an optimizer step."""

from collections.abc import Iterator

import torch


def orders(n: int, batch: int, steps: int, seed: int) -> Iterator[list[int]]:
    """The examples of each optimizer step: the seed alone fixes them. Every epoch is a permutation of all
    n.
    """
    draw = torch.Generator().manual_seed(seed)
    waiting: list[int] = []
    for _ in range(steps):
        # Steps run over the end of an epoch, so that all have the same size.
        while len(waiting) < batch:
            waiting += torch.randperm(n, generator=draw).tolist()
        yield waiting[:batch]
        waiting = waiting[batch:]
