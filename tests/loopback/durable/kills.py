"""Start processes of a run, kill them, and ask the bank whether the books are right."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from nbp_async import JournalError, NoRunError, Profile
from nbp_async._journal.reader import Report, read_run
from nbp_async.fake.bank import prompt_digest
from nbp_async.fake.process import SpawnedServer
from tests.loopback.durable import child

ROOT = Path(__file__).parents[3]


def task_of(server: SpawnedServer, folder: Path, **more: Any) -> dict[str, Any]:
    return {"url": server.openai_url, "key": server.key, "folder": str(folder), **more}


class Child:
    """A process of a run, forked from one that has everything imported: it starts at once."""

    def __init__(self, task: dict[str, Any]) -> None:
        said = Path(task["folder"]).parent
        self._out, self._err = said / "child.out", said / "child.err"
        self._process = _FORKS.Process(
            target=_play, args=(task, dict(os.environ), self._out, self._err)
        )
        self._process.start()
        self.kill = self._process.kill

    async def end(self) -> int:
        """Its exit code, once it has ended; below 0 it is the signal that ended it."""
        await asyncio.to_thread(self._process.join)
        code = self._process.exitcode
        assert code in (0, -signal.SIGKILL), self._err.read_text()[-2000:]
        return code

    def said(self) -> dict[str, Any]:
        """What it says of its batch."""
        said: dict[str, Any] = json.loads(self._out.read_bytes())
        return said


_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([child.__name__])


def _play(task: dict[str, Any], environ: dict[str, str], out: Path, err: Path) -> None:
    os.environ.update(environ)
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    asyncio.run(child.main(task))


async def finish(task: dict[str, Any]) -> dict[str, Any]:
    """Run a process to its end, and return what it says of its batch."""
    process = Child(task)
    assert await process.end() == 0
    return process.said()


async def kill_at(task: dict[str, Any]) -> bool:
    """Run a process that kills itself at `task["at"]`; False if it never came to that."""
    return await Child(task).end() != 0


async def billed(server: SpawnedServer) -> Counter[str]:
    """Images that the bank billed, by prompt digest; waits until nothing is in work there."""
    while (stats := await server.stats()).in_flight or stats.open_tasks:
        await asyncio.sleep(0.02)
    return Counter((await server.witness(prompts=True)).images_by_prompt)


def size_of_file(folder: Path, path: str) -> int:
    return (folder / path).stat().st_size


async def assert_books(
    server: SpawnedServer,
    folder: Path,
    size_of: Callable[[Path, str], int] = size_of_file,
    *,
    run: str = "",
) -> Report:
    """What was billed is what is there, plus what is named as lost or unclear; to the cent."""
    report = read_run(run or folder)
    paid = await billed(server)
    for row in report.rows():
        count = paid[prompt_digest(row.prompt)]
        if row.ok:
            assert size_of(folder, row.path) == row.size_bytes
            assert count >= 1, f"{row.prompt} is there, and nobody paid for it"
        certain = int(row.spent_usd / Decimal("0.134"))
        assert certain <= count <= row.attempts, (row, count)
    dollars = (await server.stats()).dollars
    account = report.totals
    assert account.spent <= dollars <= account.spent + account.maybe, (account, dollars)
    return report


async def has_begun(server: SpawnedServer, folder: Path) -> bool:
    """There is a journal; before there is one, nothing was sent."""
    try:
        read_run(folder)
    except JournalError as exc:
        assert isinstance(exc, NoRunError) or "its journal is empty" in str(exc)
        assert not await billed(server)
        return False
    return True


def profile_of(server: SpawnedServer) -> Profile:
    return Profile(name="vendor", base_url=server.openai_url)
