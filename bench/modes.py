"""`python -m bench modes`: the delivery modes side by side, at true latency in virtual time.

Server and client share one loop whose clock jumps, so that 20 minutes take seconds and every figure
is exact and repeatable. The figures of the article that this project grew out of stand beside.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from bench.formats import formats
from bench.handshakes import handshakes
from bench.suite import Measurement, Session, Suite
from bench.table import table_lines
from nbp_async import PROFILES, Batch, Client, Limits, Profile, Timings, Webhook
from nbp_async.fake import FakeServer
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.sink import NowhereSink
from nbp_async.testing.virtual_time import run_virtual

HOLD = 120.0  # seconds that the article's 4K image takes
SUBMIT, POLL = (1.0, 3.0), (1.0, 2.0)  # seconds, as in the article
BATCH = 3 * 3600.0  # seconds of a batch job; Google says within a day
BANDWIDTH = 1_000_000.0  # bytes a second and connection: 6 MB in the article's 5 to 10 s


@dataclass(frozen=True)
class Mode:
    """One delivery mode, at a number of calls at once.

    Attributes:
        name: In the table.
        via: As for `many`.
        at_once: Held calls at once; None for as many as there are images.
        blocks: Its threads wait in calls and do nothing else: sequential code and threads, whose
            time is simulated here with as many calls at once.
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
class ModeRow:
    """What one mode took. Times in seconds of virtual time.

    Attributes:
        mode: Its name.
        images: How many were made.
        submitting: Until the last image had been asked for and the program could go on; for a
            program that blocks, the whole time.
        total: Until the last image was on disk.
        peak_connections: The most connections that carried a request at once.
        connection_seconds: How long connections carried a request, all together.
        megabytes: Bytes of all answers, in millions.
        dollars: By the bank.
        turns: How often other work of the same thread got its turn, which it wants each second.
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


def play(mode: Mode, images: int) -> ModeRow:
    """Make so many 4K images in this mode, in virtual time."""
    return run_virtual(_play(mode, images))


async def _play(mode: Mode, images: int) -> ModeRow:
    async with FakeServer(
        latency=HOLD,
        weight="real",
        bandwidth=BANDWIDTH,
        submit_latency=SUBMIT,
        look_latency=POLL,
        delivery="url",
        batch_latency=BATCH,
        seed=7,
    ) as server:
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
        return ModeRow(
            mode=mode.name,
            images=len(batch.images),
            submitting=total if mode.blocks else _submitted_at(batch) - began,
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
    return replace(PROFILES["google"], base_url=server.gemini_url)


def article_profile(server: FakeServer) -> Profile:
    """The article's relay: links, and its task mode."""
    return replace(PROFILES["apiyi"], base_url=server.openai_url)


def _submitted_at(batch: Batch) -> float:
    """When the last request was out; of a task, when its submit was answered."""
    times = [attempt.timings for outcome in batch for attempt in outcome.attempts]
    return max(_sent_at(t) for t in times)


def _sent_at(timings: Timings) -> float:
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


def compare_modes(images: int) -> Measurement:
    """Measures all modes with so many images."""

    async def measure(session: Session) -> None:
        # A simulation has a loop of its own, and so needs a thread of its own.
        rows = {mode.name: await asyncio.to_thread(play, mode, images) for mode in MODES}
        session.readings[f"modes, {images}"] = [asdict(row) for row in rows.values()]
        session.show(*_table(rows.values()), *(_article_table(rows) if images == 10 else ()))
        session.check("images lost", sum(images - row.images for row in rows.values()), 0, "")
        full = {row.dollars for row in rows.values() if row.mode not in HALF_PRICE}
        session.check("dollars by which the modes differ", max(full) - min(full), 0, "$")

    measure.__doc__ = f"{images} images of 4K, {HOLD:.0f} s each, in virtual time"
    return measure


def _table(rows: Iterable[ModeRow]) -> Iterator[str]:
    columns = ["mode", "asking s", "total s", "connections", "connection-s", "MB", "$"]
    cells = [
        [
            row.mode,
            f"{row.submitting:,.1f}",
            f"{row.total:,.1f}",
            f"{row.peak_connections:,}",
            f"{row.connection_seconds:,.0f}",
            f"{row.megabytes:,.1f}",
            f"{row.dollars:.2f}",
            "none: it waits" if not row.turns else f"{row.turns / int(row.total):.0%} of its turns",
        ]
        for row in rows
    ]
    return table_lines([*columns, "other work"], cells, text=("other work",))


def _article_table(rows: Mapping[str, ModeRow]) -> Iterator[str]:
    """The article's figures for ten images, and ours, with the reason where they differ."""
    one, threads = rows["one after another"], rows["5 threads"]
    held, slow, poll = rows["held, asyncio"], rows["poll, one by one"], rows["poll"]
    peaks, seconds = threads.peak_connections, poll.connection_seconds
    cells = [
        (
            "60x faster to ask for",
            f"{one.submitting / slow.submitting:.0f}x",
            f"{one.submitting:,.0f} s blocked; {slow.submitting:.0f} s for ten submits, one by one",
        ),
        ("", "none", f"an awaited call does not block: {held.submitting:.1f} s for ten"),
        (
            "2x faster in total",
            f"{threads.total / poll.total:.1f}x",
            f"{threads.total:.0f} s in two waves of five; {poll.total:.0f} s with polls and fetch",
        ),
        (
            "",
            f"{held.total / poll.total:.2f}x",
            f"{held.total:.0f} s held, without waves of five: tasks are not what saves time",
        ),
        (
            "80 % fewer connections",
            f"{1 - slow.peak_connections / peaks:.0%}",
            f"at once: {peaks} long; {slow.peak_connections} short, as polls and fetches meet",
        ),
        (
            "",
            f"{1 - seconds / held.connection_seconds:.0%}",
            f"in all: {held.connection_seconds:,.0f} s held; {seconds:,.0f} s, which tasks save",
        ),
    ]
    yield ""
    yield from table_lines(["The article says", "here", "why"], cells, text=("why",))


MODES_SUITE = Suite(
    name="modes",
    help="held, poll, webhook and batch side by side",
    quick="10 images only, a quarter minute",
    measurements={
        "ten": compare_modes(10),
        "many": compare_modes(200),
        "formats": formats,
        "handshakes": handshakes,
    },
    left_out_when_quick=("many",),
)
