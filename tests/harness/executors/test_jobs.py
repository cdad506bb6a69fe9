"""Steps side by side on this machine: the bytes of one process, deaths and faults that cost their own step,
and who gets which CPUs and GPUs.
"""

import multiprocessing.forkserver
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import methods
from harness.common import shutdown
from harness.endpoints.servers import SERVER
from harness.executors import scheduler
from harness.executors.factory import open_executor
from harness.executors.job import Job
from harness.executors.options import Machine, RunOptions
from harness.executors.protocol import Executor, Outcome
from harness.executors.resources import read_resources
from harness.executors.this_machine.inline import Inline
from harness.executors.this_machine.jobs import Ended, Worker, _run
from harness.executors.this_machine.room import Room
from harness.plan import plan as planning
from harness.run.progress import PlainProgress
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.bench_command import ENV, lines_told, start
from tests.harness.executors.executor_steps import TEXT, step
from tests.harness.executors.test_executors import TIMED, diamond
from tests.paths import ROOT, TINY


def jobs(count: int, store: Store, tmp_path: Path) -> Executor:
    """Of what is preloaded the tests' own fork server has more."""
    multiprocessing.forkserver.ensure_running()
    return open_executor(RunOptions(jobs=count), store, tmp_path / "logs", {}, limited=False)


def test_a_worker_that_dies_costs_its_step_alone(tmp_path: Path) -> None:
    """b's worker dies once and is replaced; c's dies always; e has a bug; f's data is wrong; g does well."""
    told, store = tmp_path / "told", Store(tmp_path / "store")
    told.touch()
    steps = [*diamond(told, b="die_once", c="die", e="bug"), step(told, "f", "wrong"), step(told, "g")]
    with pytest.raises(ChildProcessError) as failed:
        scheduler.run(steps, store, PlainProgress(7), jobs(2, store, tmp_path))

    assert {s.label for s in steps if store.find(s)} == {"a", "b", "g"}
    assert Counter(told.read_text().split()) == {"a": 1, "b": 2, "c": 3, "e": 1, "f": 1, "g": 1}
    c, e = (next(s for s in steps if s.label == name) for name in "ce")
    logs = {s.label: tmp_path / "logs" / f"text-{s.id}.log" for s in (c, e)}
    assert f"c: its worker died 3 times; log {logs['c']}" in str(failed.value)
    assert "last words" in logs["c"].read_text()
    assert "e: KeyError: 'n'; log" in str(failed.value) and "executor_steps.py" in logs["e"].read_text()
    assert "f: the data is empty" in str(failed.value)
    assert len(list((tmp_path / "logs").iterdir())) == 3, "of b, c and e: what printed nothing leaves no log"
    assert not list(tmp_path.glob("store/partial/*"))


def test_one_two_and_four_jobs_make_the_bytes_of_this_process(tmp_path: Path) -> None:
    """Of a line from the world to judgments of a trained student."""
    small_line = ["benchmarks={rule: {data: world/test, max_tokens: 8}}"]
    plan = planning.plan(suites.load(TINY, small_line), methods.registry(), Machine(), only=["SFT", "DCKD"])
    assert {s.kind.name for s in plan.steps} >= {"world", "init", "train", "signals", "answers", "judgments"}

    def made(name: str, executor: Callable[[Store], Executor]) -> list[dict[str, str]]:
        store = Store(tmp_path / name)
        scheduler.run(plan.steps, store, PlainProgress(len(plan.steps)), executor(store))
        files = [store.record(store.make(s))["files"] for s in plan.steps]
        return [{k: v for k, v in f.items() if k not in TIMED} for f in files]

    here = made("inline", Inline)
    for count in (1, 2, 4):
        assert made(f"jobs-{count}", lambda store, n=count: jobs(n, store, tmp_path)) == here  # type: ignore[misc]


