"""Items of a queue that are drawn by their numbers, and who may draw no more."""

import pytest

from nbp_async import JournalError
from tests.contracts.journals import Journals
from tests.contracts.test_run_queue import drawn_texts, submit
from tests.databases import execute


async def test_chosen_items_are_drawn_and_counted_alone(opened: Journals) -> None:
    queue = (await opened()).queue
    a, b, c, d = await submit(queue, "a", "b", "c", "d")
    assert [one.entry.item for one in await queue.draw(1, [d, b, 99])] == [b]
    counts = await queue.counts([b, d])
    assert (counts.ready, counts.working) == (1, 1)
    assert [one.entry.item for one in await queue.draw(9, [b, d])] == [d]
    assert await queue.draw(9, []) == []
    assert (await queue.counts([])).ready == 0
    assert [one.entry.item for one in await queue.draw(9)] == [a, c]


async def test_a_process_that_lost_its_part_of_the_run_hears_of_it_when_it_draws(
    shared: Journals,
) -> None:
    """Paused, or cut off from the database, it would wait for ever for what others may draw."""
    lost, living = [await shared.join() for _ in range(2)]
    assert await lost.queue.draw(9) == []
    await submit(lost.queue, "a")
    execute(
        shared.address,
        "UPDATE SCHEMA.session SET lease_end = clock_timestamp() - interval '1 s' WHERE id = %s",
        lost._session,
    )
    await living._call(living._sql("SELECT SCHEMA.renew(%s, %s)"), ())
    with pytest.raises(JournalError, match="lost its part of the run"):
        await lost.queue.draw(9)
    assert await drawn_texts(living.queue) == ["a"]
