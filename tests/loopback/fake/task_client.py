"""A plain client of relays' task mode (`article`), and a receiver of webhooks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from nbp_async.fake.faults import Fault
from tests.loopback.fake.api_client import ApiClient, HttpReply


async def submit(
    call: ApiClient, prompt: str = "a cat", *faults: Fault, **fields: Any
) -> HttpReply:
    """Submit a task that meets these faults."""
    if faults:
        call.server.script(*faults, match=prompt)
    key = fields.pop("key", call.server.key)
    body = {"model": "nano-banana-pro", "prompt": prompt, **fields}
    url = f"{call.server.openai_url}/images/generations/async"
    return await call.post(url, body, Authorization=f"Bearer {key}")


async def task_of(call: ApiClient, prompt: str = "a cat", *faults: Fault, **fields: Any) -> str:
    """The id of a new task."""
    reply = await submit(call, prompt, *faults, **fields)
    assert reply.status == 200, reply.body
    name: str = reply.json["task_id"]
    return name


async def poll(call: ApiClient, task: str, key: str = "") -> HttpReply:
    """Poll a task."""
    url = f"{call.server.openai_url}/tasks/{task}"
    return await call.get(url, Authorization=f"Bearer {key or call.server.key}")


async def cancel(call: ApiClient, task: str, key: str = "") -> HttpReply:
    """Cancel a task."""
    url = f"{call.server.openai_url}/tasks/{task}/cancel"
    return await call.post(url, None, Authorization=f"Bearer {key or call.server.key}")


async def state(call: ApiClient, task: str) -> str:
    """The state in the answer to a poll."""
    name: str = (await poll(call, task)).json["status"]
    return name


class HookReceiver:
    """A receiver of webhooks that keeps them all.

    Attributes:
        url: Its address.
        letters: Headers and body of each, in the order of their arrival.
        answer: What it answers to each; 200 by default.
    """

    def __init__(self) -> None:
        self.url = ""
        self.webhooks: list[tuple[dict[str, str], bytes]] = []
        self.times: list[float] = []
        self.answer: Callable[[int], web.Response] = lambda _: web.Response()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.webhooks.append((headers, await request.read()))
        self.times.append(asyncio.get_running_loop().time())
        return self.answer(len(self.webhooks))


@asynccontextmanager
async def hook_receiver() -> AsyncIterator[HookReceiver]:
    """A receiver on a port of this machine."""
    receiver = HookReceiver()
    server = web.Server(receiver._take, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
