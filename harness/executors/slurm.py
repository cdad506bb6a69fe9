"""Steps as jobs of SLURM, by submitit: one job for each step whose inputs are done, on a shared store; those
that are ready together and ask for the same are one job array.

`--slurm cluster=local` runs the same jobs as processes of this machine. A job that SLURM preempts, or that
reaches its time limit, goes back to the queue. One that is cancelled or dies is told in a line with its log.
Jobs of a command that was killed run on; the next one waits for what they are at. (`pip install
"prefbench[slurm]"`)
"""

import getpass
import math
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.common import devices
from harness.common.files import private
from harness.executors.job import Job, job, run_job
from harness.executors.protocol import ExecutorContext, Outcome
from harness.executors.resources import key_values
from harness.store.step import Step

MISSING = '--executor slurm: not installed; pip install "prefbench[slurm]"'
MINUTES = 240  # of a job that nobody has estimated, until the option `--slurm time=` says otherwise
TIMES, LEAST = 3, 30  # a job's time limit over its estimate, and the least, in minutes
BETWEEN_QUEUES = 15.0  # seconds between two looks at the queue: the controller is everybody's
BETWEEN_FILES = 0.5  # between two looks at the results' files
SEEN_GONE = 2  # looks in a row that do not find a job which left no result: the file may be late


