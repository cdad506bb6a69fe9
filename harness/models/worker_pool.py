"""Processes that each hold a model and run a function on items, named by its import path.

    with Pool(folder, "cuda", "bfloat16", count=4) as pool:
        answers = dict(pool.map_unordered("harness.evaluate.lm_eval_model:answer", batches, batch_size))

The same items give the same results for any number of workers. For that a worker on the CPU computes with one
thread, the only worker of `count=1`, which is this process, as well: the number of threads changes the last
bits of a matrix product. More workers use more cores.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context, set_start_method
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Self

from harness.common.input.apart import how_ended
from harness.common.tokenizer import Tokenizer
from harness.models import prefix_sharing
from harness.models.loading import Model

Results = Iterator[tuple[int, Any]]  # the position of an item, and what the function made of it


@dataclass(frozen=True)
class LoadedModel:
    """What a worker holds: the model of a folder on its device, in eval mode, and its tokenizer."""

    model: Model
    tokenizer: Tokenizer

    @cached_property
    def unshared(self) -> str | None:
        """Why the model can't run over rows that share what sequences begin with; None: from here it can."""
        return prefix_sharing.prepare(self.model)


@dataclass(frozen=True)
class _Worker:
    name: str
    process: SpawnProcess
    pipe: "Connection[Any, Any]"


class Pool:
    """`count` workers with the model of `folder`; worker i is on cuda:i where `device` is "cuda".

    Nothing is loaded and no process starts before the first item. `dtype` is torch's name of one.
    """

    def __init__(self, folder: Path, device: str = "cpu", dtype: str = "float32", count: int = 1) -> None:
        self.folder, self.device, self.dtype = folder, device, dtype
        self.devices = _devices(device, count)
        self._held: LoadedModel | None = None
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map_unordered(self, function: str, items: Sequence[Any], *shared: Any) -> Results:
        """(position, result) of every item, as they are done.

        A ValueError of the function is raised here; a worker that dies is a ChildProcessError.
        """
        if len(self.devices) > 1:
            return self._by_workers(function, items, shared)
        return self._here(function, items, shared)

    def close(self) -> None:
        """End the processes, and let go of the model."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self._workers, self._held = [], None

    def _here(self, function: str, items: Sequence[Any], shared: tuple[Any, ...]) -> Results:
        for n, item in enumerate(items):
            with _one_thread(self.device):
                self._held = self._held or _load(self.folder, self.devices[0], self.dtype)
                result = resolve_name(function)(self._held, item, *shared)
            yield n, result

    def _by_workers(self, function: str, items: Sequence[Any], shared: tuple[Any, ...]) -> Results:
        unassigned, remaining = iter(enumerate(items)), len(items)
        busy: dict[Any, tuple[_Worker, int]] = {}  # by pipe

        def hand_over(worker: _Worker) -> None:
            for n, item in unassigned:
                with _alive(worker):
                    worker.pipe.send((function, item, shared))
                busy[worker.pipe] = worker, n
                return

        try:
            for worker in self._started(len(items)):
                hand_over(worker)
            while busy:
                for pipe in wait(list(busy)):
                    worker, n = busy.pop(pipe)
                    with _alive(worker):
                        error, result = worker.pipe.recv()
                    if error:
                        raise error
                    hand_over(worker)
                    remaining -= 1
                    yield n, result
        finally:
            if remaining:  # what is under way would be taken for the answer to the next call
                self.close()

    def _started(self, most: int) -> list[_Worker]:
        """The workers, at least as many of them as there is work for."""
        context = get_context("spawn")  # CUDA does not survive a fork
        for device in self.devices[len(self._workers) : most]:
            ours, theirs = context.Pipe()
            task = (theirs, self.folder, device, self.dtype)
            process = context.Process(target=_serve, args=task, daemon=True)
            process.start()
            theirs.close()  # the pipe ends with the worker, whatever it dies of
            name = f"worker {len(self._workers) + 1} of {len(self.devices)} on {device}"
            self._workers.append(_Worker(name, process, ours))
        return self._workers


def _devices(device: str, count: int) -> list[str]:
    if count < 1:
        raise ValueError(f"workers: a number of processes, 1 or more, not {count}")
    if device != "cuda" or count == 1:
        return [device] * count
    import torch

    if count > (gpus := torch.cuda.device_count()):
        raise ValueError(f"workers: {count} want as many GPUs, and {gpus} are here")
    return [f"cuda:{n}" for n in range(count)]


def _load(folder: Path, device: str, dtype: str) -> LoadedModel:
    import torch

    from harness.common.tokenizer import load_tokenizer
    from harness.models.loading import load

    return LoadedModel(load(folder, getattr(torch, dtype)).to(device), load_tokenizer(folder))


def _serve(pipe: "Connection[Any, Any]", folder: Path, device: str, dtype: str) -> None:
    """A worker's life: it ends with the process that started it, even where that one was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    # Locks that libraries make (tqdm does) would outlive a worker, which is killed at its end; Python tells.
    set_start_method(None, force=True)
    loaded: LoadedModel | None = None
    outcome: tuple[ValueError | None, Any]
    while True:
        try:
            function, item, shared = pipe.recv()
            try:
                with _one_thread(device):
                    loaded = loaded or _load(folder, device, dtype)
                    outcome = None, resolve_name(function)(loaded, item, *shared)
            except ValueError as error:
                outcome = error, None
            pipe.send(outcome)
        except (EOFError, BrokenPipeError):
            return


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _alive(worker: _Worker) -> Iterator[None]:
    """One line where a worker is gone; what it said itself stands above."""
    try:
        yield
    except (EOFError, ConnectionError):
        worker.process.join()
        hint = "; out of memory?" if worker.process.exitcode == -signal.SIGKILL else ""
        raise ChildProcessError(f"{worker.name} {how_ended(worker.process)}{hint}") from None
