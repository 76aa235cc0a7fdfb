"""Replicate's client as it comes, by `async_run`: it waits, and then polls.

On request it gets more than its 100 connections, and the time to wait for one.
"""

from typing import Any

import httpx
import replicate

from bench.beside.peer_task import Made, Recorder, make_each


async def play(recorder: Recorder) -> None:
    task = recorder.task
    more: dict[str, Any] = {}
    if task.at_once:
        transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=None))
        more = {"transport": transport, "timeout": httpx.Timeout(60)}
    client = replicate.Client(task.key, base_url=f"{task.root}/replicate", **more)

    async def make(prompt: str) -> Made:
        output = await client.async_run(
            "google/nano-banana-pro", input={"prompt": prompt, "resolution": "1K"}
        )
        if task.save:
            return Made(image=await output.aread())
        return Made(link=str(output))

    await make_each(recorder, make)
