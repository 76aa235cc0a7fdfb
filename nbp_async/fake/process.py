"""The fake server in a process of its own: by `spawn` from a program, or from a command line.

A process apart is what a bench or a demo needs: the client's thread then carries nothing but the
client. The child ends when its standard input does, so that it never outlives who started it.
"""

import asyncio
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec

from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.counters import Stats
from nbp_async.fake.latency import Span
from nbp_async.fake.server import FakeServer

_COLLECT_EVERY = 50_000  # new objects
_PATIENCE = 30.0  # seconds for the child to start, or to say what it counted


class Address(msgspec.Struct, frozen=True):
    """What a child says once it listens."""

    base_url: str
    key: str
    webhook_secret: str = ""


class Witness(msgspec.Struct, frozen=True):
    """The answer of `/stats`: `rows` of the ledger, and images by `prompt_digest` if asked for."""

    stats: Stats
    rows: int = 0
    images_by_prompt: dict[str, int] = {}


class SpawnedServer:
    """A fake server in a child process.

    ```python
    async with await spawn(latency=0, seed=7) as server:
        async with Client(server.openai_url, server.key) as gen:
            image = await gen.one("a red bicycle")
    ```

    Attributes:
        base_url: Address without a path.
        openai_url: Base URL of the images API.
        gemini_url: Base URL of the Gemini API.
        key: A key that works.
        webhook_secret: What webhooks are signed with.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: Address) -> None:
        self._process = process
        self.base_url = address.base_url
        self.openai_url = f"{address.base_url}/v1"
        self.gemini_url = f"{address.base_url}/v1beta"
        self.key = address.key
        self.webhook_secret = address.webhook_secret

    def service_url(self, name: str) -> str:
        """Base URL of a task service, see `FakeServer.service_url`."""
        from nbp_async.fake.tasks import base_of

        return f"{self.base_url}{base_of(name)}"

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    async def stats(self) -> Stats:
        """A snapshot of what it saw so far."""
        return (await self.witness()).stats

    async def witness(self, *, prompts: bool = False) -> Witness:
        """What it saw, and what its ledger holds; with `prompts`, also by prompt."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            url = f"{self.base_url}/stats{'?prompts=1' if prompts else ''}"
            async with session.get(url) as answer:
                return msgspec.json.decode(await answer.read(), type=Witness)

    async def billed_for(self, prompt: str) -> int:
        """How many images it rendered of this prompt's text."""
        witness = await self.witness(prompts=True)
        return witness.images_by_prompt.get(prompt_digest(prompt), 0)

    async def aclose(self) -> None:
        """Stop it: calls in work are dropped, and not billed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


async def spawn(
    *,
    latency: Span = "30-170",
    speed: float = 1.0,
    seed: int = 0,
    faults: str = "",
    weight: int | str | None = None,
    kind: str = "png",
    delivery: str = "b64_json",
    keys: str | None = None,
    per_minute: int | None = None,
    concurrency: int | None = None,
    links_expire: float | None = None,
    bandwidth: float | None = None,
    submit_latency: Span = 0,
    look_latency: Span = 0,
    look_faults: str = "",
    task_retention: float | None = None,
    batch_latency: Span = (600, 7200),
    webhook_secret: str | None = None,
    interactions: bool = False,
) -> SpawnedServer:
    """Start a fake server in a child process, and return once it listens.

    The options are those of `FakeServer`, in forms that fit on a command line; `per_minute` and
    `concurrency` are its quotas.

    Raises:
        RuntimeError: It did not start; its words are in the message.
    """
    options: Mapping[str, object] = {
        "latency": _text_of(latency), "speed": speed, "seed": seed, "fault": faults or None,
        "weight": weight, "kind": kind, "delivery": delivery, "key": keys, "rate": per_minute,
        "concurrency": concurrency, "links-expire": links_expire, "bandwidth": bandwidth,
        "submit-latency": _text_of(submit_latency), "look-latency": _text_of(look_latency),
        "look-fault": look_faults or None, "task-retention": task_retention,
        "webhook-secret": webhook_secret, "batch-latency": _text_of(batch_latency),
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return await _started(words + ["--interactions"] * interactions)


def _text_of(latency: Span) -> str:
    return "{:g}-{:g}".format(*latency) if isinstance(latency, tuple) else str(latency)


async def _started(words: list[str]) -> SpawnedServer:
    # A file takes all that the child may ever have to say; a pipe that nobody reads would block it.
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nbp_async.fake", "--child", *words,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=said,
            start_new_session=True,  # Ctrl-C is for who started it, and still needs the witness
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                line = await process.stdout.readline()
            return SpawnedServer(process, msgspec.json.decode(line, type=Address))
        except (TimeoutError, msgspec.DecodeError):
            await _end(process)
            said.seek(0)
            words_of = said.read().decode("utf-8", "replace").strip()[-2000:]
        except asyncio.CancelledError:
            await _end(process)
            raise
    raise RuntimeError(f"the fake server did not start: {words_of or 'it said nothing'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def serve(
    server: FakeServer, announce: Callable[[FakeServer], None], *, until_input_ends: bool = False
) -> None:
    """Run `server` until Ctrl-C, or until standard input ends; `announce` it once it listens."""
    _raise_file_limit()
    # With ten thousand calls held, the collector would look at all of them again and again.
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY, 50, 100)

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        if until_input_ends:
            _when_input_ends(lambda: loop.call_soon_threadsafe(stop.set))
        async with server:
            announce(server)
            await stop.wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return


def _when_input_ends(then: Callable[[], object]) -> None:
    def wait() -> None:
        while os.read(0, 4096):
            pass
        then()

    threading.Thread(target=wait, name="nbp-fake-parent", daemon=True).start()


def _raise_file_limit() -> None:
    """Ten thousand calls are ten thousand sockets; the usual soft limit is a tenth of that."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def options_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `FakeServer` from those of a command line (`rate`, `key`, `fault` and so on)."""
    from nbp_async.fake.quotas import Quotas

    given = {name: value for name, value in values.items() if value not in (None, "", ())}
    quotas = Quotas(per_minute=given.pop("rate", None), concurrency=given.pop("concurrency", None))
    keys, fault, weight = (
        given.pop("key", None),
        given.pop("fault", None),
        given.pop("weight", None),
    )
    if keys is not None:
        given["keys"] = keys
    if fault is not None:
        given["faults"] = fault
    if "look_fault" in given:
        given["look_faults"] = given.pop("look_fault")
    if weight is not None:
        given["weight"] = weight_of_text(str(weight))
    return {**given, "quotas": quotas}


def weight_of_text(text: str) -> int | str:
    """Read "real", "500000", "600KB" or "6MB".

    Raises:
        ValueError: It is none of these.
    """
    if text == "real":
        return text
    for unit, factor in (("KB", 1000), ("MB", 1_000_000), ("", 1)):
        number = text.upper().removesuffix(unit)
        if text.upper().endswith(unit) and number.replace(".", "", 1).isdigit():
            return int(float(number) * factor)
    raise ValueError(f'weight {text!r}: bytes as "500000", "600KB" or "6MB", or "real"')
