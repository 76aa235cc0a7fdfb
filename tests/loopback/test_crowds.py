"""Many at once: none is mixed up with another, none is cut short, and the loop gets round."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from nbp_async._base.errors import ReadTimeout
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image
from nbp_async._models.settings import Limits
from nbp_async._transports.base import Reply
from nbp_async._transports.stage_timer import StageTimer
from nbp_async.fake import FakeServer
from nbp_async.testing.transport import Canned, FakeTransport
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, profile
from tests.pictures import png

pytestmark = pytest.mark.slow

virtual = pytest.mark.looptime

PIECE = 256 * 1024
ALL = 30


@virtual
async def test_each_prompt_gets_its_own_image_whatever_the_order_in_which_they_end(
    tmp_path: Path,
) -> None:
    """The fake server draws its picture from the prompt, so that a mix-up would be seen."""
    prompts = [f"prompt {n}" for n in range(60)]
    async with FakeServer(latency="30-170", keys=[KEY], seed=5) as server:
        limits = Limits(max_in_flight=20)
        async with Client(profile(server, "openai_images"), KEY, limits=limits) as gen:
            batch = await gen.many(prompts, size="1K", out=tmp_path / "out")
            await assert_settled(gen, server, batch, out=tmp_path / "out")
            assert f"60 requests, {most_at_once(batch)} in flight at most" in repr(batch.timeline())
            ended = [(o.attempts[-1].timings.done, o.index) for o in batch]
            alone = [await gen.one(prompt, size="1K") for prompt in prompts]
            await assert_settled(gen, server, [*batch, *alone])
    assert sorted(ended) != sorted(ended, key=lambda end: end[1]), "they ended in their order"
    assert [o.prompt.text for o in batch] == prompts
    assert [o.index for o in batch] == list(range(60))
    for came, expected in zip(batch.images, alone, strict=True):
        assert came.read() == expected.read()
    assert len({image.read() for image in alone}) == 60


def most_at_once(batch: Sequence[Image | Failure]) -> int:
    """How many of the requests were out at the same time: 20, where the machine keeps up."""
    spans = [(o.attempts[0].timings.connecting or 0.0, o.attempts[0].timings.done) for o in batch]
    most = max(sum(begin <= at < end for begin, end in spans) for at, _ in spans)
    assert 10 < most <= 20
    return most


@virtual
async def test_an_image_of_500_s_is_waited_for_at_4k_and_given_up_at_2k() -> None:
    async with (
        FakeServer(latency=500.0, keys=[KEY]) as server,
        Client(profile(server, "openai_images"), KEY) as gen,
    ):
        began = now()
        large = await gen.many(["a red bicycle"], size="4K")
        assert now() - began == pytest.approx(500, abs=1)
        small = await gen.many(["a red bicycle"], size="2K")
        assert now() - began == pytest.approx(800, abs=1)
        await assert_settled(gen, server, [*large, *small])
    assert isinstance(large[0], Image)
    assert type(small.failures[0].error) is ReadTimeout
    assert small.failures[0].billing == "maybe"


@virtual
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_hundreds_of_random_cancellations_lose_no_slot_and_no_dollar(how: str) -> None:
    """And the next prompt is served as if nothing had been."""
    luck = random.Random(11)
    async with FakeServer(latency=(5.0, 20.0), keys=[KEY]) as server:
        limits = Limits(max_in_flight=10)
        async with Client(profile(server, "openai_images"), KEY, limits=limits) as gen:
            plans = [gen.many([f"prompt {n}"], size="1K") for n in range(400)]

            async def make(number: int) -> None:
                with anyio.move_on_after(luck.uniform(0, 60) if how == "scope" else 1000):
                    await plans[number]

            tasks = [asyncio.create_task(make(number)) for number in range(400)]
            if how == "task":
                for task in luck.sample(tasks, 400):
                    await asyncio.sleep(luck.uniform(0, 0.3))
                    task.cancel()
            await asyncio.wait(tasks)
            assert gen.in_flight == 0
            after = await gen.many([f"after {n}" for n in range(20)], size="1K")
            came = [outcome for plan in plans for outcome in plan.partial]
            await assert_settled(gen, server, [*came, *after])
    assert len(after.images) == 20
    kinds = Counter(outcome.billing for outcome in came)
    assert kinds["yes"] > 10
    assert kinds["maybe"] > 10
    assert len(came) < 400, "some had not been sent when they were cancelled"


class Burst:
    """A transport whose answers of 8 MB are all there at the same moment.

    Attributes:
        taken: Bytes that were worked on in each turn of the loop, from that moment on.
    """

    def __init__(self) -> None:
        image = base64.b64encode(png(2048, 2048, padding=8_000_000))
        text = b'{"data":[{"b64_json":"' + image + b'"}]}'
        self.pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        self.head = ReplyHead(200, {"content-length": str(len(text))})
        self.taken: Counter[int] = Counter()
        self._turn = 0
        self._out = 0
        self._all_out = asyncio.Event()
        self._counting: asyncio.Task[None] | None = None

    def send(self, _: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        return self._play(timer)

    @asynccontextmanager
    async def _play(self, timer: StageTimer) -> AsyncIterator[Reply]:
        timer.mark_sent()
        self._out += 1
        if self._out == ALL:
            self._counting = asyncio.create_task(self._count())
            self._all_out.set()
        await self._all_out.wait()
        timer.mark_first_byte()
        yield _Pieces(self)

    def took(self, size: int) -> None:
        self.taken[self._turn] += size

    async def aclose(self) -> None:
        if self._counting is not None:
            self._counting.cancel()

    async def _count(self) -> None:
        while True:
            self._turn += 1
            await asyncio.sleep(0)


class _Pieces:
    def __init__(self, burst: Burst) -> None:
        self._burst = burst
        self._rest = iter(burst.pieces)
        self._worked_on = 0
        self.head = burst.head
        self.sent = b""

    async def read(self) -> bytes:
        """The next piece; the one before it was worked on by now."""
        self._burst.took(self._worked_on)
        piece = next(self._rest, b"")
        self._worked_on = len(piece)
        self.sent = piece
        return piece

    async def read_sent(self) -> bytes:
        return b""


@pytest.mark.parametrize("where", ["memory", "files"])
async def test_thirty_answers_of_8_mb_at_once_never_keep_the_loop_for_long(
    where: str, tmp_path: Path
) -> None:
    """Between two turns of the loop a few pieces are decoded, which takes some milliseconds."""
    burst = Burst()
    out = tmp_path / "out" if where == "files" else None
    url = "https://relay.example/v1"
    limits = Limits(max_in_flight=ALL)
    async with Client(url, KEY, transport=burst, limits=limits) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(ALL)], out=out)
    assert len(batch.images) == ALL
    assert sum(burst.taken.values()) == ALL * sum(map(len, burst.pieces))
    assert max(burst.taken.values()) <= 2 * 1024 * 1024


@virtual
async def test_five_thousand_calls_that_run_out_of_time_at_one_instant_all_say_so() -> None:
    transport = FakeTransport(default=Canned(hold=1e6))
    limits = Limits(max_in_flight=5000)
    url = "https://relay.example/v1"
    async with Client(url, KEY, transport=transport, limits=limits) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(5000)], size="1K")
        assert gen.in_flight == 0
    assert now() == pytest.approx(300, abs=1)
    assert len(batch.failures) == 5000
    assert {type(f.error) for f in batch.failures} == {ReadTimeout}
    assert len(batch.billing.unclear) == 5000
    assert transport.billed == 5000
