"""A call that runs beside other work: begun at once, watched, stopped and awaited by its handle."""

import asyncio
from collections.abc import Awaitable, Generator, Iterable
from typing import Any

from nbp_async._batch import Batch
from nbp_async._errors import ConfigError
from nbp_async._flow.plan import Plan
from nbp_async._flow.wiring import log
from nbp_async.display.bar import bar_text
from nbp_async.display.state import Progress


class Running(Awaitable[Batch]):
    """Images that are being made while you do other things: what `Client.start` gives.

    Await it for the Batch. Who waits and is cancelled leaves it running; `stop` and `cancel` end
    it. It goes on whenever the event loop is free: between a notebook's cells and in those that
    await, not while one computes. An error that ends it is raised where it is awaited, and logged
    if nobody waits by then. In a notebook its bar renews itself, in each cell that shows it.

    Args:
        plan: What to begin.
        among: Holds it until it has ended, for an event loop holds no task.

    Raises:
        ConfigError: No event loop runs here. Nothing was sent.
    """

    def __init__(self, plan: Plan, among: "set[Running]") -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            plan.close()
            problem = ConfigError(
                "start() needs an event loop that runs: call it in a coroutine, or use run_many() "
                "in a plain script. Nothing was sent."
            )
        else:
            self._plan = plan
            self._among = among
            self._live = plan.apart()
            self._waiting = 0
            self._task: asyncio.Task[Batch] = loop.create_task(plan)
            self._task.add_done_callback(self._ended)
            among.add(self)
            return
        raise problem

    @property
    def progress(self) -> Progress:
        """Where it stands now."""
        return self._live.now

    @property
    def partial(self) -> Batch:
        """The outcomes so far, in the order of the prompts."""
        return self._plan.partial

    def stop(self) -> None:
        """Send nothing more. What was sent is waited for, and the batch then has what came."""
        self._plan.stop()

    def cancel(self) -> None:
        """End it at once. What is in flight may be billed: it is then named in `partial`."""
        self._task.cancel()

    async def aclose(self) -> None:
        """Stop it and wait until what was sent has ended; `partial` has what came.

        Raises:
            asyncio.CancelledError: You cancelled. What was in flight is dropped as by `cancel`.
        """
        self.stop()
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            self.cancel()
            await asyncio.wait([self._task])
            raise

    def done(self) -> bool:
        """It has ended, one way or the other."""
        return self._task.done()

    def __await__(self) -> Generator[Any, Any, Batch]:
        return self._wait().__await__()

    async def _wait(self) -> Batch:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1

    def _ended(self, task: "asyncio.Task[Batch]") -> None:
        """Told before whoever waits."""
        self._among.discard(self)
        exc = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._live.close(exc)
        if exc is not None and not task.cancelled() and not self._waiting:
            log.error("What start() began has ended: %s: %s", type(exc).__name__, exc)

    def __repr__(self) -> str:
        return f"<Running: {bar_text(self.progress)}>"

    def _repr_html_(self) -> str:
        return self._live.html(self.progress)

    def _ipython_display_(self) -> None:
        """A bar that goes on renewing itself; one for each cell."""
        if not self._live.show_here():
            raise NotImplementedError  # IPython then takes the representations above


async def see_off(started: Iterable[Running]) -> None:
    """Let end what is still going on as its client is closed: what was sent is paid for.

    Raises:
        asyncio.CancelledError: You cancelled. What was in flight is dropped, and may be billed.
    """
    open_ = [running for running in started if not running.done()]
    if open_:
        log.warning(
            "The client is being closed, and what start() began has not ended: nothing more is "
            "sent, and what is paid for is waited for. Await it to have it all."
        )
    for running in open_:
        running.stop()
    for running in open_:
        await running.aclose()
