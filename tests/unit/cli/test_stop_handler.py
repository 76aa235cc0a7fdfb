"""Ctrl-C in two steps, with real signals to this process."""

import asyncio
import signal

import pytest

from nbp_async.cli.stop_handler import STOP_SIGNALS, StopHandler
from nbp_async.display.progress_counter import ProgressCounter


class Work:
    """Goes on until it is stopped, and then for as long as `drain` says."""

    def __init__(self, drain: float = 5.0) -> None:
        self._drain = drain
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> str:
        await self._stopped.wait()
        await asyncio.sleep(self._drain)
        return "drained"


def stop_handler(said: list[str], in_flight: int = 37) -> StopHandler:
    counts = ProgressCounter(200, 50)
    counts.in_flight = in_flight
    return StopHandler(said.append, counts, 170)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_and_lets_what_is_paid_finish(number: signal.Signals) -> None:
    said: list[str] = []
    held, work = stop_handler(said), Work(drain=0)
    with held.watching(work):
        signal.raise_signal(number)
        assert await work.run() == "drained"
    assert (held.stopped, held.dropped) == (True, False)
    assert said == [
        "finishing 37 paid images (at most 2 m 50 s) - Ctrl-C again to drop them",
    ]


async def test_the_second_signal_ends_the_work_and_nothing_else() -> None:
    said: list[str] = []
    held, work = stop_handler(said), Work(drain=3600)
    with held.watching(work):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        await work.run()
        raise AssertionError("the work went on")
    assert held.dropped
    await asyncio.sleep(0)  # the cancellation went no further than the context


async def test_a_cancellation_from_elsewhere_passes() -> None:
    held, work = stop_handler([]), Work()

    async def body() -> None:
        with held.watching(work):
            await work.run()

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not held.stopped


async def test_with_nothing_in_flight_there_is_nothing_to_wait_for() -> None:
    said: list[str] = []
    held, work = stop_handler(said, in_flight=0), Work(drain=0)
    with held.watching(work):
        signal.raise_signal(signal.SIGINT)
        await work.run()
    assert said == ["stopping: nothing is in flight"]


async def test_after_the_context_a_signal_does_what_it_always_does() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stop_handler([]).watching(Work()):
        pass
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
