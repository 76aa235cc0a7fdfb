"""One stream of work on a run: where its jobs come from, and what of it may be cancelled."""

from collections.abc import Callable, Iterable, Sequence

from nbp_async._calls.call import Call, Opened
from nbp_async._calls.plan import Stream
from nbp_async._flow.queue_source import QueueSource
from nbp_async._flow.resume_state import ResumeState
from nbp_async._journal.run_queue import QueueEntry
from nbp_async._models.outcomes import Job


class RunWork:
    """A stream of `Run.work`.

    Args:
        open_call: Opens the call, with the run's journal as its own.
        job_of: Makes a job of what was submitted.
        room: How many places are free.
        width: How many requests may be out at once.
        items: Make these alone; None for all of the queue.
        forever: Wait for more when nothing is left to draw.
    """

    def __init__(
        self,
        open_call: Callable[[], Opened],
        job_of: Callable[[QueueEntry], Job],
        room: Callable[[], int],
        *,
        width: int,
        items: Sequence[int] | None,
        forever: bool,
    ) -> None:
        self._open_call = open_call
        self._past: ResumeState | None = None
        self._source = QueueSource(self._state, job_of, room, items=items, forever=forever)
        self.stream = Stream(Call(self._open, self._source, width=width, progress=False), width)
        self.is_of_all = items is None
        self.wake = self._source.wake

    def cancel(self, items: Iterable[int]) -> None:
        """Nobody wants these any more: what is out of them here ends, and may be billed."""
        for item in items if self._past is not None else ():
            self._state().cancel(item)

    async def aclose(self) -> None:
        """Send nothing more, and wait for what was sent."""
        self.stream.stop()
        async for _ in self.stream:
            pass  # it is in the journal

    def _open(self) -> Opened:
        state, delivery = self._open_call()
        self._past = state.past
        return state, delivery

    def _state(self) -> ResumeState:
        assert self._past is not None, "the work has begun"
        return self._past