def test_sigterm_reaches_a_training_in_a_worker_which_writes_a_checkpoint(tmp_path: Path) -> None:
    words = ["run", TINY, "--runs", str(tmp_path), "--only", "SFT", "--jobs", "2"]
    words += ["--set", "pairs.tiny.teacher.pretrain.epochs=200"]
    running = start(*words, folder=tmp_path, BENCH_EXECUTOR="jobs")
    running.wait_until(lambda: lines_told(tmp_path) > 3)
    below = psutil.Process(running.process.pid).children(recursive=True)
    running.process.terminate()
    stopped = running.ended()

    assert stopped.returncode == 75, stopped.stderr
    assert stopped.stderr.strip() == "bench: stopped by SIGTERM; the same command goes on"
    # Of the teacher, and of the student where it is still in training.
    states = [state.name.removeprefix("state-") for state in tmp_path.glob("store/unfinished/*/state-*")]
    told = re.findall(r": stopped after step (\d+)\n", stopped.stdout)
    assert "pretrain teacher: stopped after step" in stopped.stdout and sorted(told) == sorted(states)
    assert not list(tmp_path.glob("store/partial/*")) and not list(tmp_path.glob("store/locks/*"))
    _, alive = psutil.wait_procs(below, timeout=60)
    assert not alive


@pytest.fixture
def listening() -> Iterator[None]:
    """SIGTERM is heard as in a command, and what came is forgotten: other tests train in this process."""
    before = signal.getsignal(signal.SIGTERM)
    shutdown.listen()
    yield
    shutdown.listen()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("listening")
def test_sigterm_while_a_step_is_handed_over_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Worker.submit

    def interrupted(worker: Worker, given: Job) -> "Future[Ended]":
        future = submit(worker, given)
        os.kill(os.getpid(), signal.SIGTERM)
        return future

    monkeypatch.setattr(Worker, "submit", interrupted)
    executor = jobs(1, Store(tmp_path / "store"), tmp_path)
    workers = psutil.Process().children(recursive=True)
    with pytest.raises(shutdown.Terminated):
        executor.begin(step(tmp_path / "told", "a", seconds=600))
    executor.close()
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - set(workers), timeout=60)
    assert not alive


