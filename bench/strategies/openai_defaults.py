"""A trap: OpenAI's SDK as it comes. It has 1,000 connections, and it sends timeouts again."""

import asyncio
import base64

import openai

from bench.strategies.base import CallRecord, Job, Work, record_call


async def run(work: Work) -> list[CallRecord]:
    # Its own timeouts; a faster clock would shorten the one for connecting.
    timeout = openai.Timeout(600, connect=work.connect / 2)
    async with openai.AsyncOpenAI(base_url=work.url, api_key=work.key, timeout=timeout) as client:
        return await asyncio.gather(*(make(client, work, job) for job in work.jobs))


async def make(client: openai.AsyncOpenAI, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        answer = await client.images.generate(
            model="nano-banana-pro",
            prompt=job.prompt,
            response_format="b64_json",
            extra_body={"size": work.pixels},
        )
        assert answer.data is not None
        image = base64.b64decode(answer.data[0].b64_json or "")
        record.size = await work.save_async(job, image)
    return record
