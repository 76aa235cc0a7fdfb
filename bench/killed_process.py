"""Processes that are killed in the middle of their work.

They are forked from one that has everything imported, so that hundreds start in no time. They are
killed after so many steps of their work, so that a busy machine changes nothing.
"""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

A = TypeVar("A")
Step = Callable[[], None]
"""Reports that a step is done."""

_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["bench.__main__", "bench.journal_workloads"])
_LAST_WORDS = 2000  # characters of stderr in an error


async def killed_after(
    function: Callable[[A, Step], object], argument: A, steps: int, seconds: float
) -> bool:
    """Run `function` in a process until it has done so many steps, and so long after; then kill it.

    Returns:
        False if it had ended by itself before.

    Raises:
        RuntimeError: It failed; the end of its stderr is in the message.
    """
    with tempfile.NamedTemporaryFile() as errors:
        ours, theirs = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=_play, args=(function, argument, theirs, errors.name))
        process.start()
        theirs.close()
        await asyncio.to_thread(_wait, ours, steps, seconds)
        process.kill()
        await asyncio.to_thread(process.join)
        ours.close()
        if process.exitcode not in (0, -signal.SIGKILL):
            words = await asyncio.to_thread(Path(errors.name).read_text, "utf-8", "replace")
            raise RuntimeError(words.strip()[-_LAST_WORDS:] or "the process ended without a word")
    return process.exitcode != 0


def _wait(steps_done: Connection, steps: int, seconds: float) -> None:
    with suppress(EOFError):  # it has ended
        for _ in range(steps):
            steps_done.recv_bytes()
        time.sleep(seconds)


def _play(
    function: Callable[[A, Step], object], argument: A, steps_done: Connection, errors: str
) -> None:
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    function(argument, lambda: steps_done.send_bytes(b"."))
