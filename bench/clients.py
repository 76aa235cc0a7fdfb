"""Two clients that make the same calls: bare aiohttp, and this library. Each in a fresh process."""

import asyncio
import base64
import gc
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp

from bench.meter import Meter, Reading, StallSampler


@dataclass(frozen=True)
class Calls:
    """Calls to make.

    Attributes:
        client: "bare" (aiohttp as its best user would write it) or "nbp".
        url: The server's base URL.
        calls: Calls in all; `at_once` of them in flight.
        reuse: Keep connections.
        disk: Write each image to a file.
        ca: Certificate authority of the server, or "".
        loop: "asyncio" or "uvloop".
        stall: Sample the loop's stalls.
        size: Size that "nbp" asks for.
        form: How "nbp" wants its images: "b64_json" or "url".
        key: The key.
        transport: What carries the calls of "nbp".
    """

    client: str
    url: str
    calls: int
    at_once: int
    reuse: bool = False
    disk: bool = False
    ca: str = ""
    loop: str = "asyncio"
    stall: bool = False
    size: str = "1K"
    form: str = "b64_json"
    key: str = "sk-bench"
    transport: Literal["aiohttp", "direct"] = "aiohttp"


def tls_context(task: Calls) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=task.ca) if task.ca else None


@asynccontextmanager
async def bare_session(task: Calls) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(
        limit=0, force_close=not task.reuse, ssl=tls_context(task) or True
    )
    # What a careful user sets: the article's time-outs, and a total that no hold comes near.
    timeout = aiohttp.ClientTimeout(total=690, sock_connect=60, sock_read=600)
    headers = {"Authorization": "Bearer sk-bench"}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=headers
    ) as session:
        yield session


async def bare(task: Calls, folder: Path) -> Reading:
    """aiohttp, json and base64, written by hand as its best user would: one task a call.

    With fewer in flight than calls, as many loops as are in flight take the next number.
    """
    numbers = iter(range(task.calls))
    answered = 0

    async with bare_session(task) as session:

        async def call(number: int) -> None:
            nonlocal answered
            body = {
                "model": "nano-banana-pro",
                "prompt": f"prompt {number}",
                "size": "1024x1024",
                "n": 1,
                "response_format": "b64_json",
            }
            async with session.post(f"{task.url}/images/generations", json=body) as response:
                response.raise_for_status()
                answer = json.loads(await response.read())
            image = base64.b64decode(answer["data"][0]["b64_json"], validate=True)
            if task.disk:
                path = folder / f"{number:06d}.png"
                await asyncio.to_thread(path.write_bytes, image)
            answered += 1

        async def loop() -> None:
            for number in numbers:
                await call(number)

        gc.collect()
        sampler = StallSampler() if task.stall else None
        meter = Meter()
        if task.at_once >= task.calls:
            await asyncio.gather(*(call(number) for number in numbers))
        else:
            await asyncio.gather(*(loop() for _ in range(task.at_once)))
        return meter.read(answered, sampler.worst if sampler else 0.0)


async def nbp(task: Calls, folder: Path) -> Reading:
    """This library, as its README shows it."""
    from nbp_async import Client, Limits, Profile

    limits = Limits(max_in_flight=task.at_once, reuse_connections=task.reuse)
    form: Any = task.form
    profile = Profile(name="bench", base_url=task.url, response_format=form)
    async with Client(
        profile, task.key, limits=limits, ca=task.ca or None, transport=task.transport
    ) as gen:
        prompts = (f"prompt {number}" for number in range(task.calls))
        gc.collect()
        sampler = StallSampler() if task.stall else None
        meter = Meter()
        batch = await gen.many(prompts, size=task.size, out=folder if task.disk else None)
        return meter.read(len(batch.images), sampler.worst if sampler else 0.0)


CLIENTS = {"bare": bare, "nbp": nbp}


def measure_calls(task: Calls) -> Reading:
    """Make the calls on a loop of their own."""
    with tempfile.TemporaryDirectory(prefix="nbp-bench-") as folder:
        work = CLIENTS[task.client](task, Path(folder))
        if task.loop == "uvloop":
            import uvloop

            return uvloop.run(work)
        return asyncio.run(work)
