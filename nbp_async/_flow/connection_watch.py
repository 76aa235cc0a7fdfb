"""Says why nothing happens while no connection comes about: the attempts go on for a minute."""

import asyncio
import logging

from nbp_async._base.errors import NbpError, NotSentError
from nbp_async._transports.stage_timer import StageTimer

log = logging.getLogger("nbp_async")

PATIENCE = 2.0  # seconds
LONG = 5.0  # seconds of one attempt to connect; a resolver that hangs takes all its time


class ConnectionWatch:
    """Warns once in each call, if its first connection fails for longer than two seconds.

    Where its very first attempt has neither failed nor succeeded after five, it says that as well.
    """

    __slots__ = ("_failing_since", "_has_begun", "_is_over")

    def __init__(self) -> None:
        self._failing_since: float | None = None
        self._has_begun = False
        self._is_over = False

    def watch(self, timer: StageTimer, vendor: str) -> asyncio.TimerHandle | None:
        """Look after the first attempt of the call; to be cancelled when it has ended."""
        if self._has_begun:
            return None
        self._has_begun = True
        loop = asyncio.get_running_loop()
        return loop.call_later(LONG, self._tell_that_it_lasts, timer, vendor)

    def _tell_that_it_lasts(self, timer: StageTimer, vendor: str) -> None:
        if not timer.sent and not self._is_over:
            log.warning(
                "%s: no connection for %g s. Its name is still being looked up, or its host does "
                "not answer; nothing was sent so far.",
                vendor,
                LONG,
            )

    def record(self, error: NbpError, *, began: float, now: float, most: int) -> None:
        """An attempt that began at `began` failed; one prompt is tried `most` times."""
        if self._is_over:
            return
        if not isinstance(error, NotSentError):
            self._is_over = True
            return
        if self._failing_since is None:
            self._failing_since = began
        if now - self._failing_since >= PATIENCE and error.is_transient:
            self._is_over = True
            log.warning(
                "%s Tried again, up to %d times for each prompt; nothing was sent so far.",
                error,
                most,
            )

    def succeeded(self) -> None:
        """An attempt brought an image."""
        self._is_over = True
