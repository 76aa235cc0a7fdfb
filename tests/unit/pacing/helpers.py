"""A gate with a fair coin, and the clock that it goes by."""

import asyncio

from nbp_async._pacing.gate import Gate, Ticket
from nbp_async._pacing.slots import Slots


def now() -> float:
    return asyncio.get_running_loop().time()


def make_gate(limit: int = 10, **more: object) -> Gate:
    return Gate(Slots(limit), None, rng=lambda: 0.5, **more)  # type: ignore[arg-type]


async def cancel(tasks: list[asyncio.Task[Ticket]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
