"""A loop that waits for time alone: exact, and it waits really for threads."""

import asyncio
import threading

from nbp_async.testing.jumping_loop import JumpingLoop
from nbp_async.testing.virtual_time import run_virtual


def now() -> float:
    return asyncio.get_running_loop().time()


def test_sleeps_end_in_their_order_at_their_times() -> None:
    ended: list[tuple[float, str]] = []

    async def sleep(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        ended.append((now(), name))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds, name in ((86_400.0, "day"), (0.25, "moment"), (3_600.0, "hour")):
                group.create_task(sleep(seconds, name))

    run_virtual(main(), sockets=False)
    assert ended == [(0.25, "moment"), (3_600.0, "hour"), (86_400.0, "day")]


def test_a_time_out_comes_when_it_is_due() -> None:
    async def main() -> float:
        try:
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        except TimeoutError:
            return now()
        return -1.0

    assert run_virtual(main(), sockets=False) == 30.0


def test_the_clock_stands_while_a_thread_works() -> None:
    may_end = threading.Event()

    async def main() -> tuple[float, float]:
        task = asyncio.create_task(asyncio.to_thread(may_end.wait))
        hour = asyncio.create_task(asyncio.sleep(3_600))
        for _ in range(20):
            await asyncio.sleep(0)
        may_end.set()
        await task
        ended = now()
        await hour
        return ended, now()

    assert run_virtual(main(), sockets=False) == (0.0, 3_600.0)


def test_another_thread_wakes_it() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        thread = threading.Thread(
            target=loop.call_soon_threadsafe, args=(future.set_result, "awake")
        )
        thread.start()
        said = await future
        thread.join()
        return said

    assert run_virtual(main(), sockets=False) == "awake"


def test_it_closes_as_any_loop() -> None:
    loop = JumpingLoop()
    loop.run_until_complete(asyncio.sleep(5))
    loop.close()
    assert loop.is_closed()
