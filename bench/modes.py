"""`python -m bench modes`: the ways of calling side by side, at true latency in virtual time.

Server and client share one loop whose clock jumps, so that 20 minutes take seconds and every figure
is exact and repeatable. The figures of the article that this project grew out of stand beside.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from bench.core import Check
from bench.formats import formats_table, measure_formats
from bench.handshakes import handshakes_table, measure_handshakes
from bench.readings import save_readings
from nbp_async import Batch, Client, Limits, Profile, Timings, Webhook
from nbp_async.fake import FakeServer
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

HOLD = 120.0  # seconds that the article's 4K image takes
SUBMIT, LOOK = (1.0, 3.0), (1.0, 2.0)  # seconds, as the article has them
BATCH = 3 * 3600.0  # seconds of a batch job; Google says within a day
BANDWIDTH = 1_000_000.0  # bytes a second and connection: 6 MB in the article's 5 to 10 s


@dataclass(frozen=True)
class Mode:
    """One way of calling.

    Attributes:
        name: As the table has it.
        via: As `many` has it.
        at_once: Held calls at once; None for as many as there are images.
        blocks: Its program's threads wait in calls, and do nothing else: sequential code and
            threads, whose time is played here with as many calls at once.
    """

    name: str
    via: Literal["held", "poll", "webhook", "batch"] = "held"
    at_once: int | None = None
    blocks: bool = False


MODES = (
    Mode("one after another", at_once=1, blocks=True),
    Mode("5 threads", at_once=5, blocks=True),
    Mode("held, asyncio"),
    Mode("poll, one by one", via="poll", at_once=1),
    Mode("poll", via="poll"),
    Mode("webhook", via="webhook"),
    Mode("batch API", via="batch"),
)


HALF_PRICE = {"batch API"}


@dataclass(frozen=True)
class Row:
    """What one way came to. Times in seconds of virtual time.

    Attributes:
        mode: Its name.
        images: How many were made.
        submitting: Until the last image had been asked for and the program could go on; for a
            program that blocks, all of the time.
        total: Until the last image was on disk.
        peak_connections: The most connections that carried a request at once.
        connection_seconds: How long connections carried a request, all together.
        megabytes: Bytes of all answers, in millions.
        dollars: As the bank has them.
        turns: Turns of a second that other work of the same thread got in.
    """

    mode: str
    images: int
    submitting: float
    total: float
    peak_connections: int
    connection_seconds: float
    megabytes: float
    dollars: float
    turns: int


def play(mode: Mode, images: int) -> Row:
    """Make so many 4K images in this way, in virtual time."""
    return run_virtual(_play(mode, images))


async def _play(mode: Mode, images: int) -> Row:
    async with FakeServer(
        latency=HOLD, weight="real", bandwidth=BANDWIDTH, submit_latency=SUBMIT,
        look_latency=LOOK, delivery="url", batch_latency=BATCH, seed=7,
    ) as server:  # fmt: skip
        profile = google_profile(server) if mode.via == "batch" else article_profile(server)
        limits = Limits(max_in_flight=mode.at_once or images, max_downloads=images)
        hook = Webhook(secret=server.webhook_secret)  # in memory: a disk has no virtual time
        client = Client(profile, server.key, limits=limits, rng=lambda: 0.5, webhook=hook)
        with TemporaryDirectory() as folder:
            async with client as gen:
                loop, work = asyncio.get_running_loop(), OtherWork()
                began = loop.time()
                batch = await _make(gen, mode, images, Path(folder))
                total = loop.time() - began
                turns = work.stop()
        await asyncio.sleep(1)  # until the last answer is over for the server too
        stats = server.stats()
        return Row(
            mode=mode.name,
            images=len(batch.images),
            submitting=total if mode.blocks else _asked_for(batch) - began,
            total=total,
            peak_connections=stats.peak_carrying,
            connection_seconds=stats.connection_seconds,
            megabytes=stats.bytes_out / 1e6,
            dollars=float(server.bank.billed),
            turns=0 if mode.blocks else turns,
        )


async def _make(gen: Client, mode: Mode, images: int, folder: Path) -> Batch:
    prompts = [f"picture {number}" for number in range(images)]
    if mode.via != "batch":
        return await gen.many(prompts, size="4K", via=mode.via, out=NowhereSink())
    journal = await inline_journal(folder / "run.sqlite3")  # a batch is a run: it takes hours
    return await gen.many(prompts, size="4K", via="batch", out=NowhereSink(), journal=journal)


def google_profile(server: FakeServer) -> Profile:
    """Google, whose batch API costs half."""
    from nbp_async import PROFILES

    return replace(PROFILES["google"], base_url=server.gemini_url)


def article_profile(server: FakeServer) -> Profile:
    """The article's relay: links, and its task mode."""
    from nbp_async import PROFILES

    return replace(PROFILES["apiyi"], base_url=server.openai_url, response_format="url")


