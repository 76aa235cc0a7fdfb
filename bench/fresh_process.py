"""Functions in fresh processes: what is measured starts in an interpreter of its own.

```python
reading = await call_fresh(measure_calls, task)  # argument and result travel as JSON

async with started(play, task) as child:  # or step by step
    await child.line()  # what the function gave to `child.report`
    child.go_on()  # and `report` returns
```
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import IO, Any, TypeVar, cast

import msgspec
import psutil

from bench.child import types_of

_LONGEST_LINE = 1 << 28  # bytes
_LAST_WORDS = 2000  # characters of stderr in an error

A = TypeVar("A")
R = TypeVar("R")


class Child:
    """A process that reports lines and waits for ours."""

    def __init__(self, process: asyncio.subprocess.Process, errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors
        self.pid = process.pid

    async def line(self) -> bytes:
        """Its next line.

        Raises:
            RuntimeError: It ended instead; the end of its stderr is in the message.
        """
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line.endswith(b"\n"):
            return line
        await self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode("utf-8", "replace").strip()
        raise RuntimeError(words[-_LAST_WORDS:] or "the process ended without a word")

    def go_on(self, line: bytes = b"") -> None:
        """Let it continue."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            for one in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    one.kill()


@asynccontextmanager
async def started(function: Callable[[A], object], argument: A) -> AsyncIterator[Child]:
    """A fresh interpreter that runs `function`; on leaving, its stdin ends, and so must it."""
    name = f"{function.__module__}:{function.__name__}"
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.child",
            name,
            limit=_LONGEST_LINE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
        child = Child(process, errors)
        try:
            child.go_on(msgspec.json.encode(argument))
            yield child
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def call_fresh(function: Callable[[A], R], argument: A, *, limit: float = 3600.0) -> R:
    """Call `function` in a fresh interpreter; at most `limit` seconds.

    Raises:
        RuntimeError: It failed; its traceback is in the message.
        TimeoutError: It took too long.
    """
    result: Any = types_of(function)[1]
    async with asyncio.timeout(limit), started(function, argument) as child:
        return cast("R", msgspec.json.decode(await child.line(), type=result))
