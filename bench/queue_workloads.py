"""The journal of a shared run by itself: what its statements take, among a million of rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bench.own_postgres import OwnPostgres
from bench.shared_workers import SharedTask, joined
from nbp_async import Attempt, DisconnectedError, Failure, Prompt, Timings
from nbp_async.testing.journal import shared_journal

PRICE, MOST = Decimal("0.134"), Decimal("0.146512")
_DRAWN_AT_ONCE = 20  # as a worker draws


@dataclass(frozen=True)
class PaceTask:
    """A run, so many connections to it, and how many items each of them passes through.

    Attributes:
        address: Of the run.
        connections: Journals of the run, in one process.
        items: For each of them.
        at_once: Items of one journal that are armed or settled at the same time.
    """

    address: str
    connections: int
    items: int
    at_once: int = 50


@dataclass(frozen=True)
class PaceDone:
    """Seconds that all items together took to be drawn, armed and settled with their outcome."""

    items: int
    drawn: float
    armed: float
    settled: float


def pass_items(task: PaceTask) -> PaceDone:
    """Draw items of the queue, arm them all, and settle them all."""
    return asyncio.run(_passed(task))


async def _passed(task: PaceTask) -> PaceDone:
    journals = [await shared_journal(task.address) for _ in range(task.connections)]
    try:
        owned: list[list[int]] = [[] for _ in journals]

        async def draw(place: int) -> None:
            while len(owned[place]) < task.items:
                wanted = min(_DRAWN_AT_ONCE, task.items - len(owned[place]))
                drawn = await journals[place].queue.draw(wanted)
                owned[place] += [one.entry.item for one in drawn]

        async def arm(place: int, item: int) -> None:
            assert await journals[place].arm(item, 1, PRICE, MOST, "x") == 0.0

        async def settle(place: int, item: int) -> None:
            journals[place].settle(item, _ATTEMPT)
            await journals[place].finish(item, _outcome(item))

        drawn = await _seconds([draw(place) for place in range(len(journals))])
        armed = await _seconds([_each(arm, p, owned[p], task.at_once) for p in range(len(owned))])
        settled = await _seconds(
            [_each(settle, p, owned[p], task.at_once) for p in range(len(owned))]
        )
        return PaceDone(sum(map(len, owned)), drawn, armed, settled)
    finally:
        for journal in journals:
            await journal.aclose()


async def _seconds(parts: Sequence[Awaitable[None]]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*parts)
    return time.perf_counter() - began


async def _each(
    do: Callable[[int, int], Awaitable[None]], place: int, items: list[int], at_once: int
) -> None:
    """Do it with each item, so many at once."""
    left = iter(items)

    async def one_after_another() -> None:
        for item in left:
            await do(place, item)

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))


_ATTEMPT = Attempt(1, "yes", PRICE, Timings(1.0, 9.5, 2.0, 3.0, 8.0))


def _outcome(item: int) -> Failure:
    return Failure(
        index=item,
        prompt=Prompt(text="a"),
        attempts=(_ATTEMPT,),
        error=DisconnectedError("gone"),
        billing="yes",
    )


async def fill_queue(postgres: OwnPostgres, address: str, folder: str, items: int) -> None:
    """Make a run whose queue has so many items, by a bulk insert; its tables are not analysed."""
    schema = address.rpartition("=")[2]
    task = SharedTask("http://127.0.0.1:9/v1", "sk-bench-1234", address, folder, in_flight=1)
    async with joined(task) as run:
        await run.submit(["a"])
    await postgres.execute(_FILL.replace("SCHEMA", schema).replace("COUNT", str(items)))


_FILL = """
ALTER TABLE SCHEMA.item SET (autovacuum_enabled = false);
INSERT INTO SCHEMA.item (run, identity, ordinal, place, state, nonce, asked, ticket, payer,
        priority, turn, reserved)
    SELECT run, sha256(n::text::bytea), 0, n, state, nonce, asked, 'bulk ' || n, payer, priority,
        n + 1, reserved
    FROM SCHEMA.item, generate_series(1, COUNT - 1) AS n WHERE id = 1;
UPDATE SCHEMA.run SET account = 'tests', place = '',
    reserved = (SELECT sum(reserved) FROM SCHEMA.item);
UPDATE SCHEMA.purse SET held = (SELECT sum(reserved) FROM SCHEMA.item), last_turn = COUNT;
"""
