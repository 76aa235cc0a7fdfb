"""Long lists of prompts through the library's own code: virtual time, no sockets.

`python -m bench.lists 1000000` prints what `long_lists` found, from a process of its own.
"""

import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from bench.bodies import answer_with, png
from bench.meter import resident
from nbp_async import Client, Limits
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual


@dataclass(frozen=True)
class Lists:
    """Bytes and microseconds of real time."""

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
        place = 0
        async for _ in gen.stream(_prompts(count), size="1024x1024"):
            place += 1
            if place == count // 10:
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


def long_lists(count: int) -> Lists:
    began = time.perf_counter()
    growth = run_virtual(_stream(count))
    took = time.perf_counter() - began
    return Lists(growth, took / count * 1e6, count, run_virtual(_many(count)))


if __name__ == "__main__":
    print(json.dumps(asdict(long_lists(int(sys.argv[1])))))
