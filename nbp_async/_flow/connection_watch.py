"""Says why nothing happens while no connection comes about: the attempts go on for a minute."""

import logging

from nbp_async._base.errors import NbpError, NotSentError

log = logging.getLogger("nbp_async")

PATIENCE = 2.0  # seconds


class ConnectionWatch:
    """Warns once in each call, if its first connection fails for longer than two seconds."""

    __slots__ = ("_failing_since", "_is_over")

    def __init__(self) -> None:
        self._failing_since: float | None = None
        self._is_over = False

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
