"""A peer: OpenAI's SDK, async, with its connections unlimited and its own second tries off.

It would send again what ran into a timeout, which may have been billed.
"""

import asyncio
import base64

import openai

from bench.strategies.base import CallRecord, Job, Work, record_call


async def run(work: Work) -> list[CallRecord]:
    # The SDK's own client with wider limits; type and limits are those of the library it is on.
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=None)
    transport = openai.DefaultAsyncHttpxClient(limits=limits)
    slots = asyncio.Semaphore(work.at_once)
    async with openai.AsyncOpenAI(
        base_url=work.url,
        api_key=work.key,
        max_retries=0,
        timeout=openai.Timeout(600, connect=work.connect),
        http_client=transport,
    ) as client:

        async def one(job: Job) -> CallRecord:
            async with slots:
                return await make(client, work, job)

        return await asyncio.gather(*(one(job) for job in work.jobs))


async def make(client: openai.AsyncOpenAI, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        answer = await _request_image(client, work, job)
        assert answer.data is not None
        image = base64.b64decode(answer.data[0].b64_json or "")
        record.size = await work.save_async(job, image)
    return record


async def _request_image(
    client: openai.AsyncOpenAI, work: Work, job: Job
) -> openai.types.ImagesResponse:
    for tries in range(1, 100):
        try:
            return await client.images.generate(
                model="nano-banana-pro",
                prompt=job.prompt,
                response_format="b64_json",
                extra_body={"size": work.pixels},
            )
        except openai.APIStatusError as exc:
            wait = work.retry_wait(exc.status_code, exc.response.headers, tries)
            if wait is None:
                raise
        await asyncio.sleep(wait)
    raise AssertionError("retry_wait ends the loop")
