"""base64 against a link: what the answer weighs, how long it takes, what it costs the client."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.process import run_worker
from bench.worker import Task
from nbp_async import Client, Limits
from nbp_async.fake import FakeServer, spawn
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

HOLD = 120.0  # seconds
LINES = (1_000_000.0, 10_000_000.0)  # bytes a second
WAYS = {"base64": "b64_json", "url": "url"}
KEY = "sk-bench"


@dataclass(frozen=True)
class Format:
    """One 4K image in one form.

    Attributes:
        answer_bytes: Bytes of the answer to the paid call.
        image_bytes: Bytes of the image.
        answered: Seconds until that answer was whole, by bytes a second of the line.
        there: Seconds until the image was.
        memory: Bytes over idle, an image, with all in flight at once.
        cpu: CPU seconds of the client, an image.
    """

    answer_bytes: int
    image_bytes: int
    answered: dict[str, float]
    there: dict[str, float]
    memory: float
    cpu: float


async def measure_formats(*, quick: bool) -> dict[str, Format]:
    """Play one image in virtual time, and measure the client in real time."""
    count = 20 if quick else 200
    found = {}
    for name, form in WAYS.items():
        answered, there = {}, {}
        for line in LINES:
            size, image, answered[f"{line:g}"], there[f"{line:g}"] = await asyncio.to_thread(
                run_virtual, _one(form, line)
            )
        async with await spawn(latency=1.0, weight="real", keys=KEY) as server:
            task = Task(
                "nbp", server.openai_url, count, count, disk=True, size="4K", form=form, key=KEY
            )
            reading = await run_worker(task, limit=300)
        found[name] = Format(
            size, image, answered, there, reading.peak_over_idle / count, reading.cpu / count
        )
    return found


async def _one(form: str, line: float) -> tuple[int, int, float, float]:
    """Bytes of the answer and of the image; when the one was whole, and the other there."""
    options = {"latency": HOLD, "weight": "real", "bandwidth": line, "seed": 7}
    async with Client.fake(server=options, limits=Limits(max_in_flight=1)) as gen:
        assert isinstance(gen.server, FakeServer)
        sink = NowhereSink()
        prompt = {"text": "a picture", "extra": {"response_format": form}}
        batch = await gen.many([prompt], size="4K", out=sink)
        (attempt,) = batch.images[0].attempts
        await asyncio.sleep(1)  # until the answer is over for the server too
        sent = gen.server.stats().bytes_out
        answer = sent - sink.bytes if form == "url" else sent
        return answer, sink.bytes, attempt.timings.service, batch.elapsed


def formats_table(found: Mapping[str, Format]) -> Iterator[str]:
    """Both forms side by side, and the article's figures."""
    text, link = found["base64"], found["url"]

    def line(what: str, one: str, other: str, article: str = "") -> str:
        return f"  {what:26} {one:>14} {other:>14}   {article}".rstrip()

    yield "\nOne image of 4K: base64 in the answer, or a link to it"
    yield line("", "base64", "url", "the article")
    sizes = f"{text.answer_bytes:,}", f"{link.answer_bytes:,}"
    yield line("bytes of the answer", *sizes, "8,388,608 and 234")
    saved = 1 - link.answer_bytes / text.answer_bytes
    yield line("a link leaves out", "", f"{saved:.3%}", "99.998 %")
    for speed in text.answered:
        name = f"{float(speed) / 1e6:g} MB/s"
        times = f"{text.answered[speed]:,.1f} s", f"{link.answered[speed]:,.1f} s"
        yield line(f"answered, {name}", *times, "125 + 5-10 s and 125 + < 1 s")
        times = f"{text.there[speed]:,.1f} s", f"{link.there[speed]:,.1f} s"
        yield line(f"image there, {name}", *times)
    memory = f"{text.memory / 1024:,.0f} KiB", f"{link.memory / 1024:,.0f} KiB"
    yield line("memory, all in flight", *memory)
    yield line("CPU of the client", f"{text.cpu * 1e3:,.1f} ms", f"{link.cpu * 1e3:,.1f} ms")
    more = text.answer_bytes / text.image_bytes - 1
    yield f"  base64 adds {more:.0%} to what the line carries. The slot is free when the answer is"
    yield "  whole: with a link that is before the image comes, which is fetched without one."