@dataclass(frozen=True)
class Task:
    """What a job runs; submitit puts one with `checkpoint` back into the queue when it is preempted."""

    job: Job

    def __call__(self) -> Outcome:
        return run_job(self.job)

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Slurm:
    """Submits jobs, and watches for the files of their results and for those that left the queue."""

    def __init__(self, context: ExecutorContext, given: Sequence[str], partition: str | None) -> None:
        try:
            import submitit
        except ModuleNotFoundError:
            raise ValueError(MISSING) from None
        options = dict(key_values("--slurm", given))
        self._minutes = _minutes(options.pop("time", None))
        cluster = options.pop("cluster", "slurm")
        if cluster not in ("slurm", "local"):
            raise ValueError(f"--slurm cluster={cluster}: slurm, or local for processes of this machine")
        self._is_local = cluster == "local"
        self._between = float(options.pop("look", BETWEEN_QUEUES))
        self._context = context
        # Jobs and their results are pickles, which run what they say: nobody else may write there.
        folder = private(context.logs.resolve() / f"slurm-{getpass.getuser()}")
        self._jobs: Callable[[], Any] = partial(submitit.AutoExecutor, folder=folder, cluster=cluster)
        self._always = _parameters(options, partition)
        try:
            self._jobs().update_parameters(**self._always)
        except (RuntimeError, ValueError) as e:
            raise ValueError(f"--executor slurm: {' '.join(str(e).split())}") from None
        self._ready: dict[tuple[tuple[str, Any], ...], list[Step]] = {}  # what they ask for -> steps
        self._running: dict[str, tuple[Step, Any]] = {}  # by job id
        self._unseen: dict[str, int] = {}
        self._looked = time.monotonic()

    def has_room(self, step: Step) -> bool:
        """SLURM has a queue of its own; as processes, as many as this machine has CPUs for."""
        begun = [s for steps in self._ready.values() for s in steps]
        begun += [s for s, _ in self._running.values()]
        cpus = sum(self._context.resources.of(s).cpus for s in (*begun, step))
        return not self._is_local or not begun or cpus <= devices.available_cpus()

    def begin(self, step: Step) -> None:
        """Note what the step's job asks for; `ended` submits it with those that ask for the same."""
        share = self._context.resources.of(step)
        asked: dict[str, Any] = {"timeout_min": self._time(step), "cpus_per_task": share.cpus}
        if share.gpus:
            asked["gpus_per_node"] = math.ceil(share.gpus)
        if share.memory is not None:
            asked["mem_gb"] = share.memory
        if self._is_local:
            asked.pop("cpus_per_task")
        self._ready.setdefault(tuple(asked.items()), []).append(step)

    def ended(self, seconds: float) -> list[Outcome]:
        """The jobs with a result, and those that are gone without one, once what has begun is submitted;
        ValueError where SLURM does not take a job.
        """
        for asked, steps in self._ready.items():
            self._submit(dict(asked), steps)
        self._ready.clear()
        until = time.monotonic() + seconds
        while self._running:
            gone = self._gone()
            over = [i for i, (_, j) in self._running.items() if i in gone or j.paths.result_pickle.exists()]
            if over or time.monotonic() >= until:
                return [self._outcome(i) for i in over]
            time.sleep(BETWEEN_FILES)
        return []

    def close(self) -> None:
        """Cancel what still runs or waits: an interrupted command leaves nothing behind."""
        for _, submitted in self._running.values():
            submitted.cancel(check=False)

    def _submit(self, asked: dict[str, Any], steps: list[Step]) -> None:
        from submitit.core.utils import FailedJobError

        first = steps[0]
        name = f"{first.slug}-{first.id}" + (f"-and-{len(steps) - 1}-more" if steps[1:] else "")
        jobs = self._jobs()  # a new one: what one step asks for must not stay for the next
        jobs.update_parameters(**self._always, name=f"bench-{name}", **asked)
        try:
            with jobs.batch():
                submitted = [jobs.submit(Task(job(step, self._context))) for step in steps]
        except (FailedJobError, subprocess.CalledProcessError) as e:
            raise ValueError(
                f"{first.label}: SLURM does not take its job: {' '.join(f'{e}'.split())}"
            ) from None
        self._running |= {j.job_id: (step, j) for step, j in zip(steps, submitted, strict=True)}

    def _time(self, step: Step) -> int:
        """Minutes that a step's job may take: what the option says, else by its estimate where it has one."""
        estimate = self._context.foretold.seconds
        seconds = estimate(step) if estimate else None
        if self._minutes is not None or seconds is None:
            return self._minutes or MINUTES
        return max(LEAST, math.ceil(TIMES * seconds / 60))

    def _gone(self) -> set[str]:
        """The ids of jobs that neither wait nor run."""
        if self._is_local:
            return {i for i, (_, j) in self._running.items() if j.done()}
        if time.monotonic() - self._looked < self._between:
            return set()
        self._looked = time.monotonic()
        command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"]
        found = subprocess.run(command, capture_output=True, text=True)
        if found.returncode:  # the controller is away for a moment
            return set()
        listed = set(found.stdout.split())
        self._unseen = {i: self._unseen.get(i, 0) + 1 for i in self._running if i not in listed}
        return {i for i, looks in self._unseen.items() if looks >= SEEN_GONE}

    def _outcome(self, number: str) -> Outcome:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        step, submitted = self._running.pop(number)
        log = submitted.paths.stderr
        if not submitted.paths.result_pickle.exists():
            why = "ended without a result: cancelled, out of time or memory, or its node failed"
            return Outcome(step, fault=f"job {number} {why}; log {log}")
        try:
            outcome: Outcome = submitted.result()
        except (FailedJobError, UncompletedJobError) as e:
            return Outcome(step, fault=f"job {number}: {_last_line(e)}; log {log}")
        return outcome._replace(step=step)


def _parameters(options: dict[str, str], partition: str | None) -> dict[str, Any]:
    """submitit's parameters: those that it knows by its names, all others as sbatch has them."""
    from submitit.slurm.slurm import SlurmExecutor

    known = SlurmExecutor._valid_parameters()
    found: dict[str, Any] = {
        f"slurm_{k}": int(v) if v.isdecimal() else v for k, v in options.items() if k in known
    }
    others = {k: v for k, v in options.items() if k not in known}
    found["slurm_additional_parameters"] = {"requeue": True, **others}
    return found | ({"slurm_partition": partition} if partition else {})


def _minutes(given: str | None) -> int | None:
    if given is not None and not (given.isdecimal() and int(given)):
        raise ValueError(f"--slurm time={given}: whole minutes")
    return int(given) if given else None


def _last_line(error: BaseException) -> str:
    lines = [line.strip(" -") for line in f"{error}".splitlines()]
    return [line for line in lines if line][-1]
