"""The inside of a client's process: `python -m bench.beside.peer_task FILE` plays the task in it.

It runs in an environment that has the client and nothing of ours, so it imports the standard
library alone. The reply is written beside the task: clients print what they like.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from itertools import count
from pathlib import Path
from typing import Any

from bench.meter import Meter

WARM = "warm up"
"""The prompt of the call that each client makes first, so that its own imports are not measured."""
_LOOK_AFTER = 0.7  # seconds after which the sockets are looked at
_LONGEST_ERROR = 300  # characters


@dataclass(frozen=True, kw_only=True)
class PeerTask:
    """Calls for a client to make.

    Attributes:
        client: Module of `bench.beside.peers`.
        root: The server's address, without a path.
        key: The key.
        prompts: One call each.
        folder: Where the client may keep what it keeps.
        pause: Seconds between the starts of two calls.
        at_once: Calls in flight that the user asks for; 0 for what the client does by itself.
        cap: Dollars that the user allows; 0 for no such limit.
        save: Write each image into the folder.
        packages: Distributions whose versions are wanted.
    """

    client: str
    root: str
    key: str
    prompts: list[str]
    folder: str
    pause: float = 0.0
    at_once: int = 0
    cap: float = 0.0
    save: bool = False
    packages: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class PeerCall:
    """What came of one call: bytes of an image, a link instead of one, or an error.

    `warning`: what the client says is wrong with an image that it hands over.
    """

    prompt: str
    size: int = 0
    link: str = ""
    error: str = ""
    warning: str = ""


@dataclass(kw_only=True)
class PeerReply:
    """What came of a task; times in seconds, memory in bytes.

    Attributes:
        calls: In any order.
        dollars: What the client says that it has cost; None if it says nothing.
        maybe: What it says that may have been billed in addition; None if it says nothing.
        tokens: Tokens that it reports; 0 for none.
        keep_alive: Seconds of silence after which its sockets probe; None where they do not.
    """

    calls: list[PeerCall] = field(default_factory=list)
    dollars: float | None = None
    maybe: float | None = None
    tokens: int = 0
    keep_alive: int | None = None
    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a client hands over for a prompt."""

    image: bytes = b""
    link: str = ""
    dollars: float | None = None
    tokens: int = 0


class Recorder:
    """Collects the calls of a task, and measures them from `begin` on."""

    def __init__(self, task: PeerTask) -> None:
        self.task = task
        self.reply = PeerReply()
        self._meter: Meter | None = None

    def begin(self) -> None:
        """From here on it is measured: what the client imports late is imported."""
        port = int(self.task.root.rpartition(":")[2])
        look = threading.Timer(_LOOK_AFTER, self._look_at_sockets, [port])
        look.daemon = True
        look.start()
        self._meter = Meter()

    def add(self, call: PeerCall) -> None:
        """One call has ended."""
        self.reply.calls.append(call)

    def end(self) -> PeerReply:
        """All have ended."""
        assert self._meter is not None
        reading = self._meter.read(len(self.reply.calls))
        self.reply.wall, self.reply.cpu = reading.wall, reading.cpu
        self.reply.peak = reading.peak_over_idle
        return self.reply

    def _look_at_sockets(self, port: int) -> None:
        """Whether those that lead to the server probe a silent connection, and when."""
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if "socket:" not in str(entry.readlink()):
                    continue
                with socket.socket(fileno=os.dup(int(entry.name))) as found:
                    inet = found.family in (socket.AF_INET, socket.AF_INET6)
                    if not inet or found.getpeername()[1] != port:
                        continue
                    if found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
                        idle = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
                        self.reply.keep_alive = idle


async def paced(prompts: Sequence[str], pause: float) -> AsyncIterator[str]:
    """The prompts, one every `pause` seconds."""
    for number, prompt in enumerate(prompts):
        if number and pause:
            await asyncio.sleep(pause)
        yield prompt


async def make_each(recorder: Recorder, make: Callable[[str], Awaitable[Made]]) -> None:
    """All prompts of the task with a client of single calls, as its user writes it: a task each."""
    task = recorder.task
    await make(WARM)
    slots = asyncio.Semaphore(task.at_once or max(1, len(task.prompts)))
    recorder.begin()
    async with asyncio.TaskGroup() as group:
        numbers = count()
        async for prompt in paced(task.prompts, task.pause):
            group.create_task(make_one(recorder, make, slots, next(numbers), prompt))


async def make_one(
    recorder: Recorder,
    make: Callable[[str], Awaitable[Made]],
    slots: asyncio.Semaphore,
    number: int,
    prompt: str,
) -> None:
    """One call, in its turn."""
    async with slots:
        call = PeerCall(prompt=prompt)
        recorder.add(call)
        await finish(recorder, call, number, make(prompt))


async def finish(recorder: Recorder, call: PeerCall, number: int, made: Awaitable[Made]) -> None:
    """Write down what comes of a call that has begun."""
    try:
        one = await made
        if recorder.task.save and one.image:
            path = Path(recorder.task.folder) / f"{number:04d}"
            await asyncio.to_thread(path.write_bytes, one.image)
    except Exception as exc:  # noqa: BLE001  whatever a client raises is its answer
        call.error = f"{type(exc).__name__}: {exc}"[:_LONGEST_ERROR]
        return
    call.size, call.link, call.error = len(one.image), one.link, ""
    recorder.reply.tokens += one.tokens
    if one.dollars is not None:
        recorder.reply.dollars = (recorder.reply.dollars or 0.0) + one.dollars


def main() -> None:
    path = Path(sys.argv[1])
    task = PeerTask(**json.loads(path.read_text()))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a held call is an open file
    peer: Any = import_module(f"bench.beside.peers.{task.client}")
    recorder = Recorder(task)
    asyncio.run(peer.play(recorder))
    reply = recorder.end()
    for package in task.packages:
        with suppress(metadata.PackageNotFoundError):
            reply.versions[package] = metadata.version(package)
    path.with_suffix(".reply").write_text(json.dumps(asdict(reply)))


if __name__ == "__main__":
    # Modules of clients import this file by its name; both must be one module.
    from bench.beside.peer_task import main as play_main

    play_main()
