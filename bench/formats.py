"""base64 and links: the size of the answer, how long it takes, and what it costs the client."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Literal

from bench.clients import Calls, measure_calls
from bench.fresh_process import call_fresh
from bench.suite import Session
from bench.table import table_lines
from nbp_async import Client, Limits
from nbp_async.fake import FakeServer, spawn
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

HOLD = 120.0  # seconds
LINES = (1_000_000.0, 10_000_000.0)  # bytes a second
ResponseFormat = Literal["url", "b64_json"]
FORMS: dict[str, ResponseFormat] = {"base64": "b64_json", "url": "url"}
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
    for name, form in FORMS.items():
        answered, there = {}, {}
        for line in LINES:
            size, image, answered[f"{line:g}"], there[f"{line:g}"] = await asyncio.to_thread(
                run_virtual, _one(form, line)
            )
        async with await spawn(latency=1.0, weight="real", keys=KEY) as server:
            task = Calls(
                "nbp", server.openai_url, count, count, disk=True, size="4K", form=form, key=KEY
            )
            reading = await call_fresh(measure_calls, task, limit=300)
        found[name] = Format(
            size, image, answered, there, reading.peak_over_idle / count, reading.cpu / count
        )
    return found


async def _one(form: ResponseFormat, line: float) -> tuple[int, int, float, float]:
    """Bytes of the answer and of the image; when the one was whole, and the other there."""
    options = {"latency": HOLD, "weight": "real", "bandwidth": line, "seed": 7}
    async with Client.fake(server=options, limits=Limits(max_in_flight=1)) as gen:
        assert isinstance(gen.server, FakeServer)
        sink = NowhereSink()
        batch = await gen.many(["a picture"], size="4K", response_format=form, out=sink)
        batch.raise_for_failures()
        (attempt,) = batch.images[0].attempts
        await asyncio.sleep(1)  # until the answer is over for the server too
        sent = gen.server.stats().bytes_out
        answer = sent - sink.bytes if form == "url" else sent
        return answer, sink.bytes, attempt.timings.service, batch.elapsed


async def formats(session: Session) -> None:
    """one image of 4K: base64 in the answer, or a link to it"""
    found = await measure_formats(quick=session.quick)
    session.readings["formats"] = {name: asdict(one) for name, one in found.items()}
    text, link = found["base64"], found["url"]
    left = link.answer_bytes / text.answer_bytes
    sizes = f"{text.answer_bytes:,}", f"{link.answer_bytes:,}"
    rows: list[tuple[str, ...]] = [
        ("bytes of the answer", *sizes, "8,388,608 and 234"),
        ("a link leaves out", "", f"{1 - left:.3%}", "99.998 %"),
    ]
    for speed in text.answered:
        line = f"{float(speed) / 1e6:g} MB/s"
        answered = [f"{one.answered[speed]:,.1f} s" for one in (text, link)]
        there = [f"{one.there[speed]:,.1f} s" for one in (text, link)]
        rows += [
            (f"answered, {line}", *answered, "125 + 5-10 s and 125 + < 1 s"),
            (f"image there, {line}", *there, ""),
        ]
    memory = f"{text.memory / 1024:,.0f} KiB", f"{link.memory / 1024:,.0f} KiB"
    cpu = f"{text.cpu * 1e3:,.1f} ms", f"{link.cpu * 1e3:,.1f} ms"
    rows += [("memory, all in flight", *memory, ""), ("CPU of the client", *cpu, "")]
    more = text.answer_bytes / text.image_bytes - 1
    session.show(
        *table_lines(["", "base64", "url", "the article"], rows, text=("the article",)),
        f"  base64 adds {more:.0%} to the bytes on the line. The slot is free when the answer is",
        "  complete: with a link that is before the image comes, which is fetched without a slot.",
    )
    session.check("part of the answer's bytes that a link leaves", left, 0.0002, "")
