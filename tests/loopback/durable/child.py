"""One process of a run, to be killed at any moment, or at a point that has a name.

Its task is a dict of url, key, folder, prompts. With `store`, images go there, and the folder has
the journal alone; with `database`, the journal is there. With `at`, it kills itself (SIGKILL) when
that point is passed for the `nth` time. The points lie on the seams: the journal, the transport
and the sink are wrapped, nothing of the library is changed. With `blind`, it cannot read every
other answer, as an older version may not, and keeps it. At its end it prints what the batch says,
as JSON.
"""

import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nbp_async import Client, Limits, Profile
from nbp_async._base.errors import MalformedReplyError
from nbp_async._base.http import HttpRequest
from nbp_async._batch_api import batch_job, batch_pool, gemini_batch
from nbp_async._client import parts
from nbp_async._dialects.base import Answer, Clean, Decoder, Part
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._journal.base import JOURNAL, MANIFEST, Journal
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.postgres import PostgresJournal
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._sinks.unread import Chunks, UnreadFolder
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import store_address
from nbp_async._transports.aiohttp import AiohttpTransport
from nbp_async._transports.base import Reply
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._vendors.services import services

POINTS = (
    "claim:before",
    "claim:after",
    "arm:before",
    "arm:after",
    "send:before",
    "head",
    "body",
    "write",
    "commit:before",
    "commit:after",
    "record_answer:before",
    "record_answer:after",
    "settle:before",
    "settle:after",
    "settle:durable",
    "finish:before",
    "finish:after",
    "record_submission:before",
    "record_submission:after",
)
KEPT_ONLY = ("keep:before", "keep:after")
LINKS_ONLY = ("record_answer:before", "record_answer:after")
TASKS_ONLY = ("record_submission:before", "record_submission:after")
BATCH_POINTS = (
    ("arm:after", 4),
    ("save_batch:before", 1),
    ("save_batch:after", 1),
    ("head", 1),
    ("head", 2),
    ("save_batch:before", 2),
    ("save_batch:after", 2),
    ("send:before", 3),
    ("head", 3),
    ("save_batch:before", 3),
    ("save_batch:after", 3),
    ("body", 7),
    ("write", 3),
    ("commit:before", 3),
    ("commit:after", 3),
    ("settle:before", 3),
    ("settle:after", 3),
    ("settle:durable", 3),
    ("finish:after", 3),
    ("save_batch:after", 7),
)
"""Of a call with two jobs: the second row of each is the second time that it is passed."""
QUICK = msgspec.structs.replace(services()["article"].tasks, usual={"1K": 0.08})
T = TypeVar("T")


class Executioner:
    """Kills the process when a point is passed for the nth time."""

    def __init__(self, at: str, nth: int) -> None:
        self.at = at
        self._left = nth

    def passes(self, point: str) -> None:
        if point == self.at:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class BlindDecoder:
    """Reads an answer to its end, and makes nothing of it."""

    complete = False

    def read_through(self, clean: Clean) -> None:
        pass

    def feed(self, data: bytes) -> list[Part]:  # noqa: ARG002
        return []

    def close(self) -> Answer:
        raise MalformedReplyError("This version cannot read it.")


class HalfBlind(OpenAIImages):
    """Cannot read every other answer."""

    def __init__(self) -> None:
        super().__init__()
        self._answers = 0

    def decoder(self) -> Decoder:
        self._answers += 1
        return BlindDecoder() if self._answers % 2 else super().decoder()


def watch_kept_replies(points: Executioner) -> None:
    """Let the points be passed before a reply is kept, and after it."""
    keep = UnreadFolder.keep

    async def watched(self: UnreadFolder, stem: str, size: int, chunks: Chunks) -> str:
        points.passes("keep:before")
        place = await keep(self, stem, size, chunks)
        points.passes("keep:after")
        return place

    UnreadFolder.keep = watched  # type: ignore[method-assign]


class WatchedJournal:
    """The journal, with a point before and after each of its methods."""

    def __init__(self, journal: Journal, points: Executioner) -> None:
        self._journal = journal
        self._points = points

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if not callable(method) or name in ("release", "pass_over"):
            return method
        if name == "settle":

            def settle(*args: Any) -> None:
                self._points.passes("settle:before")
                method(*args)
                self._points.passes("settle:after")

            return settle

        async def watched(*args: Any, **named: Any) -> Any:
            if name == "finish" and self._points.at == "settle:durable":
                await self._journal.totals()  # which comes after all that was posted before
                self._points.passes("settle:durable")
            self._points.passes(f"{name}:before")
            result = await method(*args, **named)
            self._points.passes(f"{name}:after")
            return result

        return watched


class WatchedTransport:
    def __init__(self, points: Executioner) -> None:
        self._transport = AiohttpTransport(reuse=True, vendor="vendor")
        self._points = points
        self.aclose: Callable[[], Awaitable[None]] = self._transport.aclose

    def send(self, request: HttpRequest, timer: StageTimer) -> AbstractAsyncContextManager[Reply]:
        return self._watched(request, timer)

    @asynccontextmanager
    async def _watched(self, request: HttpRequest, timer: StageTimer) -> AsyncIterator[Reply]:
        self._points.passes("send:before")
        async with self._transport.send(request, timer) as reply:
            self._points.passes("head")
            yield WatchedReply(reply, self._points)


