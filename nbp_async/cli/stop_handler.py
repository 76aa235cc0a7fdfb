"""Ctrl-C in two steps: the first lets paid requests finish, the second drops them. SIGTERM too."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from nbp_async import on_signal
from nbp_async.display.formats import format_seconds, plural
from nbp_async.display.progress_counter import ProgressCounter

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A plan or a stream."""

    def stop(self) -> None:
        """Send nothing more."""


class StopHandler:
    """Stops work on the first signal, and cancels it on the second.

    ```
    running ── signal ──► stopping: nothing is sent, requests in flight finish ──► ended
                              └── signal ──► dropped: the task that awaits is cancelled
    ```

    Args:
        say: Shows a line to the user.
        counter: Counts what is in flight; its `stopping` is set.
        longest: Seconds that a request in flight may still take.

    Attributes:
        stopped: The first signal came: no request was sent after it.
        dropped: The second signal came: requests in flight were dropped.
    """

    def __init__(
        self, say: Callable[[str], None], counter: ProgressCounter, longest: float
    ) -> None:
        self._say = say
        self._counter = counter
        self._longest = longest
        self.stopped = False
        self.dropped = False

    @contextmanager
    def watching(self, work: Stoppable) -> Iterator[None]:
        """Handle signals while the current task awaits `work` in this context.

        After a second signal the context ends early, as if the work had ended: see `dropped`.
        """
        task = asyncio.current_task()
        assert task is not None, "the second signal cancels the task that opened the context"

        def signalled() -> None:
            if not self.stopped:
                self.stop(work)
                return
            self.dropped = True
            task.cancel()

        try:
            with ExitStack() as handlers:
                for number in STOP_SIGNALS:
                    handlers.enter_context(on_signal(number, signalled))
                yield
        except asyncio.CancelledError:
            # Swallow our own cancellation only: uncancel() counts those of other callers.
            if not self.dropped or task.uncancel() > 0:
                raise

    def stop(self, work: Stoppable) -> None:
        """Send nothing more, and show what is still in flight."""
        self.stopped = self._counter.stopping = True
        work.stop()
        count = self._counter.in_flight
        if count:
            self._say(
                f"finishing {plural(count, 'paid image')} "
                f"(at most {format_seconds(self._longest)}) - Ctrl-C again to drop them"
            )
        else:
            self._say("stopping: nothing is in flight")
