"""Google's SDK as it comes, at the Gemini API; on request without its 100 connections."""

import httpx2
from google import genai
from google.genai import types

from bench.beside.peer_task import Made, Recorder, make_each


async def play(recorder: Recorder) -> None:
    task = recorder.task
    limits = {"limits": httpx2.Limits(max_connections=None)} if task.at_once else None
    options = types.HttpOptions(base_url=task.root, async_client_args=limits)
    client = genai.Client(api_key=task.key, http_options=options)
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(image_size="1K")
    )

    async def make(prompt: str) -> Made:
        answer = await client.aio.models.generate_content(
            model="gemini-3-pro-image", contents=prompt, config=config
        )
        images = [part.inline_data.data for part in answer.parts or [] if part.inline_data]
        usage = answer.usage_metadata
        tokens = usage.total_token_count or 0 if usage else 0
        return Made(image=images[0] or b"", tokens=tokens)

    try:
        await make_each(recorder, make)
    finally:
        await client.aio.aclose()
        client.close()
