"""The bytes of batch jobs on their way: uploads that are cut off, jobs that need no file."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nbp_async._batch_api import gemini_batch
from nbp_async._batch_api import upload as batch_upload
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.outcomes import Prompt
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, profile
from tests.pictures import png

pytestmark = pytest.mark.looptime

PROMPTS = [f"bicycle {number}" for number in range(4)]


@asynccontextmanager
async def vendor(**options: Any) -> AsyncIterator[tuple[FakeServer, Client]]:
    server = FakeServer(**{"keys": [KEY], "batch_latency": 900.0, **options})
    async with server, Client(profile(server, "gemini"), KEY, rng=lambda: 0.5) as gen:
        yield server, gen


async def make(gen: Client, folder: Path, prompts: Any = PROMPTS, **more: Any) -> Any:
    journal = await inline_journal(folder / JOURNAL)
    return await gen.many(prompts, size="1K", via="batch", journal=journal, **more)


@pytest.mark.parametrize(
    ("script", "begun"),
    [
        ([faults.cut_upload(0.0)], 1),
        ([faults.ok(), faults.cut_upload(0.7)], 1),
        ([faults.cut_upload(1.0), faults.cut_upload(0.3), faults.cut_upload(0.9)], 1),
        ([faults.ok(), faults.disconnect()], 1),
        ([faults.reset(before=True)], 1),
        ([faults.status(503)], 1),
        ([faults.ok(), faults.ok(), faults.disconnect()], 2),
    ],
)
async def test_an_upload_that_was_cut_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: list[Fault], begun: int
) -> None:
    """Only where the last of it arrived, and its name did not, it begins anew."""
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)
    monkeypatch.setattr(batch_upload, "CHUNK", 250)
    async with vendor() as (server, gen):
        server.script(*script, match="piece of")
        server.script(*[faults.ok()] * 5, match="upload nbp-")
        made = await make(gen, tmp_path)
        assert len(made.images) == 4
        assert server.unplayed == 5 - begun
        await assert_settled(gen, server, made)


@pytest.mark.parametrize(
    ("count", "references", "file"), [(10, 1, False), (11, 1, True), (2, 12, True)]
)
async def test_few_lines_need_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, references: int, file: bool
) -> None:
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 12_000)
    picture = png(4, 4, padding=600)
    prompts = [Prompt(f"bicycle {n}", references=[picture] * references) for n in range(count)]
    async with vendor() as (server, gen):
        server.script(faults.ok(), match="upload nbp-")
        made = await make(gen, tmp_path, prompts)
        assert len(made.images) == count
        assert server.unplayed == (not file)
        await assert_settled(gen, server, made)


@pytest.mark.parametrize(
    ("stage", "script"),
    [
        ("create", [faults.disconnect()]),
        ("create", [faults.disconnect(before=True)]),
        ("create", [faults.status(500)]),
        ("create", [faults.rate_limited()]),
        ("create", [faults.mixed_results(twice=2)]),
        ("bicycle 1", [faults.rate_limited()]),
        ("look at", [faults.status(500)]),
        ("look at", [*[faults.ok()] * 6, faults.status(500)]),
        ("look at", [*[faults.ok()] * 6, faults.cut_body(0.3), faults.cut_body(0.9)]),
    ],
)
async def test_what_goes_wrong_with_a_job_without_a_file_costs_nothing(
    tmp_path: Path, stage: str, script: list[Fault]
) -> None:
    async with vendor(weight=20_000) as (server, gen):
        server.script(*script, match=stage)
        made = await make(gen, tmp_path)
        assert len(made.images) == 4
        assert server.bank.images == 4
        assert not server.unplayed
        await assert_settled(gen, server, made)


@pytest.mark.parametrize("inline", [True, False])
async def test_memory_does_not_follow_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    """Ten results of 8 MB each are one answer, or one file: never is as much as one held."""
    if not inline:
        monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)
    async with vendor(weight=6_000_000) as (server, gen):
        first = await make(gen, tmp_path, ["for the fake's own noise"], out=tmp_path)
        gc.collect()
        tracemalloc.start()
        made = await make(gen, tmp_path, [f"bicycle {n}" for n in range(10)], out=tmp_path)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(image.stored.size for image in made.images) > 60_000_000
        assert most < 6_000_000
        await assert_settled(gen, server, [*first, *made])


async def test_lines_are_in_memory_once_and_not_any_more_when_they_are_uploaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)
    monkeypatch.setattr(batch_upload, "CHUNK", 1_000_000)
    picture = png(4, 4, padding=240_000)
    prompts = [Prompt(f"bicycle {n}", references=[picture]) for n in range(20)]
    async with vendor() as (server, gen):
        server.script(faults.rate_limited(), match="create nbp-")
        gc.collect()
        tracemalloc.start()
        making = asyncio.ensure_future(make(gen, tmp_path, prompts))
        while server.unplayed:
            await asyncio.sleep(0)
        await asyncio.sleep(1)  # it is uploaded, and waits for room
        left, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert left < 1_000_000
        assert most < 20 * len(picture) * 4 / 3 + 5_000_000
        made = await making
        assert len(made.images) == 20
        await assert_settled(gen, server, made)


async def test_a_cancelled_call_resumes_a_job_without_a_file(tmp_path: Path) -> None:
    async with vendor() as (server, gen):
        task = asyncio.ensure_future(make(gen, tmp_path))
        await asyncio.sleep(400)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made = await make(gen, tmp_path)
        assert len(made.images) == 4
        assert server.bank.images == 4, "none of them was bought twice"
