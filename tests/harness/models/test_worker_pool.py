"""The pool: order, the same bits for any number of workers, and what is said when one dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tqdm import tqdm

from benchmarks.api import Sampling
from harness.models.decoding.rows import Request
from harness.models.generation import generate
from harness.models.worker_pool import LoadedModel, Pool
from tests.harness.models.tiny_models import VOCAB, tiny_folder
from tests.paths import ROOT

HERE = "tests.harness.models.test_worker_pool"


def results(pool: Pool, function: str, items: Any, *shared: Any) -> list[Any]:
    """What a function of this file makes of each item, in their order."""
    return [
        result
        for _, result in sorted(
            pool.map_unordered(f"{HERE}:{function}", items, *shared), key=lambda found: found[0]
        )
    ]


PROMPTS = [[5 + (3 * n + i) % 26 for i in range(2 + n % 7)] for n in range(9)]


# What the workers run, by name.
def logits(held: LoadedModel, ids: list[int], factor: float) -> Any:
    return (factor * held.model(torch.tensor([ids])).logits).detach().numpy()


def threads(held: LoadedModel, item: int) -> tuple[int, int]:
    return torch.get_num_threads(), os.getpid()


def picky(held: LoadedModel, item: int) -> int:
    if item == 3:
        raise ValueError("3 is not liked")
    return item


def fatal(held: LoadedModel, item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def lock(held: LoadedModel, item: int) -> int:
    """As tqdm makes one, which lm-eval asks for progress that nobody sees."""
    tqdm.get_lock()
    return item


def answers(held: LoadedModel, batch: list[Request], stop: list[int], seed: int) -> Any:
    return generate(held.model, batch, stop, vocab=VOCAB, batch=len(batch), seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model") / "tiny", hidden=64)


@pytest.fixture(scope="module")
def two(folder: Path) -> Iterator[Pool]:
    with Pool(folder, count=2) as pool:
        yield pool


@pytest.fixture
def many_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_workers_give_the_bits_of_one_in_the_order_of_the_items(
    folder: Path, two: Pool, many_threads: None
) -> None:
    """Also where this process has two threads, which would change the bits of one prompt's logits."""
    ours = results(Pool(folder), "logits", PROMPTS, 2.0)
    theirs = results(two, "logits", PROMPTS, 2.0)
    assert [a.shape[1] for a in ours] == [len(p) for p in PROMPTS]
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_a_cpu_worker_has_one_thread_and_this_process_gets_its_own_back(
    folder: Path, two: Pool, many_threads: None
) -> None:
    found = results(two, "threads", range(8))
    assert {count for count, _ in found} == {1}
    assert len({process for _, process in found} - {os.getpid()}) == 2
    assert results(Pool(folder), "threads", [0]) == [(1, os.getpid())]
    assert torch.get_num_threads() == 2


def test_sampled_answers_are_the_same_from_two_workers(folder: Path, two: Pool) -> None:
    requests = [Request(p, Sampling(0.8, 0.9, 6), str(n)) for n, p in enumerate(PROMPTS)]
    batches = [requests[n : n + 4] for n in range(0, len(requests), 4)]
    ours = results(Pool(folder), "answers", batches, [3], 7)
    assert results(two, "answers", batches, [3], 7) == ours
    assert [len(batch) for batch in ours] == [4, 4, 1]


def test_a_value_error_of_the_function_is_raised_here(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^3 is not liked$"):
        results(Pool(folder), "picky", range(6))


def test_a_worker_that_dies_is_one_line_and_a_pool_that_failed_starts_anew(two: Pool) -> None:
    with pytest.raises(ValueError, match=r"^3 is not liked$"):
        results(two, "picky", range(6))
    with pytest.raises(
        ChildProcessError
    ) as failure:  # of fresh workers, with nothing left of the failed call
        results(two, "fatal", range(5))
    assert str(failure.value) in {
        f"worker {n} of 2 on cpu was killed (SIGKILL); out of memory?" for n in (1, 2)
    }


def test_no_items_start_nothing(folder: Path) -> None:
    with Pool(folder / "absent", count=2) as pool:
        assert results(pool, "picky", []) == []


@pytest.mark.parametrize(
    ("device", "count", "line"),
    [
        ("cpu", 0, "workers: a number of processes, 1 or more, not 0"),
        ("cuda", 99, r"workers: 99 want as many GPUs, and \d+ are here"),
    ],
)
def test_impossible_numbers_of_workers_are_refused(folder: Path, device: str, count: int, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Pool(folder, device, count=count)


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(folder: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from harness.models.worker_pool import Pool\n"
        "if __name__ == '__main__':\n"
        "    pool = Pool(Path(sys.argv[1]), count=2)\n"
        f"    function = '{HERE}:threads'\n"
        "    found = [r for _, r in pool.map_unordered(function, [0])]\n"
        "    print(*{p for _, p in found}, flush=True)\n"
        "    time.sleep(60)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert run.stdout
    workers = [int(process) for process in run.stdout.readline().split()]
    assert len(workers) == 1 and all(psutil.pid_exists(process) for process in workers)
    run.kill()
    run.wait()
    run.stdout.close()
    gone = time.monotonic() + 60
    while any(_runs(process) for process in workers) and time.monotonic() < gone:
        time.sleep(0.05)
    assert not any(_runs(process) for process in workers)


def _runs(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


LOCKS = f"""
import sys
from pathlib import Path
from harness.models.worker_pool import Pool
if __name__ == "__main__":
    with Pool(Path(sys.argv[1]), count=2) as pool:
        assert len(dict(pool.map_unordered("{HERE}:lock", range(4)))) == 4
"""


def test_workers_leave_no_lock_of_a_library_that_is_told_of_at_the_end(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "locks.py"
    script.write_text(LOCKS)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(script), str(folder)]
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "leaked" not in done.stderr, done.stderr
