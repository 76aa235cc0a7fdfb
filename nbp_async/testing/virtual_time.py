"""An event loop whose clock jumps to the next timer when nothing else is left to do.

A test of an hour takes milliseconds, and its times are exact. Server and client must share the
loop. It is built on looptime, a test dependency.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nbp_async.testing.jumping_loop import JumpingLoop

T = TypeVar("T")


_IDLE_TURNS = 42  # of the loop before the clock jumps: bytes may still be in a socket


def run_virtual(main: Coroutine[Any, Any, T], *, sockets: bool = True) -> T:
    """Run `main` to its end in virtual time, from 0.0 s on the loop's clock.

    ```python
    async def main():
        async with Client.fake(server={"latency": "30-170"}) as gen:
            return await gen.many(["a red bicycle"] * 100)

    batch = run_virtual(main())  # minutes on the loop's clock, a moment on ours
    ```

    With `sockets=False` the clock jumps at once, which is much faster: for code that waits only
    for time and for threads, as with `FakeTransport`.
    """
    loop = _loop_with_sockets() if sockets else JumpingLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _loop_with_sockets() -> asyncio.AbstractEventLoop:
    import looptime

    loop: asyncio.AbstractEventLoop = looptime.new_event_loop(start=0.0, noop_cycles=_IDLE_TURNS)
    return loop
