"""The stop button of a notebook: the first lets what is paid for finish, the second drops it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager, start_new_async_kernel

from nbp_async.fake.process import SpawnedServer, spawn
from tests.loopback.durable.kills import assert_books

CELL = """
from nbp_async import Client, Limits, Profile
profile = Profile(name="vendor", base_url={url!r})
async with Client(profile, {key!r}, limits=Limits(max_in_flight=4)) as gen:
    batch = await gen.many([f"prompt {{n}}" for n in range(50)], size="1K", out={out!r})
print(len(batch.images), "images")
"""


@pytest.fixture
async def kernel() -> AsyncIterator[tuple[AsyncKernelManager, AsyncKernelClient]]:
    manager, client = await start_new_async_kernel()
    yield manager, client
    client.stop_channels()
    await manager.shutdown_kernel(now=True)


async def said(client: AsyncKernelClient, message: str) -> str:
    """What the cell that was asked by `message` printed and raised, until it ended."""
    words: list[str] = []
    async with asyncio.timeout(30):
        while True:
            found: dict[str, Any] = await client.get_iopub_msg()
            if found["parent_header"].get("msg_id") != message:
                continue
            content = found["content"]
            words.append(content.get("text", "") + content.get("ename", ""))
            if content.get("execution_state") == "idle":
                return "".join(words)


async def begin(server: SpawnedServer, client: AsyncKernelClient, out: Path) -> str:
    cell = CELL.format(url=server.openai_url, key=server.key, out=str(out))
    message: str = client.execute(cell)
    while (await server.stats()).in_flight < 4:
        await asyncio.sleep(0.02)
    return message


@pytest.mark.filterwarnings("ignore:Kernel is running over TCP")
async def test_the_stop_button_lets_what_is_paid_finish_and_pressed_again_drops_it(
    kernel: tuple[AsyncKernelManager, AsyncKernelClient], tmp_path: Path
) -> None:
    manager, client = kernel
    async with await spawn(latency=1.0) as server:
        message = await begin(server, client, tmp_path)
        await manager.interrupt_kernel()
        words = await said(client, message)
        assert "waiting for 4 requests" in words
        assert "4 images" in words
        assert (await server.stats()).requests == 4

        message = await begin(server, client, tmp_path)
        await manager.interrupt_kernel()
        await asyncio.sleep(0.2)
        await manager.interrupt_kernel()
        assert "CancelledError" in await said(client, message)
        report = await assert_books(server, tmp_path)
        assert report.account.images == 4
        assert sum(row.billing == "maybe" for row in report.rows()) == 4
