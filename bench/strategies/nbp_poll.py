"""This library: tasks, polled until they are done; no connection is held for them."""

from dataclasses import replace

from bench.strategies.base import CallRecord, Work
from bench.strategies.nbp import Ends, profile, records, timeouts_of
from nbp_async import PROFILES, Client, Limits, Profile


async def run(work: Work) -> list[CallRecord]:
    limits, ends = Limits(max_in_flight=work.at_once, max_open=work.at_once), Ends()
    async with Client(
        relay(work),
        work.key,
        limits=limits,
        timeouts=timeouts_of(work),
        listeners=[ends],
        rng=work.rng,
    ) as gen:
        prompts = [job.prompt for job in work.jobs]
        journal = None if work.durable else False
        batch = await gen.many(prompts, size=work.size, via="poll", out=work.out, journal=journal)
    return [record for outcome in batch for record in records(outcome, ends)]


def relay(work: Work) -> Profile:
    """A relay's task mode."""
    return replace(profile(work), tasks=PROFILES["apiyi"].tasks)