def _asked_for(batch: Batch) -> float:
    """When the last request was out; of a task, when its submit was answered."""
    times = [attempt.timings for outcome in batch for attempt in outcome.attempts]
    return max(_out(t) for t in times)


def _out(timings: Timings) -> float:
    """When one request was out; a task's time goes on long after the first byte."""
    sent, first_byte = timings.sent, timings.first_byte
    if sent is None or first_byte is None:
        return timings.queued  # a line of a batch: it had no request of its own
    return first_byte if timings.done - first_byte > 1 else sent


class OtherWork:
    """Something else that the same thread does: a turn every second."""

    def __init__(self) -> None:
        self._turns = 0
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._turns += 1

    def stop(self) -> int:
        """How many turns it had."""
        self._task.cancel()
        return self._turns


class Modes:
    """The three tables, what they found, and the checks on it."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.checks: list[Check] = []
        self.readings: dict[str, Any] = {}

    async def run(self) -> None:
        for images in (10,) if self.quick else (10, 200):
            await self.modes(images)
        await self.formats()
        await self.handshakes()

    async def modes(self, images: int) -> None:
        print(f"\n{images} images of 4K, each {HOLD:.0f} s in the making, in virtual time")
        # A simulation has a loop of its own, and so needs a thread of its own.
        rows = {mode.name: await asyncio.to_thread(play, mode, images) for mode in MODES}
        self.readings[f"modes, {images}"] = [asdict(row) for row in rows.values()]
        for line in (*_table(rows.values()), *(_beside(rows) if images == 10 else ())):
            print(line)
        self._check("images lost", sum(images - row.images for row in rows.values()), 0)
        full = {row.dollars for row in rows.values() if row.mode not in HALF_PRICE}
        self._check("dollars by which the ways differ", max(full) - min(full), 0, "$")

    async def formats(self) -> None:
        found = await measure_formats(quick=self.quick)
        self.readings["formats"] = {name: asdict(one) for name, one in found.items()}
        for line in formats_table(found):
            print(line)
        left = found["url"].answer_bytes / found["base64"].answer_bytes
        self._check("part of the answer's bytes that a link leaves", left, 0.0002, "")

    async def handshakes(self) -> None:
        found = await measure_handshakes(quick=self.quick)
        self.readings["handshakes"] = asdict(found)
        for line in handshakes_table(found):
            print(line)

    def save(self, path: Path) -> None:
        save_readings(path, self.checks, self.readings)

    def _check(self, name: str, value: float, bound: float, unit: str = "") -> None:
        check = Check(name, value, bound, unit)
        self.checks.append(check)
        print(check, flush=True)


def _table(rows: Iterable[Row]) -> Iterator[str]:
    yield (
        "  way                   asking s    total s   connections   connection-s       MB"
        "        $   other work"
    )
    for row in rows:
        turns = row.turns / int(row.total)
        free = "none: it waits" if row.turns == 0 else f"{turns:.0%} of its turns"
        yield (
            f"  {row.mode:20} {row.submitting:9,.1f} {row.total:10,.1f} {row.peak_connections:13,} "
            f"{row.connection_seconds:14,.0f} {row.megabytes:8,.1f} {row.dollars:8.2f}   {free}"
        )


def _beside(rows: Mapping[str, Row]) -> Iterator[str]:
    """The article's figures for ten images, and ours, with the reason where they differ."""
    one, threads = rows["one after another"], rows["5 threads"]
    held, slow, poll = rows["held, asyncio"], rows["poll, one by one"], rows["poll"]

    def line(article: str, here: str, why: str) -> str:
        return f"  {article:24} {here:>6}   {why}"

    yield "\n" + line("The article says", "here", "why")
    yield line(
        "60x faster to ask for", f"{one.submitting / slow.submitting:.0f}x",
        f"{one.submitting:,.0f} s blocked; {slow.submitting:.0f} s for ten submits, one by one",
    )  # fmt: skip
    yield line("", "none", f"an awaited call does not block: {held.submitting:.1f} s for ten")
    yield line(
        "2x faster in total", f"{threads.total / poll.total:.1f}x",
        f"{threads.total:.0f} s in two waves of five; {poll.total:.0f} s with looks and fetch",
    )  # fmt: skip
    yield line(
        "", f"{held.total / poll.total:.2f}x",
        f"{held.total:.0f} s held, without lines of five: it was not the tasks that saved it",
    )  # fmt: skip
    yield line(
        "80 % fewer connections", f"{1 - slow.peak_connections / threads.peak_connections:.0%}",
        f"at once: {threads.peak_connections} long; {slow.peak_connections} short, as looks and "
        "fetches of several meet",
    )  # fmt: skip
    yield line(
        "", f"{1 - poll.connection_seconds / held.connection_seconds:.0%}",
        f"in all: {held.connection_seconds:,.0f} s held; {poll.connection_seconds:,.0f} s. This is "
        "what tasks save",
    )  # fmt: skip
