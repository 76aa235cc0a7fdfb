"""OpenAI's SDK as it comes, at a relay's images API; on request without its 1,000 connections."""

import base64

import openai

from bench.beside.peer_task import Made, Recorder, make_each


async def play(recorder: Recorder) -> None:
    task = recorder.task
    http = openai.DefaultAsyncHttpxClient() if not task.at_once else unlimited()
    async with openai.AsyncOpenAI(
        base_url=f"{task.root}/v1", api_key=task.key, http_client=http
    ) as client:

        async def make(prompt: str) -> Made:
            answer = await client.images.generate(
                model="nano-banana-pro",
                prompt=prompt,
                size="1024x1024",
                response_format="b64_json",
            )
            assert answer.data is not None
            tokens = answer.usage.total_tokens if answer.usage else 0
            return Made(image=base64.b64decode(answer.data[0].b64_json or ""), tokens=tokens)

        await make_each(recorder, make)


def unlimited() -> openai.DefaultAsyncHttpxClient:
    """Its own HTTP client without a limit of connections."""
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=None)
    return openai.DefaultAsyncHttpxClient(limits=limits)
