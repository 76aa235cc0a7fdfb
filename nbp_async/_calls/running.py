"""A call that runs beside other work: it begins at once, and its handle watches and stops it."""

import asyncio
import logging
from collections.abc import Awaitable, Generator, Iterable
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._calls.batch import Batch
from nbp_async._calls.plan import Plan
from nbp_async.display.progress import Progress
from nbp_async.display.progress_text import progress_text

log = logging.getLogger("nbp_async")


class Running(Awaitable[Batch]):
    """Images that are being made while you do other things: what `Client.start` gives.

    Await it for the Batch. If the task that awaits it is cancelled, it goes on; `stop` and `cancel`
    end it. It runs whenever the event loop is free: between a notebook's cells and in cells that
    await, not while a cell computes. An error that ends it is raised where it is awaited, and
    logged if nobody awaits it then. In a notebook its bar updates in each cell that shows it.

    Args:
        plan: What to begin.
        among: Holds it until it has ended: an event loop keeps no reference to its tasks.

    Raises:
        ConfigError: No event loop runs here. Nothing was sent.
    """

    def __init__(self, plan: Plan, among: "set[Running]") -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            plan.close()
            raise ConfigError(
                "start() needs an event loop that runs: call it in a coroutine, or use run_many() "
                "in a plain script. Nothing was sent."
            ) from None
        self._plan = plan
        self._among = among
        self._live = plan.apart()
        self._waiting = 0
        self._task: asyncio.Task[Batch] = loop.create_task(plan)
        self._task.add_done_callback(self._ended)
        among.add(self)

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._live.progress

    @property
    def partial(self) -> Batch:
        """The outcomes so far, in the order of the prompts."""
        return self._plan.partial

    def stop(self) -> None:
        """Send nothing more. What was sent is waited for, and the batch has what came."""
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
        """It has ended, with or without an error."""
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
        """Runs before awaiting callers resume."""
        self._among.discard(self)
        exc = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._live.close(exc)
        if exc is not None and not task.cancelled() and not self._waiting:
            log.error("The call that start() began has failed: %s: %s", type(exc).__name__, exc)

    def __repr__(self) -> str:
        return f"<Running: {progress_text(self.progress)}>"

    def _repr_html_(self) -> str:
        return self._live.html()

    def _ipython_display_(self) -> None:
        """A bar that updates itself; one for each cell."""
        if not self._live.show_here():
            raise NotImplementedError  # IPython then takes the representations above


async def drain(started: Iterable[Running]) -> None:
    """Wait for what is still running when its client is closed: what was sent is paid for.

    Raises:
        asyncio.CancelledError: You cancelled. What was in flight is dropped, and may be billed.
    """
    open_ = [running for running in started if not running.done()]
    if open_:
        log.warning(
            "The client is being closed before the call that start() began has ended: nothing more "
            "is sent, and what was sent is waited for. Await the call to get all images."
        )
    for running in open_:
        running.stop()
    for running in open_:
        await running.aclose()
