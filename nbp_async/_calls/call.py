"""One call of `many` or `stream`, from its opening to its end: work, display, signals."""

from collections.abc import Callable
from functools import partial

from nbp_async._base.errors import NbpError
from nbp_async._calls.signals import stop_on_signals
from nbp_async._flow.call_state import CallState
from nbp_async._flow.delivery import Deliver, Delivery, Pool
from nbp_async._flow.job_source import Jobs
from nbp_async._models.outcomes import Outcome
from nbp_async.display.live_display import LiveDisplay
from nbp_async.display.screen import notebook, screen_for

Opened = tuple[CallState, Delivery]


class Call:
    """One call, opened only when it begins, so that a plan costs nothing.

    Args:
        open_parts: Opens the client's parts: what belongs to this call alone, and its delivery.
        jobs: What to make.
        width: How many requests, or tasks, may be out at once.
        progress: Show in a notebook how it goes.
    """

    def __init__(
        self,
        open_parts: Callable[[], Opened],
        jobs: Jobs,
        *,
        width: int,
        progress: bool,
    ) -> None:
        self.jobs = jobs
        self._state: CallState | None = None
        self._open_parts = open_parts
        self._width = width
        self._progress = progress
        self._live: LiveDisplay | None = None
        self._apart = False
        self._paused: Callable[[], float] = float
        self._pool: Pool | None = None
        self._stopping = False

    async def work(self, deliver: Deliver) -> None:
        """Do it, and show its progress in a notebook."""
        state, delivery = self._open_parts()
        self._state, self._paused = state, partial(_paused, delivery)
        self._pool = delivery.pool(state, self.jobs, deliver)
        if self._live is None and self._progress:
            self._live = self._watched(even_unseen=False)
        if self._live is None:
            await self._work(self._pool, state, delivery)
            return
        async with self._live as live:
            state.listeners = state.listeners.plus(live)
            await self._work(self._pool, state, delivery)

    async def _work(self, pool: Pool, state: CallState, delivery: Delivery) -> None:
        if self._stopping:
            pool.stop()
        if not self._heeds_signals(state):
            await pool.work()
            return

        def stop() -> str:
            pool.stop()
            if self._live is None or not self._live.is_shown:
                return delivery.stop_message(state)
            if delivery.second_stop:
                self._live.set_note(delivery.second_stop)
            return ""

        with stop_on_signals(stop):
            await pool.work()

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for."""
        self._stopping = True
        if self._pool is not None:
            self._pool.stop()

    def apart(self) -> LiveDisplay:
        """Begin to count it, because it will run beside other work."""
        self._apart = True
        if self._live is None:
            self._live = self._watched(even_unseen=True)
            assert self._live is not None
            self._live.open()
        return self._live

    @property
    def stopped(self) -> NbpError | None:
        return self._state.stopped if self._state is not None else None

    @property
    def dropped(self) -> list[Outcome]:
        return self._state.dropped if self._state is not None else []

    def _watched(self, *, even_unseen: bool) -> LiveDisplay | None:
        screen = screen_for(self._progress)
        if screen is None and not even_unseen:
            return None
        return LiveDisplay(
            self._width,
            total=lambda: self.jobs.images,
            stopped=lambda: self.stopped,
            paused=lambda: self._paused(),
            screen=screen,
        )

    def _heeds_signals(self, state: CallState) -> bool:
        """A run does. In a notebook all calls do, for there a cell that ends takes its images with
        it; but its stop button means the cell, and not what runs beside it.
        """
        if notebook() is None:
            return state.past is not None
        return not self._apart


def _paused(delivery: Delivery) -> float:
    """Seconds until the first of its endpoints takes requests again, or 0.0."""
    return min(endpoint.paused() for endpoint in delivery.endpoints)
