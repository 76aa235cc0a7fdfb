"""A trap: aiohttp as it comes, 100 connections and 300 s for everything, queueing included.

A call that waits for a connection times out like one that is being paid for.
"""

import asyncio

import aiohttp

from bench.strategies.base import CallRecord, Work
from bench.strategies.by_hand import make


async def run(work: Work) -> list[CallRecord]:
    # ClientSession() also limits connecting to 30 s, which a faster clock would shorten.
    timeout = aiohttp.ClientTimeout(total=300, sock_connect=3 * work.connect)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(make(session, work, job) for job in work.jobs))
