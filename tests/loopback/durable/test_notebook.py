"""In a real kernel: the live display, what runs beside other cells, and the stop button.

Pressed once the stop button lets what is paid for finish, pressed again it drops it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager, start_new_async_kernel

from nbp_async.fake.process import SpawnedServer, spawn
from tests.loopback.durable.kills import assert_books

OPEN = """
from nbp_async import Client, Limits, Profile
profile = Profile(name="vendor", base_url={url!r})
gen = Client(profile, {key!r}, limits=Limits(max_in_flight=4))
"""
CELL = """
batch = await gen.many([f"prompt {{n}}" for n in range(50)], size="1K", out={out!r})
print(len(batch.images), "images")
"""
pytestmark = pytest.mark.filterwarnings("ignore:Kernel is running over TCP")


@dataclass
class Said:
    """What a cell printed and raised, and what its displays showed, by their ids."""

    words: str = ""
    shown: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    results: list[dict[str, str]] = field(default_factory=list)
    heard_by_the_cell: int = 0

    def hear(self, kind: str, content: dict[str, Any]) -> None:
        self.words += content.get("text", "") + content.get("ename", "")
        if kind in ("display_data", "update_display_data"):
            name = content["transient"]["display_id"]
            if kind == "update_display_data" and name not in self.shown:
                return  # that of an earlier cell, said again
            assert (name in self.shown) == (kind == "update_display_data")
            self.shown.setdefault(name, []).append(content["data"])
        elif kind == "execute_result":
            self.results.append(content["data"])

    @property
    def bar(self) -> list[str]:
        """The texts of the one bar."""
        (bar,) = self.shown.values()
        return [data["text/plain"] for data in bar]


@dataclass
class Notebook:
    manager: AsyncKernelManager
    client: AsyncKernelClient

    async def open(self, server: SpawnedServer) -> None:
        await self.run(OPEN.format(url=server.openai_url, key=server.key))

    async def run(self, cell: str) -> Said:
        return await self.end(self.client.execute(cell))

    async def begin(self, server: SpawnedServer, cell: str) -> str:
        """Run a cell until four requests are out."""
        message: str = self.client.execute(cell)
        while (await server.stats()).in_flight < 4:
            await asyncio.sleep(0.02)
        return message

    async def end(self, message: str, said: Said | None = None) -> Said:
        """All that was said until the cell that was asked by `message` ended."""
        said = said or Said()
        async with asyncio.timeout(30):
            while True:
                found: dict[str, Any] = await self.client.get_iopub_msg()
                said.hear(found["msg_type"], found["content"])
                if found["parent_header"].get("msg_id") != message:
                    continue
                said.heard_by_the_cell += found["msg_type"] == "update_display_data"
                if found["content"].get("execution_state") == "idle":
                    return said


@pytest.fixture
async def notebook() -> AsyncIterator[Notebook]:
    manager, client = await start_new_async_kernel()
    yield Notebook(manager, client)
    client.stop_channels()
    await manager.shutdown_kernel(now=True)


async def test_the_stop_button_lets_what_is_paid_finish_and_pressed_again_drops_it(
    notebook: Notebook, tmp_path: Path
) -> None:
    async with await spawn(latency=1.0) as server:
        await notebook.open(server)
        message = await notebook.begin(server, CELL.format(out=str(tmp_path)))
        await notebook.manager.interrupt_kernel()
        said = await notebook.end(message)
        stopping = [text for text in said.bar if "Stopping" in text]
        assert "nothing more is sent; 4 requests" in stopping[0]
        assert "pressed once more, drops them" in stopping[0]
        assert said.bar[-1].startswith("Stopped: 4 images · 46 not sent")
        assert said.words == "4 images\n"
        assert (await server.stats()).requests == 4

        message = await notebook.begin(server, CELL.format(out=str(tmp_path)))
        await notebook.manager.interrupt_kernel()
        await asyncio.sleep(0.2)
        await notebook.manager.interrupt_kernel()
        said = await notebook.end(message)
        assert "CancelledError" in said.words
        assert said.bar[-1].startswith("Cancelled: 4 images · 4 failed · 42 not sent · 4 there")
        report = await assert_books(server, tmp_path)
        assert report.totals.images == 4
        assert sum(row.billing == "maybe" for row in report.rows()) == 4

        # without a folder, too: a cell that is cancelled would take its images with it
        message = await notebook.begin(server, CELL.format(out=None))
        await notebook.manager.interrupt_kernel()
        said = await notebook.end(message)
        assert said.bar[-1].startswith("Stopped: 4 images · 46 not sent")
        assert said.words == "4 images\n"


async def test_a_bar_renews_itself_beside_other_cells(notebook: Notebook) -> None:
    async with await spawn(latency=0.6) as server:
        await notebook.open(server)
        said = await notebook.run("plan = gen.many(['<b>a</b>'] * 12, size='1K'); plan")
        assert "12 images: 12 to make" in said.results[0]["text/html"]
        assert (await server.stats()).requests == 0

        said = await notebook.run("gen.start(['<b>a</b>'] * 12, size='1K')")
        assert not said.results, "the bar stands for it, once"
        ((name, bar),) = said.shown.items()
        assert 'role="progressbar"' in bar[0]["text/html"]
        assert bar[0]["text/plain"].startswith("0 of 12")

        beside = Said(shown={name: bar})
        message = notebook.client.execute("import asyncio; await asyncio.sleep(0.7); 6 * 7")
        said = await notebook.end(message, beside)
        assert said.results[0]["text/plain"] == "42"
        assert said.heard_by_the_cell >= 2, "what saves notebooks listens to the cell that runs"
        async with asyncio.timeout(30):
            while not said.bar[-1].startswith("12 images"):
                found: dict[str, Any] = await notebook.client.get_iopub_msg()
                said.hear(found["msg_type"], found["content"])
        assert any("4 in flight" in text for text in said.bar)
        last = bar[-1]["text/html"]
        assert last.count("<img ") == 6
        assert "&lt;b&gt;a&lt;/b&gt;" in last
        assert "<b>a" not in last

        said = await notebook.run("batch = await gen.many(['a'] * 3, progress=False); len(batch)")
        assert (said.shown, said.results[0]["text/plain"]) == ({}, "3")
        await look_at_the_batch(notebook)
        said = await notebook.run("await gen.aclose()")
        assert said.words == ""


async def look_at_the_batch(notebook: Notebook) -> None:
    """Its sheet is there at once, and its pictures come while other cells run."""
    said = await notebook.run("batch")
    assert not said.results, "the sheet stands for it, once"
    ((name, sheet),) = said.shown.items()
    assert "<b>3 images</b>" in sheet[0]["text/html"]
    assert sheet[0]["text/plain"].startswith("Batch(3 ok")
    beside = Said(shown={name: sheet})
    await notebook.end(notebook.client.execute("await asyncio.sleep(0.3)"), beside)
    async with asyncio.timeout(30):
        while sheet[-1]["text/html"].count("<img ") < 3:
            found: dict[str, Any] = await notebook.client.get_iopub_msg()
            beside.hear(found["msg_type"], found["content"])
    said = await notebook.run("batch[0]")
    assert "<img " in said.results[0]["text/html"]
    assert len(said.results[0]["text/html"]) < 60_000
