"""Processes that are killed in the middle of their work.

They are forked from one that has everything imported, so that hundreds start in no time. They are
killed after so many steps of their work, so that a busy machine changes nothing.
"""

import asyncio
import os
import signal
import tempfile
import time
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, Protocol, TypeVar

A_contra = TypeVar("A_contra", contravariant=True)
A = TypeVar("A")


class Step(Protocol):
    """Reports that a step is done, and a number that says which one."""

    def __call__(self, number: int = 0, /) -> None: ...


class InSteps(Protocol[A_contra]):
    """Works in steps, and reports each."""

    def __call__(self, argument: A_contra, step: Step, /) -> object: ...


_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(["bench.__main__", "bench.journal_workloads"])
_LAST_WORDS = 2000  # characters of stderr in an error


class ForkedProcess(Generic[A]):
    """A process that works in steps, to be killed at any moment.

    Attributes:
        steps_done: Its numbers come here, and then its end.
        kill: Ends it (SIGKILL).
    """

    def __init__(self, function: InSteps[A], argument: A) -> None:
        self._errors = tempfile.NamedTemporaryFile()  # noqa: SIM115  `end` closes it
        self.steps_done, theirs = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(
            target=_play, args=(function, argument, theirs, self._errors.name)
        )
        self._process.start()
        theirs.close()
        self.kill = self._process.kill

    async def end(self) -> bool:
        """Wait until it has ended; whether it was killed.

        Raises:
            RuntimeError: It failed; the end of its stderr is in the message.
        """
        await asyncio.to_thread(self._process.join)
        self.steps_done.close()
        code = self._process.exitcode
        with self._errors:
            if code not in (0, -signal.SIGKILL):
                words = await asyncio.to_thread(
                    Path(self._errors.name).read_text, "utf-8", "replace"
                )
                raise RuntimeError(words.strip()[-_LAST_WORDS:] or "a process ended without a word")
        return code != 0


async def killed_after(function: InSteps[A], argument: A, steps: int, seconds: float) -> bool:
    """Run `function` in a process until it has done so many steps, and so long after; then kill it.

    Returns:
        False if it had ended by itself before.

    Raises:
        RuntimeError: It failed; the end of its stderr is in the message.
    """
    process = ForkedProcess(function, argument)
    await asyncio.to_thread(_wait, process.steps_done, steps, seconds)
    process.kill()
    return await process.end()


def _wait(steps_done: Connection, steps: int, seconds: float) -> None:
    with suppress(EOFError):  # it has ended
        for _ in range(steps):
            steps_done.recv()
        time.sleep(seconds)


def _play(function: InSteps[A], argument: A, steps_done: Connection, errors: str) -> None:
    os.dup2(os.open(errors, os.O_WRONLY), 2)
    function(argument, _Sender(steps_done))


class _Sender:
    def __init__(self, steps_done: Connection) -> None:
        self._steps_done = steps_done

    def __call__(self, number: int = 0, /) -> None:
        self._steps_done.send(number)
