"""The two vendors' own SDKs make images here, and raise their own errors."""

import asyncio
import base64
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

from nbp_async.fake import faults as f
from tests.loopback.fake.api_client import vendor

# google-genai subclasses aiohttp's session, which aiohttp does not like to see.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def openai_client(url: str, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)


def google_client(url: str, key: str) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


async def test_openai_makes_images() -> None:
    async with (
        vendor() as call,
        openai_client(call.server.openai_url, call.server.key) as client,
    ):
        answer = await client.images.generate(model="gpt-image-2", prompt="a cat")
        assert answer.data is not None
        assert size_of(base64.b64decode(answer.data[0].b64_json or "")) == (1024, 1024)
        assert answer.usage is not None
        assert answer.usage.output_tokens == 1756
        link = await client.images.generate(
            model="nano-banana-pro", prompt="a dog", size="1376x768", response_format="url"
        )
        assert link.data is not None
        assert size_of((await call.get(link.data[0].url or "")).body) == (1376, 768)


async def test_openai_edits_images() -> None:
    async with vendor() as call:
        image = (await call.images("a cat")).image
        async with openai_client(call.server.openai_url, call.server.key) as client:
            answer = await client.images.edit(
                model="gpt-image-2",
                prompt="a cat with a hat",
                n=2,
                image=[("a.png", image, "image/png"), ("b.png", image, "image/png")],
            )
            assert answer.data is not None
            assert len(answer.data) == 2


async def test_openai_lists_models() -> None:
    async with (
        vendor() as call,
        openai_client(call.server.openai_url, call.server.key) as client,
    ):
        assert "gpt-image-2" in [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (f.rate_limited(7), openai.RateLimitError),
        (f.overloaded(), openai.InternalServerError),
        (f.blocked(), openai.BadRequestError),
        (f.status(403), openai.PermissionDeniedError),
        (f.disconnect(), openai.APIConnectionError),
    ],
)
async def test_openai_raises_its_own_errors(fault: f.Fault, error: type[Exception]) -> None:
    async with vendor() as call:
        call.server.script(fault)
        async with openai_client(call.server.openai_url, call.server.key) as client:
            with pytest.raises(error) as caught:
                await client.images.generate(model="gpt-image-2", prompt="a cat")
    if isinstance(caught.value, openai.RateLimitError):
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.request_id


async def test_openai_reports_a_wrong_key_and_a_wrong_model() -> None:
    async with vendor() as call:
        async with openai_client(call.server.openai_url, "sk-wrong") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.images.generate(model="gpt-image-2", prompt="a cat")
        async with openai_client(call.server.openai_url, call.server.key) as client:
            with pytest.raises(openai.NotFoundError):
                await client.images.generate(model="dall-e-9", prompt="a cat")


async def generate(client: genai.Client, **image: Any) -> types.GenerateContentResponse:
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"], image_config=types.ImageConfig(**image)
    )
    try:
        return await client.aio.models.generate_content(
            model="gemini-3-pro-image", contents="a cat", config=config
        )
    finally:
        await client.aio.aclose()
        client.close()


async def test_google_makes_images() -> None:
    async with vendor() as call:
        client = google_client(call.server.base_url, call.server.key)
        answer = await generate(client, aspect_ratio="16:9", image_size="2K")
    assert answer.parts is not None
    (data,) = [part.inline_data.data for part in answer.parts if part.inline_data]
    assert size_of(data or b"") == (2752, 1536)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 2
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP


async def test_google_reads_a_block() -> None:
    async with vendor() as call:
        call.server.script(f.blocked("PROHIBITED_CONTENT"), f.no_image("IMAGE_SAFETY"))
        blocked = await generate(google_client(call.server.base_url, call.server.key))
        unsafe = await generate(google_client(call.server.base_url, call.server.key))
    assert blocked.prompt_feedback is not None
    assert blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    assert unsafe.candidates is not None
    assert unsafe.candidates[0].finish_reason == types.FinishReason.IMAGE_SAFETY


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        (f.rate_limited(7), errors.ClientError, "RESOURCE_EXHAUSTED"),
        (f.status(401), errors.ClientError, "UNAUTHENTICATED"),
        (f.overloaded(), errors.ServerError, "UNAVAILABLE"),
        (f.status(504, billed=True), errors.ServerError, "DEADLINE_EXCEEDED"),
    ],
)
async def test_google_raises_its_own_errors(
    fault: f.Fault, error: type[errors.APIError], status: str
) -> None:
    async with vendor() as call:
        call.server.script(fault)
        with pytest.raises(error) as caught:
            await generate(google_client(call.server.base_url, call.server.key))
    assert caught.value.status == status


async def test_google_reports_a_wrong_key() -> None:
    async with vendor() as call:
        with pytest.raises(errors.ClientError, match="API key not valid"):
            await generate(google_client(call.server.base_url, "wrong"))


async def test_google_makes_images_in_the_background() -> None:
    async with vendor(latency=0.3, interactions=True) as call:
        client = google_client(call.server.base_url, call.server.key).aio
        made = await client.interactions.create(
            model="gemini-3-pro-image",
            input="a cat",
            background=True,
            store=True,
            response_format={"type": "image", "aspect_ratio": "16:9", "image_size": "1K"},
        )
        assert made.status in ("queued", "in_progress")
        name = made.id or ""
        await call.server.drain()
        done = await client.interactions.get(name)
        assert done.status == "completed"
        image: Any = done.model_dump()["steps"][0]["content"][0]
        assert size_of(base64.b64decode(image["data"])) == (1376, 768)
        late = await client.interactions.cancel(name)
        assert late.status == "completed"
        await client.interactions.delete(name)
        await client.aclose()
        assert [entry.delivered for entry in call.server.bank.ledger] == [True]


async def test_google_makes_batches_of_files_and_inline(tmp_path: Path) -> None:
    lines = [
        {"key": f"k{n}", "request": {"contents": [{"parts": [{"text": f"p{n}"}]}]}}
        for n in range(4)
    ]
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with vendor(batch_latency=0.2) as call:
        client = google_client(call.server.base_url, call.server.key).aio
        config = types.UploadFileConfig(display_name="requests", mime_type="jsonl")
        file = await client.files.upload(file=path, config=config)
        assert file.name is not None
        job = await client.batches.create(
            model="gemini-3-pro-image",
            src=file.name,
            config=types.CreateBatchJobConfig(display_name="from a file"),
        )
        job = await over(client, job)
        assert job.state == types.JobState.JOB_STATE_SUCCEEDED
        assert job.dest is not None
        text = await client.files.download(file=job.dest.file_name or "")
        assert {json.loads(line)["key"] for line in text.splitlines()} == {"k0", "k1", "k2", "k3"}
        asked = [types.InlinedRequest(contents="a cat"), types.InlinedRequest(contents="a dog")]
        inline = await over(
            client, await client.batches.create(model="gemini-3-pro-image", src=asked)
        )
        assert inline.dest is not None
        assert len(inline.dest.inlined_responses or []) == 2
        names = [one.display_name async for one in await client.batches.list()]
        assert "from a file" in names
        await client.batches.cancel(name=inline.name or "")
        await client.batches.delete(name=inline.name or "")
        await client.files.delete(name=file.name)
        assert call.server.bank.images == 6
        assert call.server.bank.billed < Decimal("0.134") * 6 * Decimal("0.55")
        await client.aclose()


async def over(client: Any, job: types.BatchJob) -> types.BatchJob:
    while not job.done:
        await asyncio.sleep(0.02)
        job = await client.batches.get(name=job.name)
    return job