class WatchedReply:
    def __init__(self, reply: Reply, points: Executioner) -> None:
        self._reply = reply
        self._points = points
        self.head = reply.head

    async def read(self) -> bytes:
        data = await self._reply.read()
        self._points.passes("body")
        return data

    @property
    def sent(self) -> bytes:
        return self._reply.sent

    async def read_sent(self) -> bytes:
        return await self._reply.read_sent()


class WatchedSink(DirectorySink):
    def __init__(self, folder: Path, threads: FileThreads, points: Executioner) -> None:
        super().__init__(folder, threads)
        self._points = points

    async def open(self) -> ImageWriter:  # type: ignore[override]
        return WatchedWriter(await super().open(), self._points)


class WatchedObjects(ObjectSink):
    def __init__(self, place: str, threads: FileThreads, points: Executioner) -> None:
        memory = MemorySink(1 << 26, threads)
        super().__init__(store_address(place), Buckets(), memory, threads)
        self._points = points

    async def open(self) -> ImageWriter:  # type: ignore[override]
        return WatchedWriter(await super().open(), self._points)


class WatchedWriter:
    def __init__(self, writer: ImageWriter, points: Executioner) -> None:
        self._writer = writer
        self._points = points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    async def write(self, data: bytes) -> None:
        self._points.passes("write")
        await self._writer.write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        self._points.passes("commit:before")
        stored = await self._writer.commit(stem, suffix)
        self._points.passes("commit:after")
        return stored

    def discard(self) -> None:
        self._writer.discard()


async def watched(
    task: dict[str, Any], folder: Path, threads: FileThreads, points: Executioner
) -> dict[str, Any]:
    """The sink and the journal, with points on their seams."""
    watch_kept_replies(points)
    store = task.get("store")
    if task.get("database"):
        shared = await PostgresJournal.open(
            DatabaseAddress.parse(task["database"]),
            account="vendor:tests",
            folder=folder,
            place=str(folder),
            wall_clock=time.time,
        )
        watched_sink = WatchedSink(folder, threads, points)
        return {"out": watched_sink, "journal": WatchedJournal(shared, points)}
    journal = await SqliteJournal.open(
        folder / JOURNAL,
        account="vendor:tests",
        folder=None if store else folder,
        wall_clock=time.time,
        manifest=folder / ("journal.jsonl" if store else MANIFEST),
    )
    sink: DirectorySink | ObjectSink = WatchedSink(folder, threads, points)
    if store:
        sink = WatchedObjects(store, threads, points)
    return {"out": sink, "journal": WatchedJournal(journal, points)}


def profile_of(task: dict[str, Any]) -> Profile:
    if task.get("dialect") == "openai_images":
        return Profile(name="vendor", base_url=task["url"], batches=True)
    if task.get("via") == "batch":
        return Profile(
            name="vendor",
            base_url=task["url"],
            dialect="gemini",
            model="gemini-3-pro-image",
            batches=True,
        )
    return Profile(
        name="vendor",
        base_url=task["url"],
        link_lifetime=604800.0,
        response_format="url" if task.get("links") else "b64_json",
        tasks=QUICK,
    )


def hurry(task: dict[str, Any]) -> None:
    """Let what waits for minutes wait for moments, and jobs be small; some with a file."""
    batch_job.FIRST_POLL = batch_job.LONGEST_POLL = 0.05
    batch_job.POLLS_OF_THE_LIST = (0.0, 0.05, 0.1)
    batch_pool.MOST_LINES = 4
    gemini_batch.MOST_INLINE = 1 << 20 if task.get("inline") else 0
    if task.get("blind"):
        parts.DIALECTS["openai_images"] = HalfBlind


async def main(task: dict[str, Any]) -> None:
    folder, account = Path(task["folder"]), "tests"
    profile = profile_of(task)
    hurry(task)
    options: dict[str, Any] = {"out": folder, "journal": task.get("database")}
    if task.get("store"):
        options = {"out": task["store"], "journal": folder / JOURNAL}
    transport: Any = "aiohttp"
    threads = FileThreads()
    if task.get("at"):
        points = Executioner(task["at"], task.get("nth", 1))
        options = await watched(task, folder, threads, points)
        transport = WatchedTransport(points)
    names = ("resend_ambiguous", "max_cost", "via")
    options |= {name: task[name] for name in names if name in task}
    limits = Limits(
        max_in_flight=task.get("in_flight", 50), reuse_connections=True, poll_rate="200/s"
    )
    async with Client(
        profile, task["key"], limits=limits, account=account, transport=transport
    ) as gen:
        prompts = [f"prompt {n}" for n in range(task["prompts"])]
        made = await gen.many(prompts, size="1K", **options)
    bill = made.billing
    print(
        json.dumps(
            {
                "images": len(made.images),
                "resumed": sum(image.resumed for image in made.images),
                "failed": [repr(failure) for failure in made.failures][:5],
                "unclear": len(bill.unclear),
                "lost": len(bill.lost),
                "spent": str(bill.spent),
                "maybe": str(bill.maybe),
                "saved": str(bill.saved),
            }
        )
    )
    threads.close()
