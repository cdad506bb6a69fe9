"""Commands as forks of a process that has the libraries loaded, and what they leave behind."""

import os
import signal
import sys
import time
from pathlib import Path

import psutil

SECONDS = 600.0  # a command
SECONDS_TO_END = 150.0  # of what it had started: Ray's agents look for a dead cluster for two minutes
ENV = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CI": "true"}


def prepare() -> None:
    """Load what commands import."""
    os.environ |= ENV
    from harness.cli.options import quiet_libraries

    quiet_libraries()
    import harness.cli.app
    import harness.data.prepare
    import harness.evaluate.answers
    import harness.evaluate.judgments
    import harness.evaluate.openllm
    import harness.models.prepare
    import harness.results.write
    import harness.run.pipeline
    import harness.run.preflight
    import harness.signals.stored
    import harness.train.step  # noqa: F401


def ended(words: list[str], log: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run `bench` in a fork; its exit code (-9: killed) and the last line of its standard error."""
    child = os.fork()
    if not child:
        _command(words, log, env)
    seen: dict[int, psutil.Process] = {}
    until = time.monotonic() + SECONDS
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0):
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
        seen |= {p.pid: p for p in _below(child)}
        time.sleep(0.05)
    _, alive = psutil.wait_procs(seen.values(), timeout=SECONDS_TO_END)
    if alive:
        raise RuntimeError(f"left over: {alive}")
    lines = log.with_suffix(".err").read_text(errors="replace").strip().splitlines()
    return os.waitstatus_to_exitcode(found[1]), lines[-1] if lines else ""


def _below(child: int) -> list[psutil.Process]:
    try:
        return psutil.Process(child).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(words: list[str], log: Path, env: dict[str, str]) -> None:
    """The fork, which ends here."""
    try:
        os.setpgid(0, 0)
        for number, path in ((1, log), (2, log.with_suffix(".err"))):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        os.environ |= env
        from tests.reliability.hook import sitecustomize

        if sitecustomize.SPEC in env:
            sitecustomize.install(env[sitecustomize.SPEC])
        from harness.cli.app import main

        sys.argv = ["bench", *words]
        main()
    except SystemExit as e:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(e.code or 0))
    except BaseException as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr, flush=True)
        os._exit(70)
    os._exit(0)
