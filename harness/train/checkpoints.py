"""A training's checkpoint: all that a killed run needs to go on as if it had not been.

    <kept>/state-120/        weights, optimizer and generators of random numbers, as safetensors and JSON
                             (optimizing/state_files.py), with schedule, counters and metrics so far (`told`)
      how.json               {"format": 2, "sharding": ..., "files": {name: checksum}, "models": {"1": {...}}}
    <kept>/models/1          the models that settings ask for on the way, each a whole folder

The examples of a step are a function of the seed and its number, and a buffer of an online method one of the
policy at its start, so neither is stored: such a training is checkpointed between two buffers. A checkpoint
is written aside, forced to the disk, then renamed; the one before is removed after that. One that does not
match its checksums, or whose models do not, is dropped; so is one of an older version, which would run what
its pickles say.
"""

import errno
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors import SafetensorError

from harness.common import shutdown
from harness.common.files import fsync
from harness.common.text import printed
from harness.executors.options import CHECKPOINT_EVERY, CheckpointInterval
from harness.store.append_log import line_of, row_of
from harness.store.integrity import checksums, differing, drop
from harness.train.examples import TrainWork
from harness.train.loop import Loop
from harness.train.optimizing import state_files

METRICS, HOW = "metrics.jsonl", "how.json"
FORMAT = 2  # of what a checkpoint holds; 1 was accelerate's own, pickles among it
OLDER = "is of an older version and holds pickles, which are not read"


@dataclass
class Progress:
    """How far a training is, and what it counted over all processes."""

    step: int = 0
    tokens: int = 0
    answered: int = 0
    positions: int = 0  # computed
    padded: int = 0  # positions of the padded batches
    padding: int = 0  # computed positions that hold no token
    skipped: int = 0  # optimizer steps left out, since float16 gradients overflowed
    largest_norm: float = 0.0  # of the gradient of a step, before it was clipped
    largest_at: int = 0  # the step that had it
    halved: int = 0  # times that memory ran out, so that micro-batches became smaller
    room: int = 0  # positions of a micro-batch since then
    metrics: list[str] = field(default_factory=list)  # lines of metrics.jsonl

    def note_norm(self, norm: float) -> None:
        """Remember the largest gradient norm so far."""
        if norm > self.largest_norm:
            self.largest_norm, self.largest_at = norm, self.step

    def count(self, loop: Loop, step: Sequence[int]) -> None:
        """Count the tokens of an optimizer step."""
        self.halved, self.room = loop.room.halved, loop.room.tokens
        examples = loop.examples
        for part in chain(*loop.shares(step)):
            counts, positions = examples.tokens(part).values(), examples.positions(part)
            tokens = sum(a for a, _ in counts)
            self.tokens, self.answered = self.tokens + tokens, self.answered + sum(b for _, b in counts)
            self.positions, self.padded = self.positions + positions, self.padded + examples.padded(part)
            self.padding += max(0, positions - tokens)  # a shared row has none


