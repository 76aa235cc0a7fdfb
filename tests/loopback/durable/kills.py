"""Start processes of a run, kill them, and ask the bank whether the books are right."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from nbp_async import Profile
from nbp_async._journal.reader import Report, read_run
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.process import SpawnedServer

ROOT = Path(__file__).parents[3]


def task_of(server: SpawnedServer, folder: Path, **more: Any) -> dict[str, Any]:
    return {"url": server.openai_url, "key": server.key, "folder": str(folder), **more}


async def start(task: dict[str, Any]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.loopback.durable.child", json.dumps(task),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def finish(task: dict[str, Any]) -> dict[str, Any]:
    """Run a process to its end, and return what it says of its batch."""
    process = await start(task)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2000:]
    said: dict[str, Any] = json.loads(out)
    return said


async def kill_at(task: dict[str, Any]) -> bool:
    """Run a process that kills itself at `task["at"]`; False if it never came to that."""
    process = await start(task)
    _, err = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), err.decode()[-2000:]
    return process.returncode != 0


async def billed(server: SpawnedServer) -> Counter[str]:
    """Images that the bank billed, by prompt digest; waits until nothing is in work there."""
    while (stats := await server.stats()).in_flight or stats.open_tasks:
        await asyncio.sleep(0.02)
    return Counter((await server.witness(prompts=True)).images_by_prompt)


def size_of_file(folder: Path, path: str) -> int:
    return (folder / path).stat().st_size


async def assert_books(
    server: SpawnedServer, folder: Path, size_of: Callable[[Path, str], int] = size_of_file
) -> Report:
    """What was billed is what is there, plus what is named as lost or unclear; to the cent."""
    report = read_run(folder)
    paid = await billed(server)
    for row in report.rows():
        count = paid[prompt_digest(row.prompt)]
        if row.ok:
            assert size_of(folder, row.path) == row.size_bytes
            assert count >= 1, f"{row.prompt} is there, and nobody paid for it"
        certain = int(row.spent_usd / Decimal("0.134"))
        assert certain <= count <= row.attempts, (row, count)
    dollars = (await server.stats()).dollars
    account = report.account
    assert account.spent <= dollars <= account.spent + account.maybe, (account, dollars)
    return report


def profile_of(server: SpawnedServer) -> Profile:
    return Profile(name="vendor", base_url=server.openai_url)
