"""Streams of events that were asked for: the completed image counts, its drafts do not."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import recover_run
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image, Prompt
from nbp_async._vendors.profiles import Profile
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY
from tests.pictures import png

pytestmark = pytest.mark.looptime

STREAM = {"stream": True, "partial_images": 2}


async def ask(
    out: Path,
    *script: Fault,
    model: str = "nano-banana-pro",
    references: list[bytes] | None = None,
) -> tuple[Any, FakeServer]:
    """One prompt whose answer is a stream with two drafts; then the bank is compared."""
    async with FakeServer(latency=60.0, keys=[KEY], kind="png") as server:
        server.script(*script)
        vendor = Profile(
            name="vendor", base_url=server.openai_url, model=model, response_format=None
        )
        async with Client(vendor, KEY) as gen:
            prompt = Prompt("a red bicycle", extra=STREAM, references=references or ())
            batch = await gen.many([prompt], size="1024x1024", out=out)
            await assert_settled(gen, server, batch, out=out)
    return batch[0], server


@pytest.mark.parametrize("references", [None, [png(64, 64)]], ids=["made", "edited"])
async def test_the_completed_image_is_the_outcome_and_drafts_are_not(
    references: list[bytes] | None, tmp_path: Path
) -> None:
    image, server = await ask(tmp_path, model="gpt-image-2", references=references)
    assert isinstance(image, Image), image
    assert (image.width, image.height, image.extras) == (1024, 1024, ())
    assert image.notes == ()
    assert image.spent == server.bank.billed > Decimal("0.05")
    assert len(list(tmp_path.glob("*.png"))) == 1


async def test_every_completed_image_is_kept(tmp_path: Path) -> None:
    image, server = await ask(tmp_path, faults.extra_images(1))
    assert isinstance(image, Image)
    assert len(image.extras) == 1
    assert image.spent == server.bank.billed


async def test_one_that_ends_before_it_is_complete_may_be_billed_and_is_kept(
    tmp_path: Path,
) -> None:
    failed, server = await ask(tmp_path, faults.unfinished())
    assert isinstance(failed, Failure)
    assert failed.billing == "maybe"
    assert failed.spent < server.bank.billed <= failed.spent + failed.maybe_spent
    assert "before the image was complete" in str(failed.error)
    kept = Path(failed.unread)
    assert kept.read_bytes().count(b"partial_image_index") == 2
    (again,) = await recover_run(tmp_path)
    assert isinstance(again, Failure), "a draft is no image"
    assert kept.exists()


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("framing", ["close", "chunked", "length"])
async def test_one_that_is_cut_is_no_success_and_kept(
    at: float, framing: Any, tmp_path: Path
) -> None:
    failed, _ = await ask(tmp_path, faults.cut_body(at, framing))
    assert isinstance(failed, Failure)
    assert failed.billing != "no"
    assert Path(failed.unread).is_file()


async def test_a_slow_one_without_its_last_chunk_is_whole(tmp_path: Path) -> None:
    image, server = await ask(tmp_path, faults.no_terminator())
    assert isinstance(image, Image)
    assert image.spent == server.bank.billed
