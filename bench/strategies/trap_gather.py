"""A trap: `gather` over everything, without a limit and without a second try."""

import asyncio
import base64

import aiohttp

from bench.strategies.base import CallRecord, Job, Work, record_call


async def run(work: Work) -> list[CallRecord]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=work.headers, raise_for_status=True
    ) as session:
        return await asyncio.gather(*(make(session, work, job) for job in work.jobs))


async def make(session: aiohttp.ClientSession, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        async with session.post(work.endpoint, json=work.body(job)) as answer:
            entry = (await answer.json())["data"][0]
        if work.link:
            async with session.get(entry["url"], headers={"Authorization": ""}) as answer:
                image = await answer.read()
        else:
            image = base64.b64decode(entry["b64_json"])
        record.size = await work.save_async(job, image)
    return record
