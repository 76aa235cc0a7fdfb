"""Those who wait for outcomes of a run: woken by this process's work, and by looks at the rest."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nbp_async._client.run_tickets import outcome_of
from nbp_async._journal.run_queue import QueueEntry
from nbp_async._models.outcomes import Outcome

_ASKED_AT_ONCE = 500  # tickets of one look

Look = Callable[[Sequence[int]], Awaitable[list[QueueEntry]]]


class OutcomeWaiters:
    """One task looks for all that are waited for; however many wait, a look is one question.

    Args:
        look: Says how items stand.
        poll: Seconds between two looks.
    """

    def __init__(self, look: Look, poll: float) -> None:
        self._look = look
        self._poll = poll
        self._waiting: dict[int, list[asyncio.Future[Outcome]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def wait(self, item: int) -> Outcome:
        """The outcome of an item that has none yet."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(item, []).append(future)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self._look_until_none_waits())
        try:
            return await future
        finally:
            others = [one for one in self._waiting.pop(item, []) if one is not future]
            if others:
                self._waiting[item] = others

    def resolve(self, item: int, outcome: Outcome) -> None:
        """The item has this outcome."""
        for future in self._waiting.get(item, ()):
            if not future.done():
                future.set_result(outcome)

    def close(self) -> None:
        """Nobody is woken any more."""
        if self._looking is not None:
            self._looking.cancel()
        for futures in self._waiting.values():
            for future in futures:
                future.cancel()

    async def _look_until_none_waits(self) -> None:
        while self._waiting:
            items = list(self._waiting)
            for start in range(0, len(items), _ASKED_AT_ONCE):
                try:
                    entries = await self._look(items[start : start + _ASKED_AT_ONCE])
                except Exception as exc:  # noqa: BLE001  raised where it is waited for
                    self._fail(exc)
                    return
                for entry in entries:
                    outcome = outcome_of(entry)
                    if outcome is not None:
                        self.resolve(entry.entry.item, outcome)
            await asyncio.sleep(self._poll)

    def _fail(self, error: Exception) -> None:
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)
