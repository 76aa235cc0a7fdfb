"""A peer: Google's SDK, async, its own second tries off.

It would send once more what its connection lost, which may have been billed.
"""

import asyncio

from google import genai
from google.genai import errors, types

from bench.strategies.base import CallRecord, Job, Work, record_call


async def run(work: Work) -> list[CallRecord]:
    once = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=work.root, timeout=600_000, retry_options=once)
    return await make_all(work, options)


async def make_all(work: Work, options: types.HttpOptions) -> list[CallRecord]:
    """All images, so many at once."""
    client = genai.Client(api_key=work.key, http_options=options)
    slots = asyncio.Semaphore(work.at_once)

    async def one(job: Job) -> CallRecord:
        async with slots:
            return await make(client, work, job)

    try:
        return await asyncio.gather(*(one(job) for job in work.jobs))
    finally:
        await client.aio.aclose()
        client.close()


async def make(client: genai.Client, work: Work, job: Job) -> CallRecord:
    with record_call(job) as record:
        answer = await _request_image(client, work, job)
        (image,) = [part.inline_data.data for part in answer.parts or [] if part.inline_data]
        record.size = await work.save_async(job, image or b"")
    return record


async def _request_image(
    client: genai.Client, work: Work, job: Job
) -> types.GenerateContentResponse:
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(image_size=work.size)
    )
    for tries in range(1, 100):
        try:
            return await client.aio.models.generate_content(
                model="gemini-3-pro-image", contents=job.prompt, config=config
            )
        except errors.APIError as exc:
            wait = work.retry_wait(exc.code, {}, tries)
            if wait is None:
                raise
        await asyncio.sleep(wait)
    raise AssertionError("retry_wait ends the loop")
