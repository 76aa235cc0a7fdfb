"""A trap: a session for every call, each with a connector and a cookie jar of its own."""

import asyncio

import aiohttp

from bench.strategies.base import CallRecord, Job, Work
from bench.strategies.by_hand import make


async def run(work: Work) -> list[CallRecord]:
    slots = asyncio.Semaphore(work.at_once)

    async def alone(job: Job) -> CallRecord:
        timeout = aiohttp.ClientTimeout(total=None)
        async with slots, aiohttp.ClientSession(timeout=timeout) as session:
            return await make(session, work, job)

    return await asyncio.gather(*(alone(job) for job in work.jobs))
