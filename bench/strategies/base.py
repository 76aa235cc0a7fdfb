"""What every strategy gets and returns: jobs in, a record of each call out.

A strategy is one file with `run(work)`, plain or async, that makes all the images as its best user
would. It does not read the clock, the seed or the server: it is measured from outside, except for
the begin and the end of each call, which `record_call` notes around it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nbp_async.testing.sink import NowhereSink

RETRIES = 4  # after the first try
BUSY = frozenset({429, 503})  # what costs nothing, and may be tried again


@dataclass(frozen=True)
class Job:
    """One image to make."""

    number: int
    prompt: str


@dataclass
class CallRecord:
    """One call, or attempt, as its client knows it. Times on the clock of `now`.

    Attributes:
        job: Its job's number.
        began: When its call began.
        ended: When its image was safe, or it had failed.
        attempt: From 1.
        size: Bytes of the image, or 0.
        error: Class and first line of what went wrong, or "".
        again: Another attempt followed.
        maybe: Its client says that it was billed, or may have been.
        earlier: Its image was there before this process began; `ended` says since when.
    """

    job: int
    began: float = 0.0
    ended: float = 0.0
    attempt: int = 1
    size: int = 0
    error: str = ""
    retried: bool = False
    maybe: bool = False
    resumed: bool = False


@dataclass(frozen=True)
class Work:
    """What to do, and where.

    Attributes:
        url: Base URL of the images API.
        root: The server's address without a path.
        key: The key.
        jobs: In their order.
        at_once: Calls that may be in flight.
        folder: Where images go; None to drop them, as on the virtual clock, which cannot
            count the real time of a thread that writes.
        size: "1K", "2K" or "4K".
        link: Ask for images as links.
        durable: The program may be killed and started again; it must not buy an image twice.
        scale: How many times faster than real time the server goes. An async strategy runs on a
            loop that goes as fast; a blocking one divides its waits by it.
    """

    url: str
    root: str
    key: str
    jobs: Sequence[Job]
    at_once: int
    folder: str | None = None
    size: str = "1K"
    link: bool = False
    durable: bool = False
    scale: float = 1.0

    @property
    def without_jobs(self) -> "Work":
        """The same without the jobs: what a call needs, small enough to hand to a process."""
        return replace(self, jobs=())

    @property
    def headers(self) -> dict[str, str]:
        """The key's header."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def endpoint(self) -> str:
        return f"{self.url}/images/generations"

    @property
    def pixels(self) -> str:
        """The size as the images API spells it."""
        return {"1K": "1024x1024", "2K": "2048x2048", "4K": "4096x4096"}[self.size]

    @property
    def connect(self) -> float:
        """Ten real seconds to connect, on the loop's clock: to connect takes as long as ever."""
        return 10.0 * self.scale

    @property
    def rng(self) -> Callable[[], float]:
        """What jitter is drawn from, the same in every trial."""
        return random.Random(7).random

    @property
    def form(self) -> Literal["url", "b64_json"]:
        return "url" if self.link else "b64_json"

    def body(self, job: Job) -> dict[str, Any]:
        """The request's JSON."""
        return {
            "model": "nano-banana-pro",
            "prompt": job.prompt,
            "size": self.pixels,
            "n": 1,
            "response_format": self.form,
        }

    @property
    def out(self) -> Path | NowhereSink:
        """Where this library is to put the images."""
        return NowhereSink() if self.folder is None else Path(self.folder)

    def path(self, job: Job) -> Path:
        """Where its image goes."""
        assert self.folder is not None
        return Path(self.folder) / f"{job.number:06d}.png"

    def save(self, job: Job, image: bytes) -> int:
        """Write an image to its file; gives its bytes. Blocks."""
        if self.folder is not None:
            path = self.path(job)
            part = path.with_suffix(".part")
            part.write_bytes(image)
            part.replace(path)  # so that what has its name is whole
        return len(image)

    async def save_async(self, job: Job, image: bytes) -> int:
        """The same in a thread."""
        if self.folder is None:
            return len(image)
        return await asyncio.to_thread(self.save, job, image)

    def retry_wait(self, status: int, headers: Mapping[str, str], tries: int) -> float | None:
        """Simulated seconds to wait before the next try after so many; None for no next try.

        The server's own wish, or 2, 4, 8, 16 s; only for answers that certainly cost nothing.
        """
        if status not in BUSY or tries > RETRIES:
            return None
        exact, whole = headers.get("retry-after-ms"), headers.get("retry-after")
        if exact is not None:
            return float(exact) / 1000
        return float(whole) if whole else 2.0**tries


@dataclass(frozen=True)
class LoadedStrategy:
    """A strategy, loaded.

    Attributes:
        run: Makes the images of its work.
        warm: Called before the clock starts: what a program does once, at its start.
        close: Called after it stopped: what it does at its end.
    """

    run: Callable[[Work], list[CallRecord]] | Callable[[Work], Awaitable[list[CallRecord]]]
    warm: Callable[[Work], None] = lambda _: None
    close: Callable[[], None] = lambda: None


def to_trial_time(records: Sequence[CallRecord], began: float, scale: float, root: str) -> None:
    """Set times to simulated seconds since `began`; in errors, the server's address to a word.

    Its port is another each time, and two trials are to be compared.
    """
    address = root.partition("://")[2]
    for one in records:
        one.began = (one.began - began) * scale
        one.ended = (one.ended - began) * scale
        error = one.error.partition(" Its answer is kept in ")[0]  # a new name each time
        one.error = error.replace(address, "server").replace(address.partition(":")[2], "port")


def existing_image(job: int, path: Path) -> CallRecord:
    """The record of an image that an earlier process made."""
    facts = path.stat()
    ended = time.monotonic() - (time.time() - facts.st_mtime)
    return CallRecord(job, ended, ended, size=facts.st_size, resumed=True)


def now() -> float:
    """Seconds on the loop's clock if there is one, else on the same clock without it."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


@contextmanager
def record_call(job: Job) -> Iterator[CallRecord]:
    """Write down when a call began and ended, and what went wrong with it, which ends here."""
    record = CallRecord(job.number, began=now())
    try:
        yield record
    except Exception as exc:  # noqa: BLE001  a bench records whatever goes wrong
        words = str(exc).splitlines() or [""]
        record.error = f"{type(exc).__name__}: {words[0][:200]}"
    finally:
        record.ended = now()
