"""Where a client plays: a server for each scene, and a process of its own with its packages."""

import asyncio
import json
import os
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.beside.peer_task import WARM, PeerReply, PeerTask
from bench.environment import ROOT
from bench.light_server import self_signed
from nbp_async.fake import FakeServer

PRICE = Decimal("0.134")
"""Dollars of an image, by the list of the fake vendor: it counts no tokens."""
_LAST_WORDS = 300  # characters of stderr in an error


class PeerFailedError(Exception):
    """A client's process ended without a reply; the message is the end of its stderr."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A client.

    Attributes:
        name: Of its column, and of its distribution.
        module: Of `bench.beside.peers`.
        answer: A whole response of its API, for a server that always sends the same one.
        https: When it insists on https: "always", or for "files" alone; "" for never.
        has_cap: It takes a limit of dollars.
        before: Requests that it makes before it is measured.
        packages: Distributions whose versions are recorded, its own first.
    """

    name: str
    module: str
    answer: bytes
    https: Literal["always", "files", ""] = ""
    has_cap: bool = False
    before: int = 1
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenCall:
    """A paid call as the server saw it: its prompt, and when, in seconds on its clock."""

    prompt: str
    at: float


class Lab:
    """One client, and where it plays.

    Args:
        peer: The client.
        python: An interpreter that has it.
        folder: For what it keeps.
        full: Play the sizes that take long.
    """

    def __init__(self, peer: Peer, python: Path, folder: Path, *, full: bool = False) -> None:
        self.peer = peer
        self.full = full
        self.versions: dict[str, str] = {}
        self._python = python
        self._folder = folder
        self.ca, self.certificate = self_signed(folder) if peer.https else ("", "")

    @asynccontextmanager
    async def server(self, **options: Any) -> AsyncIterator[FakeServer]:
        """A vendor for one scene."""
        tls = None
        if self.certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self.certificate)
        async with FakeServer(tls=tls, **options) as server:
            yield server

    def task(self, root: str, key: str, prompts: Sequence[str], **options: Any) -> PeerTask:
        """A task with a folder of its own."""
        return PeerTask(
            client=self.peer.module,
            root=root,
            key=key,
            prompts=list(prompts),
            folder=tempfile.mkdtemp(dir=self._folder),
            packages=list(self.peer.packages),
            **options,
        )

    async def play(self, task: PeerTask, *, limit: float = 120.0) -> PeerReply | None:
        """Let the client make these calls; None if it has not ended after `limit` seconds.

        Raises:
            PeerFailedError: Its process broke.
        """
        async with self.process(task) as process:
            try:
                async with asyncio.timeout(limit):
                    await process.wait()
            except TimeoutError:
                return None
        path = Path(task.folder).with_suffix(".reply")
        if not path.exists():
            words = path.with_suffix(".stderr").read_text("utf-8", "replace").strip()
            raise PeerFailedError(words[-_LAST_WORDS:] or "it ended without a word")
        # Errors name files of ours, whose place says nothing to anybody.
        text = path.read_text().replace(f"{self._folder}/", "")
        reply = msgspec.json.decode(text, type=PeerReply)
        self.versions |= reply.versions
        return reply

    @asynccontextmanager
    async def process(self, task: PeerTask) -> AsyncIterator[asyncio.subprocess.Process]:
        """The client at work; on leaving it is killed if it has not ended."""
        path = Path(task.folder).with_suffix(".task")
        path.write_text(json.dumps(asdict(task)))
        env = {**os.environ, "TMPDIR": str(self._folder)}
        if self.ca:
            env["SSL_CERT_FILE"] = self.ca
        with path.with_suffix(".stderr").open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                str(self._python),
                *("-m", "bench.beside.peer_task", str(path)),
                cwd=ROOT,
                env=env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def calls_seen(server: FakeServer, task: PeerTask) -> list[SeenCall]:
    """The task's paid calls, oldest first."""
    found = []
    for request in server.received:
        text = str(request.body)
        prompts = [prompt for prompt in task.prompts if prompt in text]
        found += [SeenCall(prompt, request.at) for prompt in prompts[:1]]
    return found


def images_billed(server: FakeServer) -> Counter[str]:
    """How often each prompt's image was billed."""
    ledger = (entry for entry in server.bank.ledger if entry.prompt != WARM)
    return Counter(entry.prompt for entry in ledger)


def dollars_billed(server: FakeServer) -> Decimal:
    """What the bank has billed for all but the first call."""
    return sum((e.price for e in server.bank.ledger if e.prompt != WARM), Decimal(0))
