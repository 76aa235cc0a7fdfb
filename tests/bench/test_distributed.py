"""The bench of shared runs measures what it says, and the run keeps what it promises."""

from itertools import count, islice

import pytest

from bench.distributed import DISTRIBUTED
from bench.distributed_limits import Departures
from bench.own_postgres import own_postgres, why_no_postgres
from bench.suite import Session


@pytest.fixture
def postgres() -> None:
    if why := why_no_postgres():
        pytest.skip(why)


@pytest.mark.usefixtures("postgres")
async def test_a_shared_run_whose_workers_and_database_are_killed_loses_nothing() -> None:
    bench = Session(quick=True)
    await DISTRIBUTED.run(bench, ["survival"])
    found = {check.name: check.value for check in bench.checks}
    assert found["images lost"] == 0
    assert found["dollars paid twice and not named"] == 0
    assert found["dollars by which run and bank differ"] == 0
    done = bench.readings["survival"]["done"]
    assert (done["kills"], done["restarts"]) == (6, 2)
    assert done["stored"] + done["named"] == 60
    assert done["stored"] > 0


@pytest.mark.usefixtures("postgres")
async def test_limits_hold_for_all_workers_and_a_worker_s_memory_stays() -> None:
    bench = Session(quick=True)
    await DISTRIBUTED.run(bench, ["limits", "queue", "memory"])
    found = {check.name: check.value for check in bench.checks}
    assert found["requests in flight over the limit"] == 0
    assert found["submissions over or under the money"] == 0
    assert found["images that were not made"] == 0
    assert found["growth from a tenth to the end"] < 8
    assert bench.readings["queue"]["many"]["items"] == 8 * 200


@pytest.mark.usefixtures("postgres")
async def test_a_database_of_our_own_keeps_what_it_had_when_it_was_killed() -> None:
    async with own_postgres() as server:
        await server.execute("CREATE TABLE kept (number int); INSERT INTO kept VALUES (7)")
        await server.kill()
        with pytest.raises(RuntimeError, match="psql failed"):
            await server.execute("SELECT number FROM kept")
        await server.start()
        assert await server.execute("SELECT number FROM kept") == "7"


def test_what_comes_beyond_a_rate_is_found_in_its_fullest_window() -> None:
    steady = tuple(islice(count(0.0, 0.125), 80))
    assert Departures(1, steady).beyond(8, 1.0) == pytest.approx(-0.125)
    crowded = (*steady[:40], *[5.0] * 4, *steady[40:])
    assert Departures(1, crowded).beyond(8, 1.0) == pytest.approx(0.375)
