"""Executors: whoever runs the steps, each runs once, a fault costs what stands on it, the bytes are equal."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import submitit  # noqa: F401 - as it sets up logging it closes all handlers, absl's with a test's stderr

import methods
from harness.common.files import discard
from harness.endpoints import session
from harness.executors import factory, ray, scheduler
from harness.executors.factory import open_executor
from harness.executors.options import Machine, RunOptions
from harness.executors.protocol import Executor
from harness.executors.resources import Resources, Share, read_resources
from harness.executors.this_machine.inline import Inline
from harness.plan import plan as planning
from harness.plan.plan import ordered
from harness.run.progress import PlainProgress
from harness.store.step import Step
from harness.store.store import Store
from tests import suites
from tests.bench_command import COMMAND, ENV
from tests.harness.executors.executor_steps import asking, step
from tests.paths import ROOT, TINY

SMALL = ("run", TINY, "--only", "DPO", "--set", "benchmarks={rule: {data: world/test, max_tokens: 8}}")
TIMED = ("training.json",)  # holds seconds
FILES = ("results.jsonl", "training.jsonl", "summaries.jsonl", "texts.jsonl", "tables/main.md")


def diamond(told: Path, **middle: str) -> list[Step]:
    """a -> b, c -> d, and e, which stands alone; `middle` names the function of one of them."""
    a = step(told, "a")
    b = step(told, "b", middle.get("b", "add"), first=a)
    c = step(told, "c", middle.get("c", "add"), first=a)
    return list(ordered([step(told, "d", first=b, second=c), step(told, "e", middle.get("e", "add"))]))


def local(store: Store, tmp_path: Path) -> Executor:
    chosen = RunOptions(executor="slurm", slurm=("cluster=local",), resources=("cpus=1",))
    return open_executor(chosen, store, tmp_path / "logs", {}, limited=False)


@pytest.fixture
def ray_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    chosen = RunOptions(executor="ray", resources=("cpus=1",))
    with TemporaryDirectory(dir="/tmp") as below:  # a socket's path has at most 107 bytes
        monkeypatch.setenv("RAY_TMPDIR", below)
        executor = open_executor(chosen, Store(tmp_path / "store"), tmp_path / "logs", {}, limited=False)
        yield executor
        executor.close()
        assert not list(Path(below).iterdir())


def test_jobs_of_slurm_lie_where_their_user_alone_writes(tmp_path: Path) -> None:
    """They are pickles: whoever can change one has his code run by whoever reads it."""
    logs, store = tmp_path / "logs", Store(tmp_path / "store")
    local(store, tmp_path).close()
    (folder,) = logs.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    local(store, tmp_path).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"^{folder}: not a folder of this user's own"):
        local(store, tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder away")
def test_jobs_are_not_put_into_the_folder_of_another_user(tmp_path: Path) -> None:
    local(Store(tmp_path / "store"), tmp_path).close()
    (folder,) = (tmp_path / "logs").iterdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(ValueError, match=rf"^{folder}: not a folder of this user's own"):
        local(Store(tmp_path / "store"), tmp_path)


def test_steps_run_in_the_order_of_the_plan_where_one_at_a_time_runs(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = diamond(told)
    scheduler.run(steps, store, PlainProgress(5), Inline(store))

    assert told.read_text().split() == [s.label for s in steps] == ["a", "b", "c", "d", "e"]
    assert store.record(store.make(steps[3]))["measured"] == {"n": 5}
    scheduler.run(steps, store, PlainProgress(0), Inline(store))
    assert len(told.read_text().split()) == 5


TWO = """
import sys
from pathlib import Path
from harness.executors import scheduler
from harness.plan.plan import ordered
from harness.run.progress import PlainProgress
from harness.store.store import Store
from tests.harness.executors.executor_steps import step
told, own, store = Path(sys.argv[1]), sys.argv[2], Store(Path(sys.argv[3]))
shared = [step(told, f"s{i}", seconds=0.2) for i in range(6)]
last = step(told, own, **{s.label: s for s in shared})
print("ready", flush=True)
sys.stdin.readline()
scheduler.run(ordered([last]), store, PlainProgress(7))
"""


def test_two_runs_of_overlapping_plans_do_each_step_once(tmp_path: Path) -> None:
    told = tmp_path / "told"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": ENV, "cwd": ROOT}
    words = [[sys.executable, "-c", TWO, told, own, tmp_path / "store"] for own in ("x", "y")]
    children = [subprocess.Popen(w, **pipes) for w in words]  # type: ignore[call-overload]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=300)[0] for child in children]

    assert [child.returncode for child in children] == [0, 0]
    assert Counter(told.read_text().split()) == Counter(["x", "y", *(f"s{i}" for i in range(6))])
    assert all(text.count("[") == 7 for text in said), "each run counts the steps of the other"
    assert not list(tmp_path.glob("store/partial/*")) and not list(tmp_path.glob("store/locks/*"))


def test_jobs_that_fail_cost_what_stands_on_them_and_are_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As processes of this machine: one whose data is wrong, one that is killed, one that is well."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = diamond(told, b="wrong", e="die")
    with pytest.raises(ChildProcessError) as failed:
        scheduler.run(steps, store, PlainProgress(5), local(store, tmp_path))

    assert {s.label for s in steps if store.find(s)} == {"a", "c"}
    assert "b: the data is empty" in str(failed.value) and "1 stand on them" in str(failed.value)
    assert "e: job" in str(failed.value) and "_log.err" in str(failed.value)
    assert "FAILED: the data is empty" in capsys.readouterr().out
    assert not list(tmp_path.glob("store/partial/*"))


def test_what_asks_an_endpoint_stays_in_the_process_whose_budget_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = [
        asking(told, "a"),
        asking(told, "b", engine="vllm"),
        asking(told, "c"),
        asking(told, "d", "wrong"),
    ]
    with (
        session.open_session({}, None, 7, tmp_path / "logs", store.root / "replies"),
        pytest.raises(ValueError, match="1 failed: d: the data is empty"),
    ):
        scheduler.run(steps, store, PlainProgress(4), local(store, tmp_path))

    a, b, c = (store.record(store.make(s))["measured"] for s in steps[:3])
    assert a == c == {"pid": os.getpid(), "most": 7}
    assert b["pid"] != os.getpid() and b["most"] is None


def test_a_judge_is_asked_while_this_process_computes(tmp_path: Path) -> None:
    told, store = tmp_path / "told", Store(tmp_path / "store")
    steps = [asking(told, "judge", "wait_for_another"), step(told, "answers", "wait_for_another")]
    executor = open_executor(RunOptions(), store, tmp_path / "logs", {}, limited=False)
    with session.open_session({}, None, None, tmp_path / "logs", store.root / "replies"):
        scheduler.run(steps, store, PlainProgress(2), executor)

    assert Counter(told.read_text().split()) == {"judge": 1, "answers": 1}
    assert all(map(store.find, steps))


def test_a_worker_of_ray_that_dies_costs_its_step_alone(tmp_path: Path, ray_of_two: Executor) -> None:
    """b's worker dies once and is replaced; c's dies always; e has a bug; f does well."""
    told, store = tmp_path / "told", Store(tmp_path / "store")
    told.touch()
    steps = [*diamond(told, b="die_once", c="die", e="bug"), step(told, "f")]
    (folder,) = Path(os.environ["RAY_TMPDIR"]).iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and list(folder.glob("*/session_latest/sockets/*"))
    with pytest.raises(ChildProcessError) as failed:
        scheduler.run(steps, store, PlainProgress(6), ray_of_two)

    assert {s.label for s in steps if store.find(s)} == {"a", "b", "f"}
    assert Counter(told.read_text().split()) == {"a": 1, "b": 2, "c": 3, "e": 1, "f": 1}
    (c,) = (s for s in steps if s.label == "c")
    log = tmp_path / "logs" / f"text-{c.id}.log"
    assert f"c: its worker died 3 times (WorkerCrashedError); log {log}" in str(failed.value)
    assert "last words" in log.read_text()
    assert "e: KeyError" in str(failed.value)
    assert not list(tmp_path.glob("store/partial/*"))


def test_a_folder_that_agents_of_ray_still_write_to_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def disturbed(folder: Path) -> None:
        discard(folder)
        tries.append(folder)
        if len(tries) < 3:
            (folder / "logs").mkdir(parents=True)

    monkeypatch.setattr(ray, "discard", disturbed)
    ray.remove(tmp_path / "ray")
    assert tries == [tmp_path / "ray"] * 3 and not list(tmp_path.iterdir())


def small(runs: Path, *words: str) -> dict[str, bytes]:
    command = [*COMMAND, *SMALL, "--runs", str(runs), "--name", "small", *words]
    env = {**ENV, "SLURM_CONF": os.environ.get("SLURM_CONF", "")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return {name: (runs / "small" / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def of_this_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return small(tmp_path_factory.mktemp("inline"))


@pytest.mark.slow  # Ray's start takes longest; the test above stays
def test_ray_makes_the_artifacts_that_this_process_makes(tmp_path: Path, ray_of_two: Executor) -> None:
    """Byte for byte, of a line from the world to judgments of a trained student."""
    small_line = ["benchmarks={rule: {data: world/test, max_tokens: 8}}"]
    plan = planning.plan(suites.load(TINY, small_line), methods.registry(), Machine(), only=["SFT"])
    steps, stores = plan.steps, [Store(tmp_path / "inline"), Store(tmp_path / "store")]
    scheduler.run(steps, stores[0], PlainProgress(len(steps)), Inline(stores[0]))
    scheduler.run(steps, stores[1], PlainProgress(len(steps)), ray_of_two)

    assert {s.kind.name for s in steps} >= {"world", "init", "text", "train", "answers", "judgments"}
    for made in zip(*(map(store.make, steps) for store in stores), strict=True):
        ours, theirs = (Store(folder).record(folder)["files"] for folder in made)
        assert {k: v for k, v in ours.items() if k not in TIMED} == {
            k: v for k, v in theirs.items() if k not in TIMED
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("--executor", "ray"), ("--executor", "slurm", "--slurm", "cluster=local")]
)
def test_each_executor_gives_the_tables_that_this_process_gives(
    tmp_path: Path, of_this_process: dict[str, bytes], words: Sequence[str]
) -> None:
    assert small(tmp_path, *words) == of_this_process


@pytest.mark.parametrize(
    ("kind", "context", "share"),
    [
        ("train", {"device": "cpu"}, Share(4, 0.0, None)),
        ("train", {"device": "cuda"}, Share(1, 1.0, None)),
        ("world", {}, Share(4, 0.0, None)),
        ("judgments", {"device": "cuda"}, Share(4, 0.0, None)),
        ("judgments", {"device": "cuda", "endpoint": {"engine": "vllm"}}, Share(1, 1.0, None)),
        (
            "judgments",
            {"device": "cuda", "endpoint": {"engine": "vllm", "arguments": ["-tp", "2"]}},
            Share(1, 2.0, None),
        ),
        ("answers", {"device": "cuda", "endpoint": {"base_url": "x"}}, Share(4, 0.0, None)),
        ("answers", {"device": "cuda", "workers": 4}, Share(4, 4.0, None)),
        ("train", {"device": "cuda", "processes": 2}, Share(2, 2.0, None)),
        ("answers", {"device": "cpu", "workers": 6}, Share(6, 0.0, None)),
        ("train", {"device": "cpu", "processes": 2}, Share(8, 0.0, None)),
    ],
)
def test_a_step_asks_for_a_gpu_where_it_computes_on_one(
    kind: str, context: dict[str, object], share: Share
) -> None:
    planned = planning.plan(suites.load(TINY), methods.registry(), Machine()).steps
    asked = next(step for step in planned if step.kind.name == kind)
    assert Resources(rule=lambda step: 4).of(replace(asked, context=context)) == share


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (RunOptions(executor="rey"), "--executor rey: did you mean 'ray'?"),
        (RunOptions(executor="inline", ray_address="a:1"), "--ray-address: belongs to --executor ray"),
        (RunOptions(executor="ray", slurm_partition="gpu"), "--slurm-partition: belongs to --executor slurm"),
        (RunOptions(resources=("cpu=2",)), "--resources cpu: did you mean 'cpus'?"),
        (RunOptions(resources=("gpus=-1",)), "--resources gpus=-1: a number above 0"),
        (RunOptions(resources=("cpus",)), "--resources cpus: wants key=value"),
        (RunOptions(executor="slurm", slurm=("cluster=mars",)), "slurm, or local"),
        (RunOptions(executor="slurm", slurm=("cluster=local", "time=1h")), "time=1h: whole minutes"),
        (
            RunOptions(executor="ray", ray_address="127.0.0.1:1"),
            "no cluster of Ray there (Connection refused)",
        ),
        (RunOptions(executor="ray", ray_address="auto"), "wants HOST:PORT"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(tmp_path: Path, chosen: RunOptions, told: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as fault:
        factory.check(chosen)  # once a run, and of a plan too
        open_executor(chosen, Store(tmp_path), tmp_path / "logs", {}, limited=False)
    assert told in str(fault.value)


def test_resources_are_read_as_numbers() -> None:
    assert read_resources(["cpus=2", "gpus=0.5", "memory=32"]) == Resources(2, 0.5, 32.0)
