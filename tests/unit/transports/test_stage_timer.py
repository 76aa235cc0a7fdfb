"""One timer for all stages of a request, on a clock that jumps."""

import asyncio
from dataclasses import dataclass

import pytest

from nbp_async._base.errors import (
    ConnectTimeout,
    NbpError,
    ReadTimeout,
    SlowBodyError,
    UploadTimeout,
)
from nbp_async._transports.stage_timer import StageTimer

pytestmark = pytest.mark.looptime(start=0)


@dataclass(frozen=True)
class StageTimeouts:
    connect: float = 10.0
    upload: float = 15.0
    read: float = 300.0
    body: float = 30.0
    silence: float = 4.0


def make(size: int = 100) -> StageTimer:
    return StageTimer(
        StageTimeouts(), vendor="shop", queued_at=asyncio.get_running_loop().time(), size=size
    )


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_request_is_sent_even_at_the_first_instant_of_a_clock() -> None:
    timer = make()
    async with timer:
        assert not timer.sent
        timer.mark_sent()
        assert now() == 0
        assert timer.sent


@pytest.mark.parametrize(
    ("stage", "size", "error", "after"),
    [
        ("connecting", 100, ConnectTimeout, 10),
        ("sent", 100, ReadTimeout, 300),
        ("sent", 65536, ReadTimeout, 300),
        ("sent", 65537, UploadTimeout, 15 + 65537 / 200_000),
        ("sent", 8_000_000, UploadTimeout, 55),
        ("uploaded", 8_000_000, ReadTimeout, 300),
        ("head", 100, SlowBodyError, 30),
        ("head", 8_000_000, SlowBodyError, 30),
    ],
)
async def test_each_stage_ends_with_its_own_error(
    stage: str, size: int, error: type[NbpError], after: float
) -> None:
    timer = make(size)
    with pytest.raises(error, match="shop"):
        async with timer:
            if stage != "connecting":
                timer.mark_sent()
            if stage == "uploaded":
                timer.mark_uploaded()
            if stage == "head":
                timer.mark_first_byte()
            await forever()
    assert now() == pytest.approx(after)
    assert timer.sent is (stage != "connecting")


async def test_an_early_head_ends_the_upload_for_good() -> None:
    with pytest.raises(SlowBodyError):
        async with make(8_000_000) as timer:
            timer.mark_sent()
            timer.mark_first_byte()
            timer.mark_uploaded()
            await forever()
    assert now() == pytest.approx(30)


async def test_a_body_is_timed_by_how_much_of_it_comes() -> None:
    """300 kB buy another 30 s; what is less buys nothing."""
    with pytest.raises(SlowBodyError):
        async with make() as timer:
            timer.mark_sent()
            timer.mark_first_byte()
            for size in (150_000, 150_000, 299_999):
                await asyncio.sleep(10)
                timer.add_received(size)
            await forever()
    assert now() == pytest.approx(20 + 30)


async def test_the_end_of_a_whole_body_is_waited_for_once() -> None:
    timer = make()
    async with timer:
        timer.mark_sent()
        timer.mark_first_byte()
        timer.expect_end()
        for _ in range(100):
            await asyncio.sleep(1)
            timer.add_received(1_000_000)
            timer.expect_end()
    assert now() == pytest.approx(4)
    assert timer.ended_by_silence


async def test_a_whole_body_whose_end_came_was_not_ended_by_silence() -> None:
    async with make() as timer:
        timer.mark_sent()
        timer.mark_first_byte()
        timer.expect_end()
        await asyncio.sleep(1)
    assert not timer.ended_by_silence


async def test_a_rest_is_not_timed() -> None:
    with pytest.raises(SlowBodyError):
        async with make() as timer:
            timer.mark_sent()
            timer.mark_first_byte()
            timer.pause()
            await asyncio.sleep(1000)
            timer.resume()
            await forever()
    assert now() == pytest.approx(1030)


async def test_a_rest_of_a_whole_body_does_not_put_its_end_off() -> None:
    async with make() as timer:
        timer.mark_sent()
        timer.mark_first_byte()
        timer.expect_end()
        timer.pause()
        await asyncio.sleep(10)
        timer.resume()
        await forever()
    assert now() == pytest.approx(14)
    assert timer.ended_by_silence


async def test_what_is_raised_inside_passes_and_stops_the_timer() -> None:
    with pytest.raises(ZeroDivisionError):
        async with make() as timer:
            timer.expect_end()
            raise ZeroDivisionError
    assert not timer.ended_by_silence
    await asyncio.sleep(1000)


async def test_a_cancellation_from_outside_passes() -> None:
    async def run() -> None:
        async with make():
            await forever()

    task = asyncio.create_task(run())
    await asyncio.sleep(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_outweighs_a_time_out_at_the_same_instant() -> None:
    async def run() -> None:
        async with make():
            await forever()

    task = asyncio.create_task(run())
    asyncio.get_running_loop().call_at(10, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_out_leaves_the_task_uncancelled() -> None:
    with pytest.raises(ConnectTimeout):
        async with make():
            await forever()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(1)


async def test_the_error_of_a_time_out_keeps_no_frame_alive() -> None:
    with pytest.raises(ConnectTimeout) as caught:
        async with make():
            await forever()
    context = caught.value.__context__
    assert context is None or context.__traceback__ is None


async def test_only_a_request_with_a_body_can_have_been_paid_for() -> None:
    for size, warned in ((0, False), (100, True)):
        with pytest.raises(ReadTimeout) as caught:
            async with make(size) as timer:
                timer.mark_sent()
                await forever()
        assert bool(caught.value.hint) is warned


async def test_the_stages_are_noted_in_seconds_of_the_loop() -> None:
    async with make() as timer:
        await asyncio.sleep(1)
        timer.mark_sent()
        await asyncio.sleep(2)
        timer.mark_first_byte()
        await asyncio.sleep(3)
        assert timer.timings().done == pytest.approx(6)
    await asyncio.sleep(10)
    timings = timer.timings()
    assert (timings.sent, timings.first_byte, timings.done) == pytest.approx((1, 3, 6))
