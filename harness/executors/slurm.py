"""Steps as jobs of SLURM, by submitit: one job for each step whose inputs are done, on a shared store.

`--slurm cluster=local` runs the same jobs as processes of this machine. A job that SLURM preempts, or that
reaches its time limit, goes back to the queue. One that is cancelled or dies is told in a line with its log.
Jobs of a command that was killed run on; the next one waits for what they are at. (`pip install
"prefbench[slurm]"`)
"""

import getpass
import math
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.executors import Office, Outcome
from harness.executors.resources import pairs
from harness.executors.work import Job, do, job
from harness.store import Step

MISSING = '--executor slurm: not installed; pip install "prefbench[slurm]"'
MINUTES = 240  # of a job, until the option `--slurm time=` says otherwise
BETWEEN_QUEUES = 15.0  # seconds between two looks at the queue: the controller is everybody's
BETWEEN_FILES = 0.5  # between two looks at the results' files
SEEN_GONE = 2  # looks in a row that do not find a job which left no result: the file may be late


@dataclass(frozen=True)
class Task:
    """What a job runs; submitit puts one with `checkpoint` back into the queue when it is preempted."""

    job: Job

    def __call__(self) -> Outcome:
        return do(self.job)

    def checkpoint(self) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Slurm:
    """Submits jobs, and watches for the files of their results and for those that left the queue."""

    def __init__(self, office: Office, given: Sequence[str], partition: str | None) -> None:
        try:
            import submitit
        except ModuleNotFoundError:
            raise ValueError(MISSING) from None
        options = dict(pairs("--slurm", given))
        cluster = options.pop("cluster", "slurm")
        if cluster not in ("slurm", "local"):
            raise ValueError(f"--slurm cluster={cluster}: slurm, or local for processes of this machine")
        self._is_local = cluster == "local"
        self._between = float(options.pop("look", BETWEEN_QUEUES))
        folder = office.logs.resolve() / "slurm"
        try:
            self._submitit: Any = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self._submitit.update_parameters(**_parameters(options, partition))
        except (RuntimeError, ValueError) as e:
            raise ValueError(f"--executor slurm: {' '.join(str(e).split())}") from None
        self._office = office
        self._running: dict[str, tuple[Step, Any]] = {}  # by job id
        self._unseen: dict[str, int] = {}
        self._looked = time.monotonic()

    def has_room(self, step: Step) -> bool:
        """SLURM has a queue of its own; as processes, as many as this machine has CPUs for."""
        used = sum(self._office.resources.of(s).cpus for s, _ in self._running.values())
        cpus = self._office.resources.of(step).cpus
        return not self._is_local or not self._running or used + cpus <= len(os.sched_getaffinity(0))

    def begin(self, step: Step) -> None:
        """Submit the step's job; ValueError where SLURM does not take it."""
        from submitit.core.utils import FailedJobError

        share = self._office.resources.of(step)
        asked: dict[str, Any] = {"name": f"bench-{step.slug}-{step.id}", "cpus_per_task": share.cpus}
        if share.gpus:
            asked["gpus_per_node"] = math.ceil(share.gpus)
        if share.memory is not None:
            asked["mem_gb"] = share.memory
        if self._is_local:
            asked.pop("cpus_per_task")
        self._submitit.update_parameters(**asked)
        try:
            submitted = self._submitit.submit(Task(job(step, self._office)))
        except (FailedJobError, subprocess.CalledProcessError) as e:
            raise ValueError(
                f"{step.label}: SLURM does not take its job: {' '.join(f'{e}'.split())}"
            ) from None
        self._running[submitted.job_id] = step, submitted

    def ended(self, seconds: float) -> list[Outcome]:
        """The jobs with a result, and those that are gone without one."""
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

    def _gone(self) -> set[str]:
        """The ids of jobs that neither wait nor run."""
        if self._is_local:
            return {i for i, (_, j) in self._running.items() if j.done()}
        if time.monotonic() - self._looked < self._between:
            return set()
        self._looked = time.monotonic()
        command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%A"]
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
    time_limit = options.pop("time", str(MINUTES))
    if not time_limit.isdecimal():
        raise ValueError(f"--slurm time={time_limit}: whole minutes")
    found: dict[str, Any] = {"timeout_min": int(time_limit)}
    found |= {f"slurm_{k}": int(v) if v.isdecimal() else v for k, v in options.items() if k in known}
    others = {k: v for k, v in options.items() if k not in known}
    found["slurm_additional_parameters"] = {"requeue": True, **others}
    return found | ({"slurm_partition": partition} if partition else {})


def _last_line(error: BaseException) -> str:
    lines = [line.strip(" -") for line in f"{error}".splitlines()]
    return [line for line in lines if line][-1]
