"""asyncio by hand: bare aiohttp, as its best user would write it.

As many workers as calls may be in flight take the next job from one iterator; no limit and no
timeout but one's own.
"""

import asyncio
import base64

import aiohttp

from bench.strategies.base import CallRecord, Job, Work, record_call


async def run(work: Work) -> list[CallRecord]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=work.connect, sock_read=600)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        jobs = iter(work.jobs)

        async def worker() -> list[CallRecord]:
            return [await make(session, work, job) for job in jobs]

        rounds = await asyncio.gather(*(worker() for _ in range(work.at_once)))
    return [record for found in rounds for record in found]


async def make(session: aiohttp.ClientSession, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        for tries in range(1, 100):
            async with session.post(
                work.endpoint, json=work.body(job), headers=work.headers
            ) as answer:
                wait = work.retry_wait(answer.status, answer.headers, tries)
                if wait is None:
                    answer.raise_for_status()
                    entry = (await answer.json())["data"][0]
                    break
            await asyncio.sleep(wait)
        if work.link:
            async with session.get(entry["url"]) as answer:
                image = await answer.read()
        else:
            image = base64.b64decode(entry["b64_json"])
        record.size = await work.save_async(job, image)
    return record
