"""Jobs of a real SLURM, one node of two CPUs: the same bytes; what is put back runs again, what is cancelled
costs itself.
"""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from harness.executors import scheduler
from harness.executors.factory import open_executor
from harness.executors.options import RunOptions
from harness.executors.protocol import Executor, Foretold
from harness.run.progress import PlainProgress
from harness.store.step import Step
from harness.store.store import Store
from tests.harness.executors.executor_steps import step
from tests.harness.executors.slurm_cluster import cluster, lacks
from tests.harness.executors.test_executors import diamond, small
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(lacks()), reason=lacks())]
LOOK = ("--slurm", "look=2")


@pytest.fixture(scope="module", autouse=True)
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cluster for the tests of this file; a machine that cannot start one skips them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        try:
            with cluster(tmp_path_factory.mktemp("slurm")) as config:
                patch.setenv("SLURM_CONF", str(config))
                yield
        except OSError as e:
            pytest.skip(str(e))


def jobs_of(store: Store, tmp_path: Path) -> Executor:
    chosen = RunOptions(
        executor="slurm", slurm=("look=1", "time=10"), slurm_partition="main", resources=("cpus=1",)
    )
    return open_executor(chosen, store, tmp_path / "logs", {}, limited=False)


def meanwhile(told: Path, name: str, act: Callable[[str], None]) -> Thread:
    """A thread that acts on the job of a step once the step has begun."""

    def wait() -> None:
        until = time.monotonic() + 120
        while name not in (told.read_text().split() if told.exists() else ()) and time.monotonic() < until:
            time.sleep(0.1)
        listed = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%j %i"], capture_output=True, text=True)
        found = [w.split()[1] for w in listed.stdout.splitlines() if w.startswith(f"bench-{name}-")]
        act(min(found))  # of an array the first

    thread = Thread(target=wait)
    thread.start()
    return thread


def alone(told: Path) -> list[Step]:
    """a, which takes long, and then b."""
    a = step(told, "a", seconds=15)
    return [a, step(told, "b", first=a)]


def test_a_job_that_is_put_back_runs_again_and_nothing_is_lost(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    thread = meanwhile(told, "a", lambda job: subprocess.run(["scontrol", "requeue", job], check=True))
    scheduler.run(alone(told), store, PlainProgress(2), jobs_of(store, tmp_path))
    thread.join()

    assert Counter(told.read_text().split()) == {"a": 2, "b": 1}
    assert not list(tmp_path.glob("store/partial/*"))


def test_a_job_that_is_preempted_puts_itself_back(tmp_path: Path) -> None:
    """The signal that SLURM sends before it takes a node away."""
    told, store = tmp_path / "told", Store(tmp_path / "store")
    command = ["scancel", "--signal=USR2"]
    thread = meanwhile(told, "a", lambda job: subprocess.run([*command, job], check=True))
    scheduler.run(alone(told), store, PlainProgress(2), jobs_of(store, tmp_path))
    thread.join()

    assert Counter(told.read_text().split()) == {"a": 2, "b": 1}


def test_a_job_that_is_cancelled_is_a_line_and_the_next_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = [*alone(told), step(told, "c")]
    thread = meanwhile(told, "a", lambda job: subprocess.run(["scancel", job], check=True))
    line = r"1 failed: a: job \d+_0 ended without a result: .*_log.err"  # the first of an array
    with pytest.raises(ChildProcessError, match=line):
        scheduler.run(steps, store, PlainProgress(3), jobs_of(store, tmp_path))
    thread.join()
    assert [s.label for s in steps if store.find(s)] == ["c"]
    assert "a  FAILED: job" in capsys.readouterr().out

    scheduler.run(steps, store, PlainProgress(2), jobs_of(store, tmp_path))
    assert Counter(told.read_text().split()) == {"a": 2, "b": 1, "c": 1}


def test_steps_that_are_ready_together_are_one_array(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = diamond(told)
    scheduler.run(steps, store, PlainProgress(5), jobs_of(store, tmp_path))

    assert all(map(store.find, steps))
    logs = sorted(path.name for path in tmp_path.glob("logs/slurm-*/*_log.out"))
    jobs = {name.partition("_")[0] for name in logs}
    assert len(logs) == 5 and len(jobs) == 3, logs  # a and e, b and c, d


def test_a_job_may_take_three_times_its_estimate(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    chosen = RunOptions(executor="slurm", slurm=("look=1",), slurm_partition="main", resources=("cpus=1",))
    found: list[str] = []

    def ask(job: str) -> None:
        command = ["squeue", "-h", "-j", job, "-o", "%l"]
        found.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())

    known = Foretold(seconds=lambda step: 3000.0)
    executor = open_executor(chosen, store, tmp_path / "logs", {}, limited=False, foretold=known)
    thread = meanwhile(told, "a", ask)
    scheduler.run([step(told, "a", seconds=5)], store, PlainProgress(1), executor)
    thread.join()
    assert found == ["2:30:00"]


def test_jobs_that_fail_cost_what_stands_on_them(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = diamond(told, b="wrong", e="die")
    with pytest.raises(ChildProcessError) as failed:
        scheduler.run(steps, store, PlainProgress(5), jobs_of(store, tmp_path))
    assert {s.label for s in steps if store.find(s)} == {"a", "c"}
    assert "b: the data is empty" in str(failed.value) and "e: job" in str(failed.value)


def test_an_option_that_sbatch_does_not_take_is_one_line(tmp_path: Path) -> None:
    chosen = RunOptions(executor="slurm", slurm=("account=x", "patrition=main"))
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match=r"SLURM does not take its job: .*patrition"):
        executor = open_executor(chosen, store, tmp_path / "logs", {}, limited=False)
        scheduler.run([step(tmp_path / "told", "a")], store, PlainProgress(1), executor)


def test_a_suite_gives_the_bytes_that_this_process_gives(tmp_path: Path) -> None:
    assert os.environ["SLURM_CONF"]
    assert small(tmp_path / "j", "--executor", "slurm", *LOOK) == small(tmp_path / "i")
