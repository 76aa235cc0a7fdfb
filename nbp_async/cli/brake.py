"""Ctrl-C in two steps: first let what is paid for finish, then drop it. SIGTERM does the same."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from nbp_async._flow.brake import SIGNALS, on_signal
from nbp_async._words import plural, span
from nbp_async.display.counts import Counts


class Stoppable(Protocol):
    """A plan or a stream."""

    def stop(self) -> None:
        """Send nothing more."""


class Brake:
    """Stops work on the first signal, and cancels it on the second.

    Args:
        say: Tells people what happens.
        counts: What is in flight; it hears that the run is being stopped.
        patience: Seconds that one of them may still take.

    Attributes:
        stopped: A first signal came: no new request was sent after it.
        dropped: A second one came: what was in flight was given up.
    """

    def __init__(self, say: Callable[[str], None], counts: Counts, patience: float) -> None:
        self._say = say
        self._counts = counts
        self._patience = patience
        self.stopped = False
        self.dropped = False

    @contextmanager
    def on(self, work: Stoppable) -> Iterator[None]:
        """Hold the brake over `work`, which the current task awaits in this context.

        When it is pressed a second time the context ends early, as if the work had: see `dropped`.
        """
        task = asyncio.current_task()
        assert task is not None, "the brake cancels the task that it was made in"

        def pressed() -> None:
            if not self.stopped:
                self.press(work)
                return
            self.dropped = True
            task.cancel()

        try:
            with ExitStack() as held:
                for number in SIGNALS:
                    held.enter_context(on_signal(number, pressed))
                yield
        except asyncio.CancelledError:
            if not self.dropped or task.uncancel() > 0:
                raise

    def press(self, work: Stoppable) -> None:
        """Send nothing more, and say what is still waited for."""
        self.stopped = self._counts.stopping = True
        work.stop()
        count = self._counts.in_flight
        if count:
            self._say(
                f"finishing {plural(count, 'paid image')} (at most {span(self._patience)}) - "
                "Ctrl-C again to drop them"
            )
        else:
            self._say("stopping: nothing is in flight")
