"""The rate of a run over all its processes: it is kept, and it is reached."""

import asyncio
from datetime import datetime
from itertools import pairwise

from nbp_async._journal.postgres import PostgresJournal
from nbp_async._journal.shared_journal import RunLimits
from tests.contracts.journals import Journals, claim
from tests.databases import execute
from tests.unit.journal.made import MOST, PRICE, job

STEP = 0.04  # seconds from one departure to the next


async def test_each_that_waits_for_the_rate_has_a_moment_of_its_own(shared: Journals) -> None:
    """If all asked again at once, the rate would be lost while the first one's commit takes."""
    journals = [await shared.join() for _ in range(4)]
    entries = [
        (one, await claim(one, job(f"{n} {k}", n)))
        for k, one in enumerate(journals)
        for n in range(5)
    ]
    await journals[0].limit(RunLimits(rate_seconds=STEP))
    said = await asyncio.gather(*(one.arm(e.item, 1, PRICE, MOST, "x") for one, e in entries))
    moments = departures(shared)
    assert len(moments) == sum(seconds > 0 for seconds in said) > 0
    assert all((late - early).total_seconds() >= STEP for early, late in pairwise(moments))

    async def depart(one: PostgresJournal, item: int, seconds: float) -> None:
        while seconds:
            await asyncio.sleep(seconds)
            seconds = await one.arm(item, 1, PRICE, MOST, "x")

    waiting = zip(entries, said, strict=True)
    await asyncio.gather(*(depart(one, e.item, seconds) for (one, e), seconds in waiting))
    assert departures(shared) == []
    ((out,),) = execute(shared.address, "SELECT is_out FROM SCHEMA.run")
    assert out == len(entries)


async def test_nobody_holds_a_far_moment_that_he_may_never_use(shared: Journals) -> None:
    """Who waits for hours may be stopped meanwhile: others must not wait behind him."""
    one = await shared.join()
    first, second, third = [await claim(one, job(str(n), n)) for n in range(3)]
    await one.limit(RunLimits(rate_seconds=3600.0))
    assert await one.arm(first.item, 1, PRICE, MOST, "x") == 0.0
    said = [await one.arm(each.item, 1, PRICE, MOST, "x") for each in (second, third)]
    assert all(3500 < seconds < 3600 for seconds in said)
    assert departures(shared) == []
    execute(shared.address, "UPDATE SCHEMA.run SET next_departure = clock_timestamp()")
    assert await one.arm(third.item, 1, PRICE, MOST, "x") == 0.0


def departures(run: Journals) -> list[datetime]:
    query = "SELECT departs FROM SCHEMA.item WHERE departs IS NOT NULL ORDER BY departs"
    return [moment for (moment,) in execute(run.address, query)]
