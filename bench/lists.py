"""Long lists of prompts through the library's own code: virtual time, no sockets."""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.bodies import answer_with, png
from bench.meter import resident
from nbp_async import Client, Limits
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual


@dataclass(frozen=True)
class Lists:
    """What long lists cost.

    Attributes:
        stream_growth: Bytes that memory grew from the first tenth of a stream to its end.
        stream_us: Microseconds of real time for each of its outcomes.
        many_count: Prompts of a list.
        many_bytes: Bytes that each of its outcomes keeps, without its image.
    """

    stream_growth: int
    stream_us: float
    many_count: int
    many_bytes: float


def _client() -> Client:
    transport = FakeTransport(default=Canned(answer_with(png(0)), hold=100.0))
    transport.keep_requests = False
    limits = Limits(max_in_flight=500, max_memory=1 << 40)
    return Client("openai", "sk-bench", model="bench", limits=limits, transport=transport)


def _prompts(count: int) -> Iterator[str]:
    return (f"prompt {number}" for number in range(count))


async def _stream(count: int) -> int:
    """How much memory grew from the first tenth to the end."""
    early = 0
    async with _client() as gen:
        count_done = 0
        async for _ in gen.stream(_prompts(count), size="1024x1024"):
            count_done += 1
            if count_done == count // 10:
                gc.collect()
                early = resident()
        gc.collect()
        return resident() - early


async def _many(count: int) -> float:
    """Bytes that an outcome keeps, its image's own bytes not counted."""
    async with _client() as gen:
        await gen.many(_prompts(1000), size="1024x1024")
        gc.collect()
        before = resident()
        batch = await gen.many(_prompts(count), size="1024x1024")
        gc.collect()
        images = sum(image.stored.size for image in batch.images)
        return (resident() - before - images) / len(batch)


def measure_lists(count: int) -> Lists:
    """A stream of `count` prompts, and a list of as many."""
    began = time.perf_counter()
    growth = run_virtual(_stream(count), sockets=False)
    seconds = time.perf_counter() - began
    return Lists(growth, seconds / count * 1e6, count, run_virtual(_many(count), sockets=False))
