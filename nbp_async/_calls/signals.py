"""SIGINT and SIGTERM in two steps: the first lets what is paid for finish, the second drops it.

    running ── Ctrl-C ──► stopping: nothing more is sent, requests in flight are waited for
                             │
                             ├── all have ended ──► the batch, and the journal is closed
                             └── Ctrl-C again ────► the handler that was there before ours: under
                                                    asyncio.run the main task is cancelled. Sockets
                                                    are closed, each request in flight is recorded
                                                    as possibly billed, the journal is closed, and
                                                    only then does the CancelledError go on.

We take a signal only where nobody else handles it: from Python's own handler, asyncio's, and the
one that Jupyter's kernel sets while a cell runs. A web server that stops gracefully keeps its own.
"""

import asyncio
import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

log = logging.getLogger("nbp_async")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any] | int | None


@contextmanager
def stop_on_signals(stop: Callable[[], str]) -> Iterator[None]:
    """While the body runs, the first signal calls `stop`, and logs the message that it returns.

    The second one does what it would have done without us; a second SIGTERM cancels the task that
    runs the body.
    """
    task = asyncio.current_task()
    assert task is not None, "a context of coroutines runs in a task"
    stopping = False

    def handle(number: int, former: Handler) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            message = stop()
            if message:
                log.warning("%s", message)
        elif number == signal.SIGINT and callable(former):
            former(number, None)
        else:
            task.cancel()

    with ExitStack() as held:
        for number in SIGNALS:
            former = signal.getsignal(number)
            if _is_free(number, former):
                held.enter_context(on_signal(number, functools.partial(handle, number, former)))
        yield


@contextmanager
def on_signal(number: int, call: Callable[[], None]) -> Iterator[None]:
    """Let the loop call `call` for each such signal. Outside the main thread it does nothing."""
    loop, former = asyncio.get_running_loop(), signal.getsignal(number)
    try:
        loop.add_signal_handler(number, call)
    except (NotImplementedError, RuntimeError, ValueError):
        yield  # Windows, or not the main thread: the signal keeps its handler
        return
    ours = signal.getsignal(number)
    try:
        yield
    finally:
        now = signal.getsignal(number)
        loop.remove_signal_handler(number)
        last = former if now is ours else now  # the next cell of a notebook may have set its own
        if last is not None:
            signal.signal(number, last)


def _is_free(number: int, handler: Handler) -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    if number == signal.SIGTERM:
        return handler == signal.SIG_DFL
    if handler is signal.default_int_handler:
        return True
    function = handler.func if isinstance(handler, functools.partial) else handler
    module = str(getattr(function, "__module__", ""))
    return module == "asyncio.runners" or module.startswith("ipykernel")
