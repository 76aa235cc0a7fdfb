"""Hints that a task may be done. Nothing of them is believed: they only end a wait early."""

import asyncio
from collections import OrderedDict

_PARKED = 10_000  # hints of tasks that nobody knows yet; a webhook may come before the submit's end


class Hints:
    """Wakes who waits for a task, whichever of the two comes first."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}
        self._parked: OrderedDict[str, None] = OrderedDict()

    def tell(self, task: str) -> None:
        """Something is said to have happened to this task."""
        event = self._waiting.get(task)
        if event is not None:
            event.set()
            return
        self._parked[task] = None
        self._parked.move_to_end(task)
        if len(self._parked) > _PARKED:
            self._parked.popitem(last=False)

    async def wait(self, task: str, seconds: float) -> bool:
        """Wait so long, or until there is a hint; True if there was one."""
        if task in self._parked:
            del self._parked[task]
            return True
        event = self._waiting[task] = asyncio.Event()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await event.wait()
        except TimeoutError:
            return event.is_set()
        finally:
            del self._waiting[task]
        return True
