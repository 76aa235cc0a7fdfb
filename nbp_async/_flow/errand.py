"""One call of `many` or `stream`, from opening to end: who works, who watches, who may stop it."""

from collections.abc import Awaitable, Callable

from nbp_async._errors import NbpError
from nbp_async._flow.batch import BatchCrew
from nbp_async._flow.brake import two_steps
from nbp_async._flow.many import Crew
from nbp_async._flow.run import Run
from nbp_async._flow.source import Jobs
from nbp_async._flow.wiring import Wiring
from nbp_async._models import Outcome
from nbp_async.display.live import Live
from nbp_async.display.screen import notebook, screen_for

Deliver = Callable[[Outcome], Awaitable[None] | None]


class Errand:
    """A call that was asked for: opened late, so that a plan costs nothing.

    Args:
        wire: Opens the client's parts, and what belongs to this call alone.
        jobs: What to make.
        width: How many requests, or tasks, may be out at once.
        progress: Show in a notebook how it goes.
    """

    def __init__(
        self,
        wire: Callable[[], tuple[Wiring, Run]],
        jobs: Jobs,
        *,
        width: int,
        progress: bool,
    ) -> None:
        self.jobs = jobs
        self.run: Run | None = None
        self._wire = wire
        self._width = width
        self._progress = progress
        self._live: Live | None = None
        self._apart = False
        self._paused: Callable[[], float] = float
        self._crew: Crew | BatchCrew | None = None
        self._stopping = False

    async def work(self, deliver: Deliver) -> None:
        """Do it, and show it where somebody sees it."""
        wiring, self.run = self._wire()
        self._paused = wiring.paused
        if self._live is None and self._progress:
            self._live = self._watched(even_unseen=False)
        if self._live is None:
            await self._work(wiring, self.run, deliver)
            return
        async with self._live as live:
            await self._work(wiring.heard_by(live), self.run, deliver)

    async def _work(self, wiring: Wiring, run: Run, deliver: Deliver) -> None:
        kind = BatchCrew if run.via == "batch" else Crew
        crew = self._crew = kind(wiring, run, self.jobs, deliver)
        if self._stopping:
            crew.stop()
        if not self._heeds_signals(run):
            await crew.work()
            return

        def brake() -> str:
            crew.stop()
            if self._live is None or not self._live.shown:
                return _parting_words(wiring, run)
            if run.via != "batch":
                self._live.say("The stop button, pressed once more, drops them.")
            return ""

        with two_steps(brake):
            await crew.work()

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for."""
        self._stopping = True
        if self._crew is not None:
            self._crew.stop()

    def apart(self) -> Live:
        """Count it from now on: it is about to run beside other work."""
        self._apart = True
        if self._live is None:
            self._live = self._watched(even_unseen=True)
            assert self._live is not None
            self._live.open()
        return self._live

    @property
    def stopped(self) -> NbpError | None:
        return self.run.stopped if self.run is not None else None

    @property
    def dropped(self) -> list[Outcome]:
        return self.run.dropped if self.run is not None else []

    def _watched(self, *, even_unseen: bool) -> Live | None:
        screen = screen_for(self._progress)
        if screen is None and not even_unseen:
            return None
        return Live(
            self._width,
            total=lambda: self.jobs.images,
            stopped=lambda: self.stopped,
            paused=lambda: self._paused(),
            screen=screen,
        )

    def _heeds_signals(self, run: Run) -> bool:
        """A run does. In a notebook all calls do, for there a cell that ends takes its images with
        it; but its stop button means the cell, and not what runs beside it.
        """
        if notebook() is None:
            return run.past is not None
        return not self._apart


def _parting_words(wiring: Wiring, run: Run) -> str:
    """What is still waited for, after a first signal."""
    if run.via == "batch":
        return (
            "Stopping: no more batch jobs are created; those that are go on at the vendor. "
            "The same call brings their images later."
        )
    later = " The same call goes on later." if run.past is not None else ""
    return (
        f"Stopping: nothing more is sent; waiting for {wiring.slots.in_use} requests that are out "
        f"and paid for. Once more drops them.{later}"
    )
