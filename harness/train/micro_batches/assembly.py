"""Micro-batches on the host, and their way to the device: a GPU has its next one before it is asked for.

While a GPU computes, a thread reads the next micro-batch from the disk, lays it out and pins it, and its copy
to the device waits for nothing. On a CPU both would share the same cores: each is assembled at its turn.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from harness.models.policy import Inputs, sent
from harness.models.prefix_sharing import Rows
from methods.kernels.token_statistics import Hidden, TopK

T = TypeVar("T")


@dataclass(frozen=True)
class Assembled:
    """A micro-batch: its views with what is stored of frozen models, and the row that it is laid out in."""

    inputs: list[Inputs]
    rows: Rows | None


class Source(Protocol):
    """Examples of a training."""

    @property
    def device(self) -> torch.device:
        """Where they are computed."""

    def assembled(self, examples: Sequence[int]) -> Assembled:
        """A micro-batch on the host."""


@dataclass
class Ahead:
    """The micro-batches of a training that are assembled, or on their way.

    following: the examples of the optimizer step after the one that is computed.
    """

    following: Sequence[int] = ()
    _begun: dict[tuple[int, ...], tuple[Source, Future[Assembled]]] = field(default_factory=dict)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    def begin(self, source: Source, examples: Sequence[int]) -> None:
        """Have a micro-batch assembled that will be asked for soon."""
        if source.device.type == "cuda":
            self._begun[tuple(examples)] = source, self._pool.submit(pinned, source, examples)

    def take(self, source: Source, examples: Sequence[int]) -> Assembled:
        """A micro-batch on the device."""
        if source.device.type != "cuda":
            return source.assembled(examples)
        of, job = self._begun.pop(tuple(examples), (None, None))
        if job is None or of is not source:  # what was begun will not be asked for, since memory ran out, say
            self._begun.clear()
            part = pinned(source, examples)
        else:
            part = job.result()
        return copied(part, lambda x: sent(x, source.device))


def pinned(source: Source, examples: Sequence[int]) -> Assembled:
    """A micro-batch in memory that a GPU reads by itself."""
    return copied(source.assembled(examples), Tensor.pin_memory)


def copied(x: T, to: Callable[[Tensor], Tensor], done: dict[int, Tensor] | None = None) -> T:
    """The same with the host's tensors in it copied; one that stands in several places stays one."""
    found: Any = x
    done = {} if done is None else done
    if isinstance(x, Tensor) and x.device.type == "cpu":
        found = done[id(x)] if id(x) in done else done.setdefault(id(x), to(x))
    elif isinstance(x, dict):
        found = {key: copied(value, to, done) for key, value in x.items()}
    elif isinstance(x, list):
        found = [copied(value, to, done) for value in x]
    elif isinstance(x, Assembled | Inputs | Rows | Hidden | TopK):
        found = replace(x, **{f.name: copied(getattr(x, f.name), to, done) for f in fields(x)})
    return found  # type: ignore[no-any-return]
