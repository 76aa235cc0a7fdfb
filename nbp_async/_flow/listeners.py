"""Notify listeners of attempts, outcomes and gates. None of them can break a call."""

import logging
from time import perf_counter

from nbp_async._flow.slow_callbacks import describe_callable, warn_if_slow
from nbp_async._models.events import Listener

log = logging.getLogger("nbp_async")


class Listeners:
    """The listeners of a client, or of one call. It is false where there are none."""

    __slots__ = ("_listeners",)

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def plus(self, listener: Listener) -> "Listeners":
        """The same listeners and one more."""
        return Listeners(*self._listeners, listener)

    def notify(self, name: str, event: object) -> None:
        """Call the method `name` of each. What it raises is logged, and goes no further."""
        for listener in self._listeners:
            method = getattr(listener, name)
            began = perf_counter()
            try:
                method(event)
            except Exception:
                log.exception("A listener failed in %s", describe_callable(method))
            warn_if_slow(method, perf_counter() - began)


NO_LISTENERS = Listeners()
