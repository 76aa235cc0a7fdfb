"""The jobs of a scenario, and what its seed has in store for each of them.

Nothing here depends on who makes the images: job 17 takes as long for all strategies.
"""

import heapq
from collections.abc import Mapping, Sequence

from bench.records import Bound, Scenario
from bench.strategies.base import Job
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.latency import parse_latency
from nbp_async.fake.pictures import REAL
from nbp_async.fake.seeded_random import digest, seeded_uniform

MINUTE = 60.0


def jobs_of(scenario: Scenario, at_once: int) -> list[Job]:
    """As many as the scenario says; with `waves`, so many times what is in flight."""
    count = scenario.jobs or scenario.waves * at_once
    return [Job(number, f"picture {number}") for number in range(count)]


def hold_of(scenario: Scenario, seed: int, job: Job, time: int = 1) -> float:
    """Simulated seconds that this job takes when it is made for the n-th time."""
    name = digest(job.prompt, scenario.size).hex()
    return parse_latency(scenario.latency).seconds(
        seeded_uniform(seed, "latency", name, time), scenario.size
    )


def total_hold(
    scenario: Scenario, seed: int, jobs: Sequence[Job], made: Mapping[str, int]
) -> float:
    """Seconds of all holds together, given how often each prompt was made by the bank."""
    travel = transfer(scenario)
    return sum(
        hold_of(scenario, seed, job, time) + travel
        for job in jobs
        for time in range(1, made.get(prompt_digest(job.prompt), 0) + 1)
    )


def transfer(scenario: Scenario) -> float:
    """Seconds that one answer with its image in it travels."""
    if scenario.bandwidth is None or scenario.delivery == "url":
        return 0.0
    weight = scenario.weight
    size = REAL[scenario.size] if weight == "real" else int(weight or 0)
    return size * 4 / 3 / scenario.bandwidth


def bound_of(scenario: Scenario, seed: int, jobs: Sequence[Job], at_once: int) -> Bound:
    """The shortest time in which anybody could make these images, so many at once."""
    travel = transfer(scenario)
    holds = [hold_of(scenario, seed, job) + travel for job in jobs]
    quota = scenario.per_minute
    rate = (len(holds) - 1) // quota * MINUTE + min(holds) if quota else 0.0
    parts = {
        "slots": sum(holds) / at_once,
        "longest": max(holds),
        "rate": rate,
        "bytes": travel * len(holds) / at_once,
    }
    # Where two are equal, the one that more slots would not change says more.
    binds = max(("longest", "rate", "bytes", "slots"), key=lambda name: parts[name])
    in_order = _in_order(holds, at_once, quota)
    return Bound(parts[binds], binds, max(in_order, parts[binds]))  # type: ignore[arg-type]


def _in_order(holds: Sequence[float], at_once: int, quota: int | None) -> float:
    """The end of the last job when each takes the first place that is free, in their order."""
    free = [0.0] * min(at_once, len(holds))
    begun: list[float] = []
    for number, hold in enumerate(holds):
        begin = heapq.heappop(free)
        if quota and number >= quota:
            begin = max(begin, begun[number - quota] + MINUTE)
        begun.append(begin)
        heapq.heappush(free, begin + hold)
    return max(free)
