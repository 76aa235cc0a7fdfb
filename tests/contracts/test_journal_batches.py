"""What every journal keeps of batch jobs."""

from tests.contracts.journals import Journals


async def test_batch_jobs_are_remembered_in_their_order(opened: Journals) -> None:
    journal = await opened()
    assert await journal.batches() == {}
    for name, record in [("b", "1"), ("a", "2"), ("b", "3")]:
        await journal.save_batch(name, record)
    journal = await opened()
    assert list((await journal.batches()).items()) == [("b", "3"), ("a", "2")]
