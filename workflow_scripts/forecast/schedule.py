"""How long jobs take together: each starts when what it needs is there, and its GPUs are free."""

import heapq
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Job(NamedTuple):
    """A node of the plan, and how much work it is."""

    gpus: int = 0
    hours: float | None = 0.0  # None: no throughput is stated
    needs: tuple[str, ...] = ()
    judges: bool = False  # one at a time
    amounts: Mapping[str, float] = MappingProxyType({})
    notes: tuple[str, ...] = ()


def wall(jobs: dict[str, Job], gpus: int) -> float | None:
    """Hours that a plan takes: whichever job is first on the longest way to the end starts when its GPUs are free.

    Jobs without a GPU do not wait for one another, but judges do.  None where a job's hours are not known.

    >>> jobs = {"a": Job(1, 2, ()), "b": Job(1, 1, ()), "c": Job(1, 3, ("a",)), "d": Job(0, 1, ("c", "b"))}
    >>> wall(jobs, 1), wall(jobs, 2)
    (7.0, 6.0)
    """
    if any(job.hours is None for job in jobs.values()):
        return None
    followers: defaultdict[str, list[str]] = defaultdict(list)
    waits = {name: 0 for name in jobs}
    for name, job in jobs.items():
        for need in {need for need in job.needs if need in jobs}:
            followers[need].append(name)
            waits[name] += 1
    order = [name for name, count in waits.items() if not count]
    left = dict(waits)
    for name in order:  # grows as it goes: every job after all that it needs
        for follower in followers[name]:
            left[follower] -= 1
            order += [] if left[follower] else [follower]
    rest: dict[str, float] = {}  # from a job's start to the end of all, at the least
    for name in reversed(order):
        rest[name] = float(jobs[name].hours or 0) + max((rest[other] for other in followers[name]), default=0.0)
    ready = sorted((name for name, count in waits.items() if not count), key=lambda name: -rest[name])
    running: list[tuple[float, str]] = []
    now, free, judges = 0.0, gpus, 1
    while ready or running:
        waiting = []
        for name in ready:
            job = jobs[name]
            if job.gpus <= free and job.judges <= judges:
                free, judges = free - job.gpus, judges - job.judges
                heapq.heappush(running, (now + float(job.hours or 0), name))
            else:
                waiting.append(name)
        now, name = heapq.heappop(running)
        free, judges = free + jobs[name].gpus, judges + jobs[name].judges
        for follower in followers[name]:
            waits[follower] -= 1
            waiting += [] if waits[follower] else [follower]
        ready = sorted(waiting, key=lambda name: -rest[name])
    return now
