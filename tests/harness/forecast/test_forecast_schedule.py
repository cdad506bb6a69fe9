"""List scheduling by hand, and its bounds on real plans."""

import random

import pytest

import methods
from harness.endpoints import prices
from harness.executors.options import Machine, RunOptions
from harness.forecast import cards
from harness.forecast.forecast import Job, device_named, forecast, schedule
from harness.forecast.sizes import PlanSizes
from harness.plan import plan as planning
from tests import suites
from tests.paths import TINY


def test_a_chain_takes_its_length_on_any_number_of_devices() -> None:
    chain = [Job("a", 1, (), 1), Job("b", 2, ("a",), 1), Job("c", 3, ("b",), 1)]
    for devices in (1, 8):
        found = schedule(chain, devices)
        assert (found.makespan, found.chain, found.chain_seconds) == (6, ("a", "b", "c"), 6)
    assert schedule(chain, 8).used == 1 / 8


def test_the_longest_rest_goes_first() -> None:
    """Two devices, x (1 s) before a long y (4 s), and three jobs of 2 s: 5 s if x starts first, 6 if last."""
    jobs = [*(Job(f"j{i}", 2, (), 1) for i in range(3)), Job("x", 1, (), 1), Job("y", 4, ("x",), 1)]
    found = schedule(jobs, 2)
    assert found.makespan == 6 and found.used == 11 / 12
    assert found.chain == ("x", "y")
    assert schedule(jobs, 3).makespan == 5


def test_what_takes_no_device_waits_for_none() -> None:
    jobs = [Job("work", 5, (), 1), *(Job(f"call{i}", 5, (), 0) for i in range(9))]
    found = schedule(jobs, 1)
    assert found.makespan == 5 and found.used == 1


def test_what_wants_several_devices_is_not_starved() -> None:
    """On two devices, by hand: a 1 s, b 3 s at once; then `wide` (two devices, the longest chain) waits for b
    at 3 while c, which would fit beside b, is kept back.
    """
    jobs = [
        Job("a", 1, (), 1),
        Job("b", 3, (), 1),
        Job("wide", 4, ("a",), 2),
        Job("c", 3, ("a",), 1),
        Job("call", 5, ("a",), 0),
    ]
    found = schedule(jobs, 2)
    assert found.makespan == 3 + 4 + 3
    assert found.used == (1 + 3 + 2 * 4 + 3) / (2 * 10)
    # On one device it takes that one.
    assert schedule(jobs, 1).makespan == 1 + 3 + 4 + 3


def test_nothing_to_do_takes_no_time() -> None:
    found = schedule([], 4)
    assert (found.makespan, found.used, found.chain) == (0, 0, ())


@pytest.mark.parametrize("seed", range(5))
def test_a_schedule_keeps_the_bounds_of_every_list_schedule(seed: int) -> None:
    """Graham: no less than the longest chain and the mean load; no more than their sum."""
    draw = random.Random(seed)
    jobs: list[Job] = []
    for i in range(60):
        needs = tuple({f"s{draw.randrange(i)}" for _ in range(draw.randrange(3))}) if i else ()
        jobs.append(Job(f"s{i}", draw.uniform(0.1, 5), needs, 1))
    load = sum(job.seconds for job in jobs)
    for devices in (1, 3, 64):
        found = schedule(jobs, devices)
        assert max(found.chain_seconds, load / devices) <= found.makespan + 1e-9
        assert found.makespan <= found.chain_seconds + load / devices + 1e-9
        assert found.used * devices * found.makespan == pytest.approx(load)
    assert schedule(jobs, 1).makespan == pytest.approx(load)


@pytest.mark.parametrize(
    ("options", "devices"),
    [
        (RunOptions(), 3),
        (RunOptions(jobs=2), 2),
        (RunOptions(devices=8), 8),
        (RunOptions(executor="inline"), 1),
        (RunOptions(device="h200"), 1),
        (RunOptions(executor="slurm", device="h200", devices=4), 4),
    ],
)
def test_a_plan_is_of_what_would_run(
    options: RunOptions, devices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of three CPUs, and then of two GPUs, of which the steps have one each."""
    monkeypatch.setattr(cards.devices, "available_cpus", lambda: 3)
    monkeypatch.setattr(cards.devices, "gpu_count", lambda: 0)
    assert cards.planned(options) == devices
    monkeypatch.setattr(cards.devices, "gpu_count", lambda: 2)
    there = options.devices is None and options.device is None and options.executor == "jobs"
    assert cards.planned(options) == (2 if there else devices)


def test_a_step_of_four_threads_takes_four_cpus_of_a_plan() -> None:
    """Two models of 50 million parameters and more on four CPUs wait for one another; on GPUs they do not."""
    large = "{hidden: 1024, layers: 6, heads: 8, ffn: 4096}"
    suite = suites.load(TINY, [f"pairs.tiny.{who}.base={large}" for who in ("teacher", "student")])
    plan = planning.plan(suite, methods.registry(), Machine(), only=["SFT"])
    sizes = PlanSizes(plan.suite, Machine(), None, prices.load())
    one, four = (forecast(plan, sizes, device_named("cpu")).on(n).makespan for n in (1, 4))
    assert one == four
    one, four = (forecast(plan, sizes, device_named("h100")).on(n).makespan for n in (1, 4))
    assert four < one
