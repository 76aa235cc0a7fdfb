"""Hints that a task may be done. They are not trusted: a hint only ends a wait early."""

import asyncio
from collections import OrderedDict

# Hints that are kept for tasks which nobody waits for yet: a webhook may arrive before the reply
# to the submit that names the task.
_MOST_EARLY = 10_000


class PollHints:
    """Wakes the poller of a task, whether the hint or the wait comes first."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}
        self._early: OrderedDict[str, None] = OrderedDict()

    def notify(self, task: str) -> None:
        """Somebody says that this task has changed."""
        event = self._waiting.get(task)
        if event is not None:
            event.set()
            return
        self._early[task] = None
        self._early.move_to_end(task)
        if len(self._early) > _MOST_EARLY:
            self._early.popitem(last=False)

    async def wait(self, task: str, seconds: float) -> bool:
        """Wait so long, or until there is a hint; True if there was one."""
        if task in self._early:
            del self._early[task]
            return True
        event = self._waiting[task] = asyncio.Event()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await event.wait()
        except TimeoutError:
            return event.is_set()  # both may happen in one turn of the loop
        finally:
            del self._waiting[task]
        return True
