"""Steps as tasks of Ray: embedded on this machine, or on a cluster. (`pip install "prefbench[ray]"`)

Ray's CPU workers stay alive between steps; those of a GPU end with their step, which frees its memory. A
worker that dies costs its own step, which is tried again; steps that are queued do not occupy anything.
"""

import logging
import os
import signal
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

from harness.common.files import discard
from harness.common.text import printed
from harness.executors.job import RETRIES, job, run_job
from harness.executors.protocol import ExecutorContext, Outcome
from harness.executors.resources import Reservation, Share
from harness.store.step import Step

SECONDS_TO_ANSWER = 10.0  # of an address
SECONDS_OF_AGENTS = 30.0  # behind the end of a cluster
MISSING = '--executor ray: not installed; pip install "prefbench[ray]"'


class Ray:
    """Runs steps as long as the cluster has CPUs and GPUs for them."""

    def __init__(self, context: ExecutorContext, address: str | None) -> None:
        try:
            import ray
            from ray._private.authentication.authentication_utils import is_token_auth_enabled
        except ModuleNotFoundError:
            raise ValueError(MISSING) from None
        self._ray: Any = ray
        self._context = context
        self._running: dict[Any, tuple[Step, Share, Path]] = {}
        self._do = ray.remote(run_job)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        self._folder: TemporaryDirectory[str] | None = None
        if address is None:
            # Ray opens its folder of sockets and logs to everybody, so it lies in one that is closed.
            below = os.environ.get("RAY_TMPDIR", "/tmp")
            self._folder = TemporaryDirectory(prefix="ray-", dir=below, ignore_cleanup_errors=True)
            quiet |= {"include_dashboard": False, "_temp_dir": f"{self._folder.name}/r"}
        else:
            _look_at(address)
        on_sigterm = signal.getsignal(signal.SIGTERM)
        started = ray.init(address=address or "local", **quiet)
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in place, with another exit code
        self._most = self._largest()
        self._reservation = Reservation()
        there = ray.cluster_resources()
        where = f"cluster at {address}" if address else "embedded, ends with this command"
        typer.echo(
            printed(
                f"ray {ray.__version__}: {where}, bound to {started.address_info['gcs_address']}, token "
                f"{'required' if is_token_auth_enabled() else 'NOT required'}; {there.get('CPU', 0):g} CPUs, "
                f"{there.get('GPU', 0):g} GPUs"
            )
        )

    def has_room(self, step: Step) -> bool:
        """Whether the cluster has what the step asks for, beside what runs. ValueError: no machine has it."""
        asked = self._context.resources.of(step)
        if asked.cpus > self._most.cpus or asked.gpus > self._most.gpus:
            raise ValueError(
                f"{step.label}: asks for {asked.cpus} CPUs and {asked.gpus:g} GPUs, and no machine of Ray's "
                f"has more than {self._most.cpus} and {self._most.gpus:g}; see --resources"
            )
        there = self._ray.cluster_resources()
        used = [share for _, share, _ in self._running.values()]
        fits = sum(s.cpus for s in used) + asked.cpus <= there.get("CPU", 0) and sum(
            s.gpus for s in used
        ) + asked.gpus <= there.get("GPU", 0)
        return self._reservation.admits(step, asked, bool(fits))

    def begin(self, step: Step) -> None:
        """Hand the step to the cluster."""
        share = self._context.resources.of(step)
        log = self._context.logs.resolve() / f"{step.kind.name}-{step.id}.log"
        options = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": RETRIES, "name": step.label}
        if share.memory is not None:
            options["memory"] = int(share.memory * 1e9)
        task = self._do.options(**options).remote(job(step, self._context, log))
        self._running[task] = step, share, log

    def ended(self, seconds: float) -> list[Outcome]:
        """The tasks that are done; one whose worker died too often is a fault with its log."""
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(task) for task in ready]

    def close(self) -> None:
        """End the embedded cluster, or leave the other one; either ends what runs."""
        self._ray.shutdown()
        if self._folder:
            remove(Path(self._folder.name))
            self._folder.cleanup()

    def _outcome(self, task: Any) -> Outcome:
        step, _, log = self._running.pop(task)
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
            return outcome._replace(step=step)
        except errors.RayTaskError as e:
            with log.open("a") as f:
                f.write(f"{e}\n")
            return Outcome(step, fault=f"{f'{e}'.strip().splitlines()[-1]}; log {log}")
        except errors.RayError as e:
            died = f"its worker died {RETRIES + 1} times ({type(e).__name__})"
            return Outcome(step, fault=f"{died}; log {log}")

    def _largest(self) -> Share:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        most = {key: max((n.get(key, 0.0) for n in nodes), default=0.0) for key in ("CPU", "GPU")}
        return Share(int(most["CPU"]), most["GPU"], None)


def remove(folder: Path) -> None:
    """Remove a folder that Ray's agents still write to: they outlive their cluster by moments."""
    until = time.monotonic() + SECONDS_OF_AGENTS
    discard(folder)
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
        discard(folder)


def _look_at(address: str) -> None:
    """ValueError where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise ValueError(
            f"--ray-address {address}: wants HOST:PORT of the cluster's head, such as node-1:6379"
        )
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
    except OSError as e:
        raise ValueError(f"--ray-address {address}: no cluster of Ray there ({e.strerror or e})") from None
