"""This library: tasks, looked at until they are done; no connection is held for them."""

from dataclasses import replace

import msgspec

from bench.strategies.base import Told, Work
from bench.strategies.nbp import Ends, patience, profile, records
from nbp_async import PROFILES, Client, Limits, Profile, Rate

USUAL = {"1K": 60.0, "2K": 85.0, "4K": 135.0}  # simulated seconds, as the library has them


async def run(work: Work) -> list[Told]:
    looks = Rate(20, work.second)
    limits = Limits(max_in_flight=work.at_once, max_open=work.at_once, looks=looks)
    ends = Ends()
    async with Client(
        relay(work), work.key, limits=limits, retry=patience(work), listeners=[ends],
        rng=work.luck,
    ) as gen:  # fmt: skip
        prompts = [job.prompt for job in work.jobs]
        journal = None if work.durable else False
        batch = await gen.many(prompts, size=work.size, via="poll", out=work.out, journal=journal)
    return [record for outcome in batch for record in records(outcome, ends)]


def relay(work: Work) -> Profile:
    """A relay's task mode, whose images take as long as the clock makes them."""
    tasks = PROFILES["apiyi"].tasks
    assert tasks is not None
    usual = {size: seconds * work.second for size, seconds in USUAL.items()}
    return replace(profile(work), tasks=msgspec.structs.replace(tasks, usual=usual))