@pytest.mark.usefixtures("listening")
def test_sigterm_that_was_swallowed_before_a_step_ends_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    a = step(told, "a")
    given = Job(a, tmp_path / "store", tmp_path / "logs", {}, 1, str(tmp_path))
    with pytest.raises(shutdown.Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
    assert _run(given) == Ended(Outcome(a), "")
    assert not told.exists()


KILLED = """
import sys, time
from pathlib import Path
from harness.executors.factory import open_executor
from harness.executors.job import Job
from harness.executors.options import RunOptions
from harness.store.store import Store
from tests.harness.executors.executor_steps import step
if __name__ == "__main__":
    told = Path(sys.argv[1])
    store = Store(told.parent / "store")
    executor = open_executor(RunOptions(jobs=1), store, told.parent / "logs", {}, limited=False)
    executor.begin(step(told, "a", "hold_a_lock"))
    while not told.exists():
        executor.ended(0.1)
    executor.close()
"""


def test_a_worker_that_is_killed_leaves_no_lock_of_a_library_that_is_told_of(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    words = [sys.executable, str(script), str(tmp_path / "told")]
    done = subprocess.run(words, env=ENV, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_longest_chain_goes_first(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    a, b = step(told, "a"), step(told, "b")
    c = step(told, "c", first=b)
    rests = {a.id: 2.0, b.id: 5.0, c.id: 4.0}
    scheduler.run([a, b, c], store, PlainProgress(3), Inline(store), rests)
    assert told.read_text().split() == ["b", "c", "a"]


def on_gpu(told: Path, name: str, processes: int = 1) -> Step:
    made = step(told, name)
    kind = replace(TEXT, on_device=True, processes="processes")
    return replace(made, kind=kind, context={"device": "cuda", "processes": processes})


def room(jobs: int | None, gpus: int, memory: dict[str, float] | None = None) -> Room:
    names = [str(n) for n in range(gpus)]
    known = (lambda s: memory.get(s.label)) if memory else None
    return Room(read_resources(()), jobs, cpus=4, gpus=names, free=100.0, bytes_of_gpu=100.0, memory=known)


def test_a_step_on_a_gpu_has_one_of_its_own(tmp_path: Path) -> None:
    here = room(None, 2)
    a, b, c = (on_gpu(tmp_path, name) for name in "abc")
    assert here.admits(a) and here.take(a) == ("0",)
    assert here.admits(b) and here.take(b) == ("1",)
    assert not here.admits(c)
    here.free(a)
    assert here.admits(c) and here.take(c) == ("0",)


@pytest.mark.parametrize("context", [{SERVER: {"engine": "vllm"}}, {"endpoint": {"engine": "vllm"}}])
def test_a_step_that_starts_a_server_shares_its_gpu_with_no_other(
    tmp_path: Path, context: dict[str, object]
) -> None:
    here = room(2, 1, {"a": 10.0, "b": 10.0})
    a, b = (on_gpu(tmp_path, name) for name in "ab")
    a = replace(a, context={**a.context, **context})
    assert here.admits(a) and here.take(a) == ("0",)
    assert not here.admits(b)
    here.free(a)
    assert here.admits(b) and here.take(b) == ("0",)
    assert not here.admits(a)


def test_with_more_jobs_than_gpus_steps_share_one_that_holds_both(tmp_path: Path) -> None:
    here = room(2, 1, {"a": 40.0, "b": 70.0, "c": 10.0})
    a, b, c, d = (on_gpu(tmp_path, name) for name in "abcd")
    assert here.admits(a) and here.take(a) == ("0",)
    assert not here.admits(b), "40 and 70 are more than 90"
    assert not here.admits(d), "nobody knows what it takes"
    assert here.admits(c) and here.take(c) == ("0",)
    assert not here.admits(c), "two jobs"


def test_steps_on_cpus_begin_as_far_as_memory_holds_them(tmp_path: Path) -> None:
    here = room(None, 0, {"a": 40.0, "b": 60.0, "c": 40.0, "huge": 1000.0})
    a, b, c, d, huge = (step(tmp_path, name) for name in ("a", "b", "c", "d", "huge"))
    assert here.admits(a) and here.take(a) == ()
    assert not here.admits(b), "40 and 60 are more than 90"
    assert here.admits(c) and here.admits(d), "nobody knows what d takes"
    assert not here.admits(huge)
    here.free(a)
    assert here.admits(huge), "alone it may try"


def test_a_step_of_several_gpus_is_not_starved_by_small_ones(tmp_path: Path) -> None:
    here = room(None, 3)
    small = [on_gpu(tmp_path, name) for name in "abcd"]
    large = on_gpu(tmp_path, "large", processes=3)
    here.take(small[0])
    here.take(small[1])
    assert not here.admits(large)
    assert not here.admits(small[2]), "a GPU is free, and kept"
    assert here.admits(step(tmp_path, "files")), "what wants no GPU goes on"
    here.free(small[0])
    here.free(small[1])
    assert not here.admits(small[2])
    assert here.admits(large) and here.take(large) == ("0", "1", "2")
    assert not here.admits(small[2])
    here.free(large)
    assert here.admits(small[2])


def test_what_this_machine_has_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="large: asks for 3 GPUs, and this machine has 2; see --resources"):
        room(None, 2).admits(on_gpu(tmp_path, "large", processes=3))


def test_a_worker_sees_its_own_gpus_alone(tmp_path: Path) -> None:
    """The variable that CUDA reads, in the worker."""
    multiprocessing.forkserver.ensure_running()
    worker = Worker(("3", "5"))
    seen = worker._pool.submit(os.getenv, "CUDA_VISIBLE_DEVICES").result()
    worker.close()
    assert seen == "3,5"
