"""A trap: aiohttp as it comes, 100 connections and 300 s for everything, queueing included.

What waits for a connection runs into the same time-out as what is being paid for.
"""

import asyncio

import aiohttp

from bench.strategies.base import Told, Work
from bench.strategies.by_hand import make


async def run(work: Work) -> list[Told]:
    # ClientSession() has a limit of 30 s to connect besides, which a faster clock would shorten.
    timeout = aiohttp.ClientTimeout(total=300, sock_connect=3 * work.connect)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return await asyncio.gather(*(make(session, work, job) for job in work.jobs))
