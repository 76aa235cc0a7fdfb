"""A client of the task APIs that knows nothing: it sends what it is told, and shows what came."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from nbp_async.fake.faults import Fault
from tests.loopback.fake.calls import Caller, Came


async def submit(call: Caller, prompt: str = "a cat", *faults: Fault, **fields: Any) -> Came:
    """Hand a task in at the article's service; it gets these faults."""
    if faults:
        call.server.script(*faults, match=prompt)
    key = fields.pop("key", call.server.key)
    body = {"model": "nano-banana-pro", "prompt": prompt, **fields}
    url = f"{call.server.openai_url}/images/generations/async"
    return await call.post(url, body, Authorization=f"Bearer {key}")


async def task_of(call: Caller, prompt: str = "a cat", *faults: Fault, **fields: Any) -> str:
    """The id of a task that was handed in."""
    came = await submit(call, prompt, *faults, **fields)
    assert came.status == 200, came.body
    name: str = came.json["task_id"]
    return name


async def look(call: Caller, task: str, key: str = "") -> Came:
    """Look at a task."""
    url = f"{call.server.openai_url}/tasks/{task}"
    return await call.get(url, Authorization=f"Bearer {key or call.server.key}")


async def cancel(call: Caller, task: str, key: str = "") -> Came:
    """Take a task back."""
    url = f"{call.server.openai_url}/tasks/{task}/cancel"
    return await call.post(url, None, Authorization=f"Bearer {key or call.server.key}")


async def state(call: Caller, task: str) -> str:
    """The state that a look shows."""
    name: str = (await look(call, task)).json["status"]
    return name


class Mailbox:
    """A receiver of webhooks that takes what comes, and keeps it.

    Attributes:
        url: Its address.
        letters: Headers and body of each, in the order of their arrival.
        answer: What it answers to each; 200 by default.
    """

    def __init__(self) -> None:
        self.url = ""
        self.letters: list[tuple[dict[str, str], bytes]] = []
        self.times: list[float] = []
        self.answer: Callable[[int], web.Response] = lambda _: web.Response()

    async def _take(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.letters.append((headers, await request.read()))
        self.times.append(asyncio.get_running_loop().time())
        return self.answer(len(self.letters))


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mailbox on a port of this machine."""
    box = Mailbox()
    server = web.Server(box._take, access_log=None)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield box
    finally:
        await runner.cleanup()
