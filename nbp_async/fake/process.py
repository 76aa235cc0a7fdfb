"""The fake server in a process of its own: from a program by `spawn`, or from a command line.

A bench or a demo needs its own process: the client's thread then runs nothing but the client. The
child ends when its standard input ends, so that it never outlives its parent.
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
from typing import Any, Self, TypedDict, Unpack

import msgspec

from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.counters import Stats
from nbp_async.fake.fake_settings import refuse_unknown
from nbp_async.fake.latency import LatencyOption
from nbp_async.fake.server import FakeServer

_COLLECT_EVERY = 50_000  # new objects
_ANSWER_WITHIN = 30.0  # seconds for the child to start, or to answer /stats


class ServerAddress(msgspec.Struct, frozen=True):
    """What a child writes when it listens."""

    base_url: str
    key: str
    webhook_secret: str = ""


class Witness(msgspec.Struct, frozen=True):
    """The answer of `/stats`: `rows` of the ledger, and on request images by `prompt_digest`."""

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
        webhook_secret: Signs webhooks.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: ServerAddress) -> None:
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
        """A snapshot of what it counted so far."""
        return (await self.witness()).stats

    async def witness(self, *, prompts: bool = False) -> Witness:
        """What it counted, and the size of its ledger; with `prompts`, also images by prompt."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            url = f"{self.base_url}/stats{'?prompts=1' if prompts else ''}"
            async with session.get(url) as answer:
                return msgspec.json.decode(await answer.read(), type=Witness)

    async def script(self, *names: str, match: str | None = None) -> None:
        """Order faults by name, as `FakeServer.script` does; see `fake.fault_control`.

        Raises:
            ValueError: There is no such fault.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
        order = {"faults": names, "match": match}
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{self.base_url}/__faults__", json=order) as answer,
        ):
            if answer.status != 200:
                raise ValueError((await answer.json())["error"]["message"])

    async def billed_for(self, prompt: str) -> int:
        """How many images it rendered for this prompt's text."""
        witness = await self.witness(prompts=True)
        return witness.images_by_prompt.get(prompt_digest(prompt), 0)

    async def aclose(self) -> None:
        """Stop it: calls in work are dropped and not billed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()


class SpawnOptions(TypedDict, total=False):
    """Options of `FakeServer` that fit on a command line.

    Attributes:
        per_minute: A quota: the requests that a key may begin in any minute.
        concurrency: A quota: the requests that a key may have in work at once.
    """

    latency: LatencyOption
    speed: float
    seed: int
    faults: str
    weight: int | str | None
    kind: str
    delivery: str
    keys: str | None
    per_minute: int | None
    concurrency: int | None
    links_expire: float | None
    bandwidth: float | None
    submit_latency: LatencyOption
    look_latency: LatencyOption
    look_faults: str
    task_retention: float | None
    batch_latency: LatencyOption
    webhook_secret: str | None
    interactions: bool


_FLAGS = {"faults": "fault", "keys": "key", "per_minute": "rate", "look_faults": "look-fault"}
"""Options that have another name on the command line."""


async def spawn(**options: Unpack[SpawnOptions]) -> SpawnedServer:
    """Start a fake server in a child process, and return once it listens.

    The options are those of `FakeServer`, in forms that fit on a command line; `per_minute` and
    `concurrency` are its quotas.

    Raises:
        RuntimeError: It did not start; the message holds what it wrote to stderr.
        TypeError: There is no such option.
    """
    refuse_unknown("spawn", options, SpawnOptions)
    arguments = []
    for name, value in options.items():
        flag = f"--{_FLAGS.get(name, name.replace('_', '-'))}"
        if value is True:
            arguments.append(flag)
        elif value is not None and value is not False and value != "":
            arguments.append(f"{flag}={_text_of(value)}")
    return await _start_child(arguments)


def _text_of(value: object) -> str:
    return "{:g}-{:g}".format(*value) if isinstance(value, tuple) else str(value)


async def _start_child(arguments: list[str]) -> SpawnedServer:
    # A file takes any amount of output; a pipe that nobody reads would block the child.
    with tempfile.TemporaryFile() as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nbp_async.fake",
            "--child",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C goes to the parent, which still asks for the stats
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                line = await process.stdout.readline()
            return SpawnedServer(process, msgspec.json.decode(line, type=ServerAddress))
        except (TimeoutError, msgspec.DecodeError):
            await _end(process)
            stderr.seek(0)
            output = stderr.read().decode("utf-8", "replace").strip()[-2000:]
        except asyncio.CancelledError:
            await _end(process)
            raise
    raise RuntimeError(f"the fake server did not start: {output or 'it wrote nothing to stderr'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def serve(
    server: FakeServer, announce: Callable[[FakeServer], None], *, until_input_ends: bool = False
) -> None:
    """Run `server` until Ctrl-C, or until standard input ends; `announce` it once it listens."""
    _raise_file_limit()
    # With ten thousand calls held, a garbage collection would visit all of them each time.
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


def _when_input_ends(callback: Callable[[], object]) -> None:
    def wait() -> None:
        while os.read(0, 4096):
            pass
        callback()

    threading.Thread(target=wait, name="nbp-fake-parent", daemon=True).start()


def _raise_file_limit() -> None:
    """Ten thousand calls need ten thousand sockets; the usual soft limit is 1024."""
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
    for name, flag in _FLAGS.items():
        if flag.replace("-", "_") in given:
            given[name] = given.pop(flag.replace("-", "_"))
    if "weight" in given:
        given["weight"] = weight_of_text(str(given["weight"]))
    return {**given, "quotas": quotas}


def weight_of_text(text: str) -> int | str:
    """Read "real", "500000", "600KB" or "6MB".

    Raises:
        ValueError: It is not one of these.
    """
    if text == "real":
        return text
    for unit, factor in (("KB", 1000), ("MB", 1_000_000), ("", 1)):
        number = text.upper().removesuffix(unit)
        if text.upper().endswith(unit) and number.replace(".", "", 1).isdigit():
            return int(float(number) * factor)
    raise ValueError(f'weight {text!r}: write bytes as "500000", "600KB" or "6MB", or "real"')