class Checkpoints:
    """The checkpoints of one training, of which the last is kept; without a folder there are none.

    `between` is how many optimizer steps lie between two at which one can be written.
    """

    def __init__(self, work: TrainWork, loop: Loop, schedule: Any, optimizer: Any, between: int) -> None:
        self.progress = Progress()  # how far the training is
        self._schedule, self._optimized = schedule, optimizer.optimizer
        self._folder, self._loop, self._between = work.kept, loop, between
        self._optimizer = work.settings.training.optimizer if work.settings.training else ""
        self._every = CheckpointInterval.parse(work.context.get("checkpoint_every", CHECKPOINT_EVERY))
        self._written, self._saved = time.monotonic(), 0
        self.models: dict[str, dict[str, str]] = {}  # the checksums of each that was kept on the way
        if self._folder:
            self._load(self._folder)
        self._metrics = work.out / METRICS
        self._write("w", "".join(self.progress.metrics))

    def log(self, line: str) -> None:
        """Append a line to the metrics."""
        self.progress.metrics.append(line)
        self._write("a", line)

    def _write(self, mode: str, text: str) -> None:
        if self._loop.accelerator.is_main_process:
            with self._metrics.open(mode) as file:
                file.write(text)

    def after_step(self, last: bool) -> None:
        """Write a checkpoint where one is due after the step that `progress` says; end here where SIGTERM
        has come.
        """
        if self.progress.step % self._between and not last:
            return
        stop, due = self._agreed(shutdown.requested(), self._due())
        if self._folder and (stop or due):
            self._save(self._folder)
        if stop:
            raise shutdown.Terminated(f" after step {self.progress.step}")

    def _due(self) -> bool:
        if self._every.steps:
            return self.progress.step - self._saved >= self._every.steps
        return time.monotonic() - self._written >= self._every.seconds

    def _agreed(self, *flags: bool) -> tuple[bool, ...]:
        """What any process says, since clocks and signals differ."""
        accelerator = self._loop.accelerator
        if accelerator.num_processes == 1:
            return flags
        reduced = accelerator.reduce(torch.tensor(flags, dtype=torch.int64, device=accelerator.device))
        return tuple(bool(n) for n in reduced.tolist())

    def _sharding(self) -> str:
        return sharding(self._loop.accelerator, self._optimizer)

    def _save(self, folder: Path) -> None:
        accelerator, step, new = self._loop.accelerator, self.progress.step, folder / "writing"
        if accelerator.is_main_process:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
        accelerator.wait_for_everyone()
        told = self._told(counted(self._loop))
        policy = accelerator.unwrap_model(self._loop.policy)
        try:
            state_files.save(new, accelerator.process_index, policy, self._optimized, told)
        except (RuntimeError, SafetensorError) as e:  # what torch and safetensors make of a full disk
            raise OSError(errno.EIO, f"a checkpoint could not be written: {e}", str(new)) from e
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            how = {"format": FORMAT, "sharding": self._sharding()}
            how |= {"files": checksums(new), "models": self.models}
            (new / HOW).write_text(line_of(how))
            publish(new, folder / f"state-{step}")
            for old in states(folder)[:-1]:
                shutil.rmtree(old)
        self._written, self._saved = time.monotonic(), step

    def _told(self, counts: Mapping[str, list[int]]) -> dict[str, Any]:
        """What a checkpoint holds beside weights, optimizer and generators."""
        scaler = self._loop.accelerator.scaler
        return {
            "progress": asdict(self.progress),
            "counted": counts,
            "schedule": self._schedule.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
        }

    def _load(self, folder: Path) -> None:
        accelerator = self._loop.accelerator
        if accelerator.is_main_process:
            drop_damaged(folder)
        accelerator.wait_for_everyone()
        saved = states(folder)
        if not saved:
            return
        how = row_of((saved[-1] / HOW).read_bytes())
        was, now = how["sharding"], self._sharding()
        if was != now or how.get("format") != FORMAT:
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                why = f"holds {was}, not {now}" if was != now else OLDER
                print(printed(f"bench: {saved[-1]} {why}; training starts again"), file=sys.stderr)
                for old in saved:
                    shutil.rmtree(old)
            return
        policy = accelerator.unwrap_model(self._loop.policy)
        told = state_files.load(saved[-1], accelerator.process_index, policy, self._optimized)
        self.progress = Progress(**told["progress"])
        self._schedule.load_state_dict(told["schedule"])
        if accelerator.scaler:
            accelerator.scaler.load_state_dict(told["scaler"])
        recount(self._loop, told["counted"])
        if self.progress.halved:  # the same micro-batches to the same bytes
            room = self._loop.room
            room.tokens, room.halved = min(room.tokens, self.progress.room), self.progress.halved
        self._saved, self.models = self.progress.step, how.get("models", {})


def sharding(accelerator: Accelerator, optimizer: str) -> str:
    """What a checkpoint's files depend on beside the model. Any number of processes reads them, but for
    sharded moments in 8 bits: of how many numbers a shard is says whether it has its moments in blocks.
    """
    if accelerator.distributed_type != DistributedType.FSDP:
        return "whole weights"
    if optimizer == "adamw":
        return "sharded weights"
    return f"weights and moments in 8 bits, sharded over {accelerator.num_processes} processes"


def counted(loop: Loop) -> dict[str, list[int]]:
    """What the sampler drew, and what the frozen models read in all processes."""
    sampler, accelerator = loop.sampler, loop.accelerator
    mine = [n for frozen in loop.frozen for n in (frozen.tokens, frozen.answered)]
    read = accelerator.reduce(torch.tensor([0, *mine], device=accelerator.device)).tolist()[1:]
    return {"drawn": [sampler.drawn, sampler.truncated, sampler.flops] if sampler else [], "read": read}


def recount(loop: Loop, counts: Mapping[str, list[int]]) -> None:
    """Set the counters; what all processes read stands with the main one."""
    if loop.sampler:
        loop.sampler.drawn, loop.sampler.truncated, loop.sampler.flops = counts["drawn"]
    read = iter(counts["read"] if loop.accelerator.is_main_process else [0] * len(counts["read"]))
    for frozen in loop.frozen:
        frozen.tokens, frozen.answered = next(read), next(read)


def states(folder: Path) -> list[Path]:
    """The finished checkpoints of a folder, the last one last."""
    return sorted(folder.glob("state-*"), key=lambda path: int(path.name.removeprefix("state-")))


def drop_damaged(folder: Path) -> None:
    """Remove the checkpoints behind the last one that is as it was written, with the models before it."""
    for state in reversed(states(folder)):
        try:
            how = row_of((state / HOW).read_bytes())
        except (OSError, ValueError):
            drop(folder, state, f"{HOW} cannot be read")
            continue
        faults = differing(state, how.get("files", {}))
        for name, known in how.get("models", {}).items():
            faults += differing(folder / "models", {f"{name}/{file}": known[file] for file in known})
        if not faults:
            return
        drop(folder, state, ", ".join(map(str, faults)))


def publish(new: Path, final: Path) -> None:
    """Force a folder to the disk, then give it its name; one of that name goes."""
    for path in [*new.rglob("*"), new]:
        fsync(path)
    shutil.rmtree(final, ignore_errors=True)
    new.rename(final)
    fsync(final.parent)
