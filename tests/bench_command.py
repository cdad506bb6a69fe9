"""The command `bench` as people run it: a process of its own, with its own signals, environment and end.

Most of the tests' processes are forked from one that has imported the libraries already (multiprocessing's
fork server), which saves each of them two to eight seconds. `COMMAND` starts one from nothing, for tests that
are about the start.
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from harness.cli.options import quiet_libraries
from tests.paths import ROOT

# Inline, since a pool's server would import again for each command what the fork server here has already;
# tests/harness/executors/test_jobs.py runs steps as people do.
COMMAND = (sys.executable, "-c", "from harness.cli.app import main; main()")
ENV = {
    **os.environ,
    "CI": "true",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
    "BENCH_EXECUTOR": "inline",
}
SECONDS = 1800  # until a command hangs; on a busy machine the longest takes minutes

# What a run imports sooner or later. The fork server passes over a name that cannot be imported.
PRELOADED = (
    "datasets.io",
    "langdetect.detector_factory",
    "lm_eval.evaluator",
    "lm_eval.models",
    "lm_eval.tasks",
    "nltk",
    "scipy.special",
    "scipy.stats",
    "transformers.models.llama.modeling_llama",
    "vl_convert",
    "harness.data.prepare",
    "harness.evaluate.answers",
    "harness.evaluate.judgments",
    "harness.evaluate.openllm",
    "harness.models.prepare",
    "harness.results.write",
    "harness.run.pipeline",
    "harness.signals.stored",
    "harness.train.step",
)
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(list(PRELOADED))


def forked(function: Callable[..., object], *arguments: object) -> BaseProcess:
    """Start a process that calls a function of a module."""
    process = _FORKS.Process(target=function, args=arguments)
    with mock.patch.dict(os.environ, ENV):  # what the fork server is started with, if this is the first
        quiet_libraries()
        process.start()
    return process


@dataclass(frozen=True)
class Running:
    """A command under way, and the files that its output goes to."""

    process: BaseProcess
    out: Path
    err: Path

    def wait_for(self, text: str) -> None:
        """Until it has printed this."""
        self.wait_until(lambda: text in self.out.read_text())

    def wait_until(self, so_far: Callable[[], bool]) -> None:
        """Until it has come so far."""
        until = time.monotonic() + SECONDS
        while not so_far():
            assert self.process.exitcode is None and time.monotonic() < until, self.err.read_text()
            time.sleep(0.005)

    def ended(self) -> "subprocess.CompletedProcess[str]":
        """What it printed and its exit code, once it has ended."""
        self.process.join(SECONDS)
        if (code := self.process.exitcode) is None:
            self.process.kill()
            raise TimeoutError(self.out.read_text() + self.err.read_text())
        return subprocess.CompletedProcess("bench", code, self.out.read_text(), self.err.read_text())


def lines_told(runs: Path) -> int:
    """The most lines of metrics that a training under way has written; a short one writes one."""
    told = [0]
    for metrics in runs.glob("store/partial/*/metrics.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # it is through, and published
            told.append(metrics.read_text().count("\n"))
    return max(told)


def start(*words: str, folder: Path, cwd: Path = ROOT, **env: str) -> Running:
    """Start the command; `folder` gets its output."""
    outputs = (folder / "stdout", folder / "stderr")
    for path in outputs:
        path.touch()
    arguments = (words, cwd, {**ENV, **env}, *outputs)
    return Running(forked(_main, *arguments), *outputs)


def bench(*words: str, cwd: Path = ROOT, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    with TemporaryDirectory() as folder:
        return start(*words, folder=Path(folder), cwd=cwd, **env).ended()


def _main(words: tuple[str, ...], cwd: Path, env: dict[str, str], *outputs: Path) -> None:
    for stream, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["bench", *words]
    from harness.cli.app import main

    main()
