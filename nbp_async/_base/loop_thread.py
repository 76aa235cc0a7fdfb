"""An event loop in a thread of its own, in which any plain thread may run coroutines."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for plain threads, which block until theirs has ended.

    The thread is a daemon: a process that ends does not wait for it. Stop it before that.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run it in the loop and wait for it.

        An exception that arrives in this thread meanwhile (Ctrl-C) cancels it, waits until it has
        let go of everything, and takes over the notes of its cancellation.

        Raises:
            asyncio.CancelledError: The loop was stopped.
        """
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []
        notes: list[str] = []

        async def noting() -> T:
            try:
                return await work()
            except asyncio.CancelledError as exc:
                notes.extend(getattr(exc, "__notes__", ()))
                raise

        def begin() -> None:
            tasks.append(self._loop.create_task(noting()))
            tasks[0].add_done_callback(lambda task: _finish(done, task))

        def cancel() -> None:  # after `begin`, or there is no task and never will be
            if tasks:
                tasks[0].cancel()
            else:
                done.set_exception(asyncio.CancelledError())

        try:
            self._loop.call_soon_threadsafe(begin)
            return done.result()
        except BaseException as exc:
            if not done.done():
                self._loop.call_soon_threadsafe(cancel)
                wait([done])
            for note in notes:
                exc.add_note(note)
            raise

    def stop(self) -> None:
        """Cancel what still runs, and end the thread once it has ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_others())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


def _finish(done: "Future[T]", task: "asyncio.Task[T]") -> None:
    if task.cancelled():
        done.set_exception(asyncio.CancelledError())
    elif (exc := task.exception()) is not None:
        done.set_exception(exc)
    else:
        done.set_result(task.result())


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)
