"""What a journal promises that many processes share: one owner, one purse, and no way back."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async._base.errors import BudgetError, DisconnectedError, JournalError
from nbp_async._journal import records
from nbp_async._journal.base import JournalEntry
from nbp_async._journal.database_address import DatabaseAddress
from nbp_async._journal.postgres import PostgresJournal
from nbp_async._journal.postgres_schema import VERSION
from nbp_async._models.outcomes import Failure, Prompt
from tests.contracts.journals import ACCOUNT, Journals, claim
from tests.databases import execute
from tests.unit.journal.made import MOST, PRICE, attempt, image, job


def assert_purse_equals_rows(run: Journals) -> None:
    """The purse is kept by adding; the rows of the attempts say the same."""
    ((purse, rows),) = execute(
        run.address,
        "SELECT ARRAY[held, spent, maybe, images], ARRAY["
        "(SELECT coalesce(sum(most), 0) FROM SCHEMA.attempt WHERE billing IS NULL),"
        "(SELECT coalesce(sum(cost), 0) FROM SCHEMA.attempt WHERE billing = 'yes'),"
        "(SELECT coalesce(sum(cost), 0) FROM SCHEMA.attempt WHERE billing = 'maybe'),"
        "(SELECT count(*) FROM SCHEMA.item WHERE state = 'stored')] FROM SCHEMA.run",
    )
    assert purse == rows


async def end_lease(run: Journals, of: PostgresJournal, seen_by: PostgresJournal) -> None:
    """This process was silent for too long, and the other one looks after the others."""
    past = "UPDATE SCHEMA.session SET lease_end = clock_timestamp() - interval '1 s' WHERE id = %s"
    execute(run.address, past, of._session)
    await seen_by._call(seen_by._sql("SELECT SCHEMA.renew(%s, %s)"), ())


async def taken_over(run: Journals) -> tuple[PostgresJournal, PostgresJournal, JournalEntry]:
    """One process armed an item, and fell silent; another one has taken the item over."""
    one, other = await run.join(), await run.join()
    entry = await claim(one, job())
    await one.arm(entry.item, 1, PRICE, MOST, "x")
    await end_lease(run, one, seen_by=other)
    await other.orphans()
    return one, other, entry


def failure() -> Failure:
    return Failure(index=0, prompt=Prompt(text="a"), error=DisconnectedError("gone"), billing="no")


async def test_an_item_has_one_owner_until_it_has_ended(shared: Journals, tmp_path: Path) -> None:
    one, other = await shared.join(), await shared.join()
    mine = await claim(one, job())
    theirs = await claim(other, job(index=7))
    assert (mine.standing, theirs.standing, mine.item) == ("ours", "elsewhere", theirs.item)
    with pytest.raises(JournalError, match=r"another process. Nothing was sent"):
        await other.arm(theirs.item, 1, PRICE, MOST, "x")
    await one.arm(mine.item, 1, PRICE, MOST, "x")
    one.settle(mine.item, attempt())
    assert await other.released([mine.item]) == []
    await one.finish(mine.item, image(tmp_path))
    assert await other.released([mine.item]) == [mine.item]
    found = await other.claim_again(mine.item, job(index=7))
    assert (found.standing, found.state, found.index) == ("ours", "stored", 7)
    assert found.image is not None
    assert_purse_equals_rows(shared)


async def test_equal_jobs_are_the_same_items_for_all(shared: Journals) -> None:
    one, other = await shared.join(), await shared.join()
    mine = [await claim(one, job(index=index)) for index in range(3)]
    theirs = [await claim(other, job(index=index)) for index in range(4)]
    assert [entry.item for entry in theirs[:3]] == [entry.item for entry in mine]
    assert [entry.standing for entry in theirs] == ["elsewhere"] * 3 + ["ours"]


async def test_many_claims_at_once_give_each_item_to_one(shared: Journals) -> None:
    journals = [await shared.join() for _ in range(4)]
    entries = await asyncio.gather(
        *(claim(one, job(str(n), n)) for one in journals for n in range(100))
    )
    ours = [entry.item for entry in entries if entry.standing == "ours"]
    assert len(ours) == len(set(ours)) == 100
    assert len({entry.item for entry in entries}) == 100


async def test_what_was_given_back_is_free_and_what_is_out_is_not(shared: Journals) -> None:
    one, other = await shared.join(), await shared.join()
    planned, armed = await claim(one, job("a")), await claim(one, job("b", 1))
    await one.arm(armed.item, 1, PRICE, MOST, "x")
    for entry in (planned, armed):
        one.release(entry.item)
    await one.totals()  # what was posted before it is written by now
    assert await other.released([planned.item, armed.item]) == [planned.item]


async def test_a_failure_of_meanwhile_is_the_outcome_for_all_and_the_next_call_tries_again(
    shared: Journals,
) -> None:
    one, other = await shared.join(), await shared.join()
    entry = await claim(one, job())
    await one.arm(entry.item, 1, PRICE, MOST, "x")
    one.settle(entry.item, attempt(billing="no"))
    await one.finish(entry.item, failure())
    found = await claim(other, job())
    assert (found.standing, found.error) == ("ended", "DisconnectedError: gone")
    later = await shared.join()
    assert (await claim(later, job())).standing == "ours"


async def test_money_for_ten_of_sixty_that_race_is_spent_on_ten(shared: Journals) -> None:
    journals = [await shared.join(cap=10 * MOST) for _ in range(3)]
    entries = [
        (one, await claim(one, job(f"{n} {k}", n)))
        for k, one in enumerate(journals)
        for n in range(20)
    ]
    results = await asyncio.gather(
        *(one.arm(entry.item, 1, PRICE, MOST, "x") for one, entry in entries),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BudgetError)]
    assert len(refused) == 50
    assert results.count(0.0) == 10
    assert "only $0 is left" in str(refused[0])
    (one, entry) = next(pair for pair, said in zip(entries, results, strict=True) if said == 0.0)
    one.settle(entry.item, attempt(billing="no"))
    await one.finish(entry.item, failure())
    (other, more) = next(pair for pair, said in zip(entries, results, strict=True) if said)
    await other.arm(more.item, 1, PRICE, MOST, "x")
    assert_purse_equals_rows(shared)


async def test_what_a_silent_process_had_out_is_taken_over_and_it_sends_nothing_more(
    shared: Journals,
) -> None:
    one, other = await shared.join(), await shared.join()
    planned, armed = await claim(one, job("a")), await claim(one, job("b", 1))
    await one.arm(armed.item, 1, PRICE, MOST, "x")
    assert await other.orphans() == [], "its lease lasts"
    await end_lease(shared, one, seen_by=other)
    (orphan,) = await other.orphans()
    assert (orphan.item, orphan.state, len(orphan.pending)) == (armed.item, "armed", 1)
    assert (await claim(other, job("a"))).standing == "ours", "it was only planned"
    with pytest.raises(JournalError, match=r"lost its part of the run.*Nothing more is sent"):
        await one.arm(planned.item, 1, PRICE, MOST, "x")
    assert await other.orphans() == [], "it is ours by now"


async def test_its_late_image_is_kept_and_replaces_the_guess(
    shared: Journals, tmp_path: Path
) -> None:
    one, other, entry = await taken_over(shared)
    other.settle(entry.item, attempt(billing="maybe"))
    await other.finish(entry.item, failure())
    assert (await other.totals()).maybe == PRICE
    one.settle(entry.item, attempt())
    await one.finish(entry.item, image(tmp_path))
    account = await other.totals()
    assert (account.spent, account.maybe, account.images) == (PRICE, Decimal(0), 1)
    assert (await claim(other, job())).state == "stored"
    assert_purse_equals_rows(shared)


async def test_a_guess_does_not_replace_what_came_after_the_item_was_taken_over(
    shared: Journals,
) -> None:
    one, other, entry = await taken_over(shared)
    one.settle(entry.item, attempt())
    await one.totals()
    other.settle(entry.item, attempt(billing="maybe"))
    assert (await other.totals()).spent == PRICE
    assert_purse_equals_rows(shared)


async def test_a_late_image_does_not_replace_that_of_another_attempt(
    shared: Journals, tmp_path: Path
) -> None:
    one, other, entry = await taken_over(shared)
    other.settle(entry.item, attempt(billing="maybe"))
    await other.arm(entry.item, 2, PRICE, MOST, "x")
    one.settle(entry.item, attempt())
    with pytest.raises(JournalError, match="taken over"):
        await one.finish(entry.item, image(tmp_path, 1))
    other.settle(entry.item, attempt(2))
    await other.finish(entry.item, image(tmp_path, 2))
    with pytest.raises(JournalError, match="taken over"):
        await one.finish(entry.item, image(tmp_path, 1))
    found = await claim(other, job())
    assert found.image is not None
    assert found.image.stored.path.endswith("000002-abc.png")
    assert (await other.totals()).spent == 2 * PRICE


async def test_a_lost_connection_is_opened_again_and_nothing_is_counted_twice(
    shared: Journals, tmp_path: Path
) -> None:
    journal = await shared.join()

    async def make(index: int) -> None:
        entry = await claim(journal, job(f"prompt {index}", index))
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
        journal.settle(entry.item, attempt())
        await journal.finish(entry.item, image(tmp_path, index))

    making = asyncio.gather(*(make(index) for index in range(100)))
    for _ in range(3):
        connection = journal._queue._connection
        assert connection is not None
        cut = "SELECT pg_terminate_backend(%s)"
        assert await asyncio.to_thread(
            execute, shared.address, cut, connection.info.backend_pid
        ) == [(True,)]
        await journal.totals()
    await making
    assert (await journal.totals()).spent == 100 * PRICE
    assert_purse_equals_rows(shared)


async def test_every_statement_may_be_run_twice(shared: Journals, tmp_path: Path) -> None:
    """As after a commit whose answer was lost."""
    journal = await shared.join()
    run, twice = journal._queue.run, journal._queue.run

    async def again(query: str, values: tuple[object, ...], order: bytes = b"") -> object:
        first = await run(query, values, order)
        second = await twice(query, values, order)
        assert first == second
        return second

    journal._queue.run = again  # type: ignore[assignment,method-assign]
    entry = await claim(journal, job())
    await journal.arm(entry.item, 1, PRICE, MOST, "x")
    await journal.record_answer(entry.item, 1, ("https://x/1",), 5.0, "r")
    for _ in range(2):
        journal.settle(entry.item, attempt())
    await journal.finish(entry.item, image(tmp_path))
    assert (await journal.totals()).spent == PRICE
    assert_purse_equals_rows(shared)


async def test_many_that_open_it_at_once_make_its_tables_once(shared: Journals) -> None:
    await asyncio.gather(*(shared.join() for _ in range(6)))
    ((count,),) = execute(shared.address, "SELECT count(*) FROM SCHEMA.session")
    assert count == 6


async def test_another_account_and_another_place_are_refused(shared: Journals) -> None:
    await shared.join()
    with pytest.raises(JournalError, match=r"another account \(vendor:me; yours is vendor:you\)"):
        await shared.join(account="vendor:you")
    with pytest.raises(JournalError, match=r"one place: a store, or a folder"):
        await shared.join(place="s3://shop/a")
    execute(shared.address, "UPDATE SCHEMA.version SET number = 99")
    with pytest.raises(JournalError, match=rf"version 99, ours is {VERSION}.*Nothing was changed"):
        await shared.join()


async def test_text_that_the_database_cannot_hold_stops_nobody(shared: Journals) -> None:
    journal = await shared.join()
    entry = await claim(journal, job("a\0b"))
    assert entry.prompt.text == "a\0b"
    await journal.arm(entry.item, 1, PRICE, MOST, "x")
    bad = Failure(index=0, prompt=entry.prompt, error=DisconnectedError("\0 \udcff"), billing="no")
    journal.settle(entry.item, attempt(billing="no", error="\0"))
    await journal.finish(entry.item, bad)
    assert (await claim(await shared.join(), job("a\0b"))).prompt.text == "a\0b"


async def test_tables_of_version_1_are_brought_up_to_date_once_and_their_workers_fenced(
    shared: Journals,
) -> None:
    old = (Path(__file__).parent / "data" / "postgres_1.sql").read_text()
    schema = DatabaseAddress.parse(shared.address).schema
    execute(shared.address, f"CREATE schema {schema}")
    execute(shared.address, old.replace("SCHEMA.", f"{schema}."))
    run = "INSERT INTO SCHEMA.run (name, account, place, created) VALUES (%s, %s, '', 0)"
    execute(shared.address, run, "a run", ACCOUNT)
    execute(shared.address, "INSERT INTO SCHEMA.session (run, pid, host) VALUES (1, 1, 'old')")
    item = (
        "SELECT (SCHEMA.claim(1, 1, NULL, %s, 0, 0, 'n', %s, false)).id, "
        "SCHEMA.arm(1, 1, 1, 1, 't', 0.1, 0.2, 0, 'x', NULL, NULL)"
    )
    request = records.encode_request(job())
    assert execute(shared.address, item, bytes(32), request) == [(1, "armed")]

    joined = await asyncio.gather(*(shared.join() for _ in range(3)))
    assert execute(shared.address, "SELECT number FROM SCHEMA.version") == [(VERSION,)]
    assert execute(shared.address, "SELECT is_out FROM SCHEMA.run") == [(1,)]
    arm = "SELECT SCHEMA.arm(1, 1, 1, 2, 'u', 0.1, 0.2, 0, 'x', NULL, NULL)"
    assert execute(shared.address, arm) == [("fenced",)]
    joined[0].note("a limit", "40")
    assert await joined[0].notes() == {"a limit": "40"}
    (entry,) = await joined[0].unsettled()
    joined[0].settle(entry.item, attempt(billing="maybe"))
    await joined[0].finish(entry.item, failure())
    assert execute(shared.address, "SELECT is_out, held FROM SCHEMA.run") == [(0, 0)]
