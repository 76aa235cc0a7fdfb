"""The jobs of a run's queue: drawn from it as places come free, by any number of processes."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence

from nbp_async._base.errors import ConfigError
from nbp_async._flow.job_source import InvalidPrompt
from nbp_async._flow.resume_state import ResumeState
from nbp_async._journal.run_queue import QueueEntry
from nbp_async._models.outcomes import Failure, Job

_LOOK_AGAIN = 1.0  # seconds between two looks into an empty queue
_AT_ONCE = 20  # items of one draw: what a process has drawn no other one can make


class QueueSource:
    """See `job_source.Jobs`. The index of a job is the number of its item.

    Args:
        past: The run, once its journal is open.
        job_of: Makes a job of what was submitted, at the prices of this process's endpoint.
        room: How many places are free.
        items: Draw these alone; None for all.
        forever: Wait for more when the queue is empty; else that is the end.
    """

    count = None
    wanted = None
    images = None
    is_queue = True

    def __init__(
        self,
        past: Callable[[], ResumeState],
        job_of: Callable[[QueueEntry], Job],
        room: Callable[[], int],
        *,
        items: Sequence[int] | None = None,
        forever: bool,
    ) -> None:
        self._past = past
        self._job_of = job_of
        self._room = room
        self._items = items
        self._forever = forever
        self._drawn: deque[QueueEntry] = deque()
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._stopped = False

    async def check(self) -> None:
        """Nothing is known before it is drawn."""

    async def aclose(self) -> None:
        """What was drawn and not begun is in the queue again."""
        past = self._past()
        while self._drawn and past.queue is not None:
            past.queue.give_back(self._drawn.popleft().entry.item)

    def stop(self) -> None:
        """Draw no more."""
        self._stopped = True
        self._woken.set()

    def wake(self) -> None:
        """Look into the queue at once: something was submitted."""
        self._woken.set()

    async def draw(self) -> Job | None:
        """The next job; None if there is none now, or this was stopped.

        Raises:
            InvalidPrompt: It cannot be made here, which is its outcome.
            JournalError: The queue cannot be read.
        """
        past = self._past()
        async with self._turn:
            while not self._drawn:
                if self._stopped or not await self._fill(past):
                    return None
            if self._stopped:
                return None
            drawn = self._drawn.popleft()
        item = drawn.entry.item
        try:
            job = self._job_of(drawn)
        except ConfigError as exc:
            prompt = drawn.entry.prompt
            await past.journal.finish(item, Failure(index=item, prompt=prompt, error=exc))
            raise InvalidPrompt(item, prompt, exc) from None
        past.drawn[item] = drawn
        return job

    async def _fill(self, past: ResumeState) -> bool:
        """Draw some, or wait a while; False if there is nothing to wait for."""
        queue = past.queue
        assert queue is not None, "it is the queue's source"
        self._woken.clear()
        self._drawn.extend(await queue.draw(max(1, min(self._room(), _AT_ONCE)), self._items))
        if self._drawn:
            # One that was cancelled before, failed for nothing and is queued again is wanted now.
            past.unwanted.difference_update(one.entry.item for one in self._drawn)
            return True
        if not self._forever and not (await queue.counts(self._items)).ready:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN):
                await self._woken.wait()
        return True
