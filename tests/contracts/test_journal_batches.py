"""What every journal keeps of batch jobs."""

from nbp_async._base.task_handle import Handle
from tests.contracts.journals import Open, claim
from tests.unit.journal.made import MOST, PRICE, attempt, job


async def test_batch_jobs_are_remembered_in_their_order(opened: Open) -> None:
    journal = await opened()
    assert await journal.batches() == {}
    for name, record in [("b", "1"), ("a", "2"), ("b", "3")]:
        await journal.save_batch(name, record)
    journal = await opened()
    assert list((await journal.batches()).items()) == [("b", "3"), ("a", "2")]


async def test_lines_of_batch_jobs_that_have_ended_are_known(opened: Open) -> None:
    journal = await opened()
    for number, name in enumerate(["a", "a", "b"], 1):
        entry = await claim(journal, job("abc"[number - 1], number))
        line = Handle("batch", name, key=f"{number}-1")
        await journal.arm(entry.item, 1, PRICE, MOST, "stem", line)
    assert await journal.ended_lines(["a"]) == {"a": []}
    for number in (1, 3):
        journal.settle(number, attempt(1))
    assert await journal.ended_lines(["a"]) == {"a": ["1-1"]}
    assert await journal.ended_lines([]) == {}
