"""Images in a chat, against the fake server: the bank decides what each answer cost."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image, Prompt
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, play, profile
from tests.pictures import png

pytestmark = pytest.mark.looptime

MARKDOWN = {"modalities": None}
"""Asks for no modalities: the image comes within the text."""


@pytest.mark.parametrize("extra", [None, MARKDOWN], ids=["beside the text", "Markdown"])
@pytest.mark.parametrize("link", [False, True], ids=["data", "link"])
async def test_it_is_asked_for_delivered_and_paid(extra: Any, link: bool, tmp_path: Path) -> None:
    async with FakeServer(
        latency=60.0, keys=[KEY], delivery="url" if link else "b64_json"
    ) as server:
        async with Client(profile(server, "openai_chat"), KEY) as gen:
            prompts = [
                Prompt("a red bicycle", aspect_ratio="16:9", extra=extra),
                Prompt("a boat", references=[png(64, 64)], aspect_ratio="1:1", extra=extra),
            ]
            batch = await gen.many(prompts, size="2K", out=tmp_path)
            await assert_settled(gen, server, batch, out=tmp_path)
        images = [image for image in batch if isinstance(image, Image)]
        assert [(one.width, one.height) for one in images] == [(2752, 1536), (2048, 2048)]
        assert [one.mismatch for one in images] == ["", ""]
        assert server.bank.billed == batch.billing.spent > Decimal("0.26")
        assert {request.path for request in server.received} == {"/v1/chat/completions"}


@pytest.mark.parametrize(
    ("fault", "error", "billing"),
    [
        (faults.no_image(text="I would rather paint a boat."), "NoImageError", "yes"),
        (faults.blocked(), "ContentBlockedError", "yes"),
        (faults.bad_json(), "TruncatedError", "yes"),
        (faults.bad_image("text"), "NotAnImageError", "yes"),
        (faults.bad_base64(), "MalformedReplyError", "yes"),
        (faults.html_page(), "MalformedReplyError", "maybe"),
        (faults.cut_body(), "TruncatedError", "yes"),
        (faults.disconnect(), "DisconnectedError", "maybe"),
        (faults.status(400), "InvalidRequestError", "no"),
    ],
)
async def test_what_it_cannot_deliver_is_told_as_the_bank_has_it(
    fault: Fault, error: str, billing: str, tmp_path: Path
) -> None:
    outcome, _ = await play(fault, dialect="openai_chat", out=tmp_path)
    assert isinstance(outcome, Failure)
    assert (type(outcome.error).__name__, outcome.billing) == (error, billing)


@pytest.mark.parametrize(
    "fault",
    [
        faults.bad_base64("nopad"),
        faults.bad_base64("data-uri"),
        faults.bad_base64("urlsafe"),
        faults.bad_base64("newlines"),
        faults.bad_json("utf8"),
        faults.gzipped(),
        faults.no_terminator(),
        faults.slow_body(100_000),
    ],
)
async def test_what_can_be_read_is_delivered(fault: Fault, tmp_path: Path) -> None:
    outcome, server = await play(fault, dialect="openai_chat", out=tmp_path)
    assert isinstance(outcome, Image), outcome
    assert outcome.spent == server.bank.billed


async def test_images_beyond_the_one_are_its_extras_and_paid(tmp_path: Path) -> None:
    outcome, server = await play(faults.extra_images(2), dialect="openai_chat", out=tmp_path)
    assert isinstance(outcome, Image)
    assert len(outcome.extras) == 2
    assert outcome.spent == server.bank.billed > Decimal("0.4")


async def test_a_client_with_a_fake_server_speaks_it() -> None:
    async with Client.fake(dialect="openai_chat", server={"latency": 30.0}) as gen:
        image = await gen.one("a red bicycle")
        assert gen.server is not None
        assert image.spent == gen.server.bank.billed


async def test_the_makers_prefix_of_a_model_changes_neither_size_nor_price() -> None:
    async with FakeServer(latency=30.0, keys=[KEY]) as server:
        vendor = replace(profile(server, "openai_chat"), model="google/gemini-3-pro-image")
        async with Client(vendor, KEY) as gen:
            image = await gen.one("a red bicycle", size="4K")
        assert (image.width, image.spent) == (4096, server.bank.billed)
