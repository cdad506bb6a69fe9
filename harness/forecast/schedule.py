"""A plan on so many devices: list scheduling of its steps, those first that the longest rest waits for.

Steps of work "judge" and "files" take no device. One step has one device.
"""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Job(NamedTuple):
    """A step: how long it takes, what it waits for, and whether it takes a device."""

    id: str
    seconds: float
    needs: tuple[str, ...]
    on_device: bool


class Schedule(NamedTuple):
    """Seconds until all is done, the share of the devices' time that is used (0-1), the longest chain of
    steps that wait for one another, first to last, and its seconds.
    """

    makespan: float
    used: float
    chain: tuple[str, ...]
    chain_seconds: float


def schedule(jobs: Sequence[Job], devices: int) -> Schedule:
    """Run jobs, which stand behind those they need, on so many devices. devices >= 1"""
    rest = rests(jobs)
    known = {job.id for job in jobs}
    waits = {job.id: len([n for n in job.needs if n in known]) for job in jobs}
    after: dict[str, list[Job]] = {job.id: [] for job in jobs}
    for job in jobs:
        for need in job.needs:
            if need in known:
                after[need].append(job)
    ready = [(-rest[job.id], job.id, job) for job in jobs if not waits[job.id]]
    heapq.heapify(ready)
    running: list[tuple[float, str, Job]] = []
    now, free, busy = 0.0, devices, 0.0
    while ready or running:
        held = []
        while ready:
            entry = heapq.heappop(ready)
            job = entry[2]
            if job.on_device and not free:
                held.append(entry)
                continue
            free -= job.on_device
            busy += job.seconds * job.on_device
            heapq.heappush(running, (now + job.seconds, job.id, job))
        for entry in held:
            heapq.heappush(ready, entry)
        now, _, done = heapq.heappop(running)
        free += done.on_device
        for job in after[done.id]:
            waits[job.id] -= 1
            if not waits[job.id]:
                heapq.heappush(ready, (-rest[job.id], job.id, job))
    chain = _chain(jobs, rest, after)
    return Schedule(now, busy / (now * devices) if now else 0.0, chain, max(rest.values(), default=0.0))


def rests(jobs: Sequence[Job]) -> dict[str, float]:
    """Of each job the seconds of the longest chain that begins with it."""
    longest: dict[str, float] = {}
    for job in reversed(jobs):
        found = longest.get(job.id, 0.0) + job.seconds
        longest[job.id] = found
        for need in job.needs:
            longest[need] = max(longest.get(need, 0.0), found)
    return {job.id: longest[job.id] for job in jobs}


def _chain(
    jobs: Sequence[Job], rest: Mapping[str, float], after: Mapping[str, Sequence[Job]]
) -> tuple[str, ...]:
    """The longest chain of jobs that wait for one another."""
    chain: list[str] = []
    found = [job.id for job in jobs]
    while found:
        chain.append(max(found, key=lambda i: rest[i]))
        found = [job.id for job in after[chain[-1]]]
    return tuple(chain)
