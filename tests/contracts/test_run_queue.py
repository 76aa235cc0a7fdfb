"""What the queue of a run promises, in a file and in PostgreSQL."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from nbp_async import BudgetError, Prompt
from nbp_async._base.errors import DisconnectedError
from nbp_async._journal.identity import identity
from nbp_async._journal.reader import read_run
from nbp_async._journal.run_queue import Purse, QueuedJob, QueueTerms, RunQueue
from nbp_async._journal.shared_journal import RunLimits
from nbp_async._models.outcomes import ZERO, Failure, Reference
from tests.contracts.journals import ACCOUNT, Journals, claim
from tests.databases import execute
from tests.unit.journal.made import MOST, PRICE, attempt, image, job

LATER = datetime(2100, 1, 1, tzinfo=UTC)


def queued(text: str, index: int = 0, ticket: str = "") -> QueuedJob:
    made = job(text, index)
    return QueuedJob(made, identity(made, ACCOUNT, ()), ticket or f"{text}#{index}")


async def submit(queue: RunQueue, *texts: str, **terms: Any) -> list[int]:
    said = await queue.submit(
        [queued(text, n) for n, text in enumerate(texts)], QueueTerms(**terms)
    )
    return [one.item for one in said]


async def drawn_texts(queue: RunQueue, count: int = 100) -> list[str]:
    return [one.entry.prompt.text for one in await queue.draw(count)]


async def end(journal: Any, item: int, folder: Any = None, *, billing: Any = "yes") -> None:
    """An attempt for the item ends so, and the item with it."""
    await journal.arm(item, 1, PRICE, MOST, "x")
    journal.settle(item, attempt(billing=billing))
    if billing == "yes":
        await journal.finish(item, image(folder, item))
        return
    error = DisconnectedError("gone")
    prompt = Prompt(text="a")
    await journal.finish(item, Failure(index=item, prompt=prompt, error=error, billing=billing))


async def test_what_is_submitted_is_drawn_once_in_its_order(opened: Journals) -> None:
    journal = await opened()
    items = await submit(journal.queue, "a", "b", "c")
    assert len(set(items)) == 3
    assert await drawn_texts(journal.queue, 2) == ["a", "b"]
    assert await drawn_texts(journal.queue, 2) == ["c"]
    assert await drawn_texts(journal.queue, 2) == []
    counts = await journal.queue.counts()
    assert (counts.ready, counts.working) == (0, 3)


async def test_a_higher_priority_goes_first_and_owners_take_turns(opened: Journals) -> None:
    queue = (await opened()).queue
    await submit(queue, *(f"many {n}" for n in range(4)), owner="ann")
    await submit(queue, "few 0", "few 1", owner="bob")
    await submit(queue, "urgent", owner="ann", priority=1)
    assert await drawn_texts(queue) == [
        "urgent",
        "many 0",
        "few 0",
        "many 1",
        "few 1",
        "many 2",
        "many 3",
    ]


async def test_who_comes_late_is_not_behind_what_others_submitted_before(opened: Journals) -> None:
    queue = (await opened()).queue
    await submit(queue, *(f"many {n}" for n in range(6)), owner="ann")
    assert await drawn_texts(queue, 3) == ["many 0", "many 1", "many 2"]
    await submit(queue, "few 0", "few 1", owner="bob")
    assert await drawn_texts(queue, 4) == ["many 3", "few 0", "many 4", "few 1"]


async def test_what_is_for_later_waits_and_is_counted_apart(opened: Journals) -> None:
    queue = (await opened()).queue
    await submit(queue, "later", not_before=LATER)
    await submit(queue, "now", not_before=datetime(1970, 1, 1, tzinfo=UTC))
    counts = await queue.counts()
    assert (counts.ready, counts.later) == (1, 1)
    assert await drawn_texts(queue) == ["now"]


async def test_the_same_ticket_is_queued_once_and_stands_for_one_job(opened: Journals) -> None:
    queue = (await opened()).queue
    (first,) = await queue.submit([queued("a", ticket="k")], QueueTerms())
    twice = await queue.submit([queued("a", ticket="k")] * 2, QueueTerms())
    assert [(one.said, one.item) for one in twice] == [("known", first.item)] * 2
    (other,) = await queue.submit([queued("b", ticket="k")], QueueTerms())
    assert other.said == "other"
    assert (await queue.purse(None, None, None)).held == MOST


async def test_all_or_none_or_what_the_money_is_enough_for(opened: Journals) -> None:
    queue = (await opened()).queue
    jobs = [queued("a", n) for n in range(3)]
    none = await queue.submit(jobs, QueueTerms(cap=2 * MOST))
    assert {(one.said, one.left) for one in none} == {("cap", 2 * MOST)}
    assert (await queue.counts()).ready == 0
    some = await queue.submit(jobs, QueueTerms(cap=2 * MOST, part=True))
    assert [one.said for one in some] == ["queued", "queued", "cap"]
    assert (await queue.purse(None, None, None)).held == 2 * MOST


async def test_the_budget_of_an_owner_holds_for_what_is_queued_out_and_spent(
    opened: Journals,
) -> None:
    journal = await opened()
    queue = journal.queue
    await queue.set_budget("ann", "day", 3 * MOST)
    await queue.set_budget("ann", "all", 2 * MOST)
    assert await queue.budgets("ann") == {"day": 3 * MOST, "all": 2 * MOST}
    (item, second) = await submit(queue, "a", "b", owner="ann")
    (refused,) = await queue.submit([queued("c", 9)], QueueTerms(owner="ann"))
    assert (refused.said, refused.left) == ("budget", ZERO)
    assert await submit(queue, "other", owner="bob"), "another purse"
    await queue.draw(9)
    await end(journal, item, opened.folder)
    await end(journal, second, billing="no")
    left = 2 * MOST - PRICE
    (still,) = await queue.submit([queued("c", 9)] * 1, QueueTerms(owner="ann"))
    assert still.said == "queued", f"{left} are left"
    await queue.set_budget("ann", "all", None)
    assert await queue.budgets("ann") == {"day": 3 * MOST}


async def test_an_attempt_beyond_what_was_set_aside_asks_the_budget(opened: Journals) -> None:
    journal = await opened()
    await journal.queue.set_budget("ann", "month", MOST)
    (item,) = await submit(journal.queue, "a", owner="ann")
    await journal.queue.draw(1)
    with pytest.raises(BudgetError, match="left of what its owner may spend"):
        await journal.arm(item, 1, PRICE, 2 * MOST, "x")
    await journal.arm(item, 1, PRICE, MOST, "x")
    journal.settle(item, attempt(billing="maybe"))
    with pytest.raises(BudgetError):
        await journal.arm(item, 2, PRICE, MOST, "x")
    assert await journal.queue.purse("ann", None, None) == Purse(ZERO, ZERO, PRICE, 0)


async def test_money_is_held_then_spent_and_comes_back_once(opened: Journals) -> None:
    journal = await opened()
    queue = journal.queue
    (a, b, c) = await submit(queue, "a", "b", "c", owner="ann")
    await queue.draw(3)
    assert (await queue.purse("ann", None, None)).held == 3 * MOST
    await end(journal, a, opened.folder)
    await end(journal, b, billing="no")
    await end(journal, c, billing="maybe")
    today = datetime.now(UTC).date() if opened.address else date(1970, 1, 1)
    expected = Purse(ZERO, PRICE, PRICE, 1)
    assert await queue.purse("ann", today, today) == expected
    assert await queue.purse(None, None, None) == expected
    assert await queue.purse("ann", today + timedelta(days=1), None) == Purse()
    totals = await journal.totals()
    assert (totals.spent, totals.maybe, totals.images) == (PRICE, PRICE, 1)


async def test_cancelling_gives_the_money_back_unless_it_is_out(opened: Journals) -> None:
    journal = await opened()
    queue = journal.queue
    (waiting, out, ended) = await submit(queue, "a", "b", "c")
    await queue.draw(0)
    assert await queue.cancel([waiting], out=False) == {waiting: "cancelled"}
    drawn = {one.entry.item for one in await queue.draw(9)}
    assert drawn == {out, ended}
    await journal.arm(out, 1, PRICE, MOST, "x")
    await end(journal, ended, opened.folder)
    said = await queue.cancel([waiting, out, ended, 10**6], out=False)
    assert said == {waiting: "cancelled", out: "out", ended: "ended"}
    assert await queue.unwanted() == []
    assert await queue.cancel([out], out=True) == {out: "out"}
    assert await queue.unwanted() == [out]
    (entry,) = await queue.look([waiting])
    assert entry.is_cancelled
    assert "Cancelled before it was sent" in entry.entry.error
    assert (await queue.purse(None, None, None)).held == MOST


async def test_what_failed_for_nothing_is_queued_again_and_what_may_have_cost_is_not(
    opened: Journals,
) -> None:
    journal = await opened()
    queue = journal.queue
    (free, maybe, kept) = await submit(queue, "a", "b", "c")
    await queue.draw(3)
    await end(journal, free, billing="no")
    await end(journal, maybe, billing="maybe")
    await end(journal, kept, opened.folder)
    items = [free, maybe, kept]
    assert await queue.requeue(items, [MOST] * 3, PRICE * 2) == {free: ZERO}, "too little money"
    assert await queue.requeue(items, [MOST] * 3, None) == {free: None}
    assert await queue.requeue(items, [MOST] * 3, None) == {free: None}, "it is queued already"
    (entry,) = await queue.draw(9)
    assert (entry.entry.item, len(entry.entry.attempts)) == (free, 1)


async def test_nothing_is_drawn_while_it_is_paused(opened: Journals) -> None:
    queue = (await opened()).queue
    await submit(queue, "a")
    await queue.pause("the bill looks wrong")
    assert (await queue.counts()).paused == "the bill looks wrong"
    assert await drawn_texts(queue) == []
    await queue.pause("")
    assert await drawn_texts(queue) == ["a"]


async def test_a_process_that_ends_leaves_what_it_had_only_drawn(opened: Journals) -> None:
    journal = await opened()
    (planned, given_back, armed) = await submit(journal.queue, "a", "b", "c")
    await journal.queue.draw(3)
    journal.queue.give_back(given_back)
    await journal.arm(armed, 1, PRICE, MOST, "x")
    assert await drawn_texts(journal.queue) == ["b"], "given back"
    journal = await opened()
    assert await drawn_texts(journal.queue) == ["a", "b"]
    (entry,) = await journal.queue.look([armed])
    assert entry.entry.state == "armed"
    assert planned != armed


async def test_a_call_with_the_same_prompts_makes_what_is_queued(opened: Journals) -> None:
    journal = await opened()
    (item,) = await submit(journal.queue, "a")
    journal = await opened()
    entry = await claim(journal, job("a"))
    assert (entry.item, entry.state, entry.standing) == (item, "planned", "ours")
    await end(journal, item, opened.folder)
    assert (await journal.queue.purse(None, None, None)).spent == PRICE


async def test_changes_are_told_once_and_the_last_one_is_not_missed(opened: Journals) -> None:
    journal = await opened()
    mark = await journal.queue.mark()
    (a, b) = await submit(journal.queue, "a", "b")
    seen: Counter[tuple[int, str]] = Counter()
    last: dict[int, str] = {}
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: journal.queue.draw(1),
        lambda: end(journal, a, opened.folder),
        lambda: journal.queue.cancel([b], out=False),
        *[partial(asyncio.sleep, 0.01)] * 500,
    ]
    for step in steps:
        entries, mark = await journal.queue.changes(mark)
        last |= {one.entry.item: one.entry.state for one in entries}
        seen.update((one.entry.item, one.entry.state) for one in entries)
        if last == {a: "stored", b: "failed"}:
            break  # in PostgreSQL a change is told of when all older transactions have ended
        await step()
    assert last == {a: "stored", b: "failed"}
    assert set(seen.values()) == {1}


async def test_references_are_kept_once_and_come_back(opened: Journals) -> None:
    queue = (await opened()).queue
    data = b"\x89PNG\r\n\x1a\n" + bytes(1000)
    digest = hashlib.sha256(data).digest()
    for _ in range(2):
        await queue.keep_reference(digest, Reference("image/png", data))
    assert await queue.reference(digest) == data


async def test_tickets_of_an_owner_come_in_pages(opened: Journals) -> None:
    queue = (await opened()).queue
    items = await submit(queue, *"abcde", owner="ann")
    await submit(queue, "z", owner="bob")
    first = await queue.owned("ann", 0, 3)
    rest = await queue.owned("ann", first[-1].entry.item, 3)
    assert [one.entry.item for one in (*first, *rest)] == items
    assert {one.owner for one in first} == {"ann"}


async def test_what_is_queued_is_shown(opened: Journals) -> None:
    journal = await opened()
    await submit(journal.queue, "a", "b")
    await journal.aclose()
    assert opened.read().states == {"queued": 2}


async def test_money_for_ten_that_sixty_four_race_for_is_reserved_by_ten(shared: Journals) -> None:
    journals = [await shared.join() for _ in range(4)]
    jobs = [queued("race", n) for n in range(64)]
    said = await asyncio.gather(
        *(
            journals[n % 4].queue.submit([one], QueueTerms(cap=10 * MOST))
            for n, one in enumerate(jobs)
        )
    )
    assert Counter(one.said for (one,) in said) == {"queued": 10, "cap": 54}


async def test_two_processes_never_draw_the_same(shared: Journals) -> None:
    journals = [await shared.join() for _ in range(3)]
    items = await submit(journals[0].queue, *(f"p {n}" for n in range(60)))
    drawn = await asyncio.gather(*(journals[n % 3].queue.draw(3) for n in range(30)))
    found = [one.entry.item for some in drawn for one in some]
    assert sorted(found) == items


async def test_what_a_dead_process_had_only_drawn_is_drawn_by_another(shared: Journals) -> None:
    dead, living = [await shared.join() for _ in range(2)]
    (item, out) = await submit(dead.queue, "a", "b")
    await dead.queue.draw(2)
    await dead.arm(out, 1, PRICE, MOST, "x")
    assert await drawn_texts(living.queue) == []
    expire = (
        "UPDATE SCHEMA.session SET lease_end = clock_timestamp() - interval '1 s' WHERE id = %s"
    )
    execute(shared.address, expire, dead._session)
    await living._call(living._sql("SELECT SCHEMA.renew(%s, %s)"), ())
    assert [one.entry.item for one in await living.queue.draw(9)] == [item]


async def test_calls_in_flight_are_counted_over_all_processes(shared: Journals) -> None:
    journals = [await shared.join() for _ in range(3)]
    await journals[0].limit(RunLimits(max_in_flight=4))
    entries = [(one, await claim(one, job(f"{n}", n))) for n in range(3) for one in journals]
    entries = [
        (one, await claim(one, job(f"{n} {k}", n)))
        for k, one in enumerate(journals)
        for n in range(4)
    ]
    said = await asyncio.gather(
        *(one.arm(entry.item, 1, PRICE, MOST, "x") for one, entry in entries)
    )
    assert said.count(0.0) == 4
    assert all(seconds > 0 for seconds in said if seconds)
    (one, entry) = next(pair for pair, seconds in zip(entries, said, strict=True) if not seconds)
    one.settle(entry.item, attempt())
    (other, more) = next(pair for pair, seconds in zip(entries, said, strict=True) if seconds)
    await other.totals(0.0)
    await one.finish(entry.item, image(shared.folder))
    assert await other.arm(more.item, 1, PRICE, MOST, "x") == 0.0


async def test_departures_keep_the_rate_over_all_processes(shared: Journals) -> None:
    journals = [await shared.join() for _ in range(2)]
    await journals[0].limit(RunLimits(rate_seconds=3600.0, burst=2))
    entries = [
        (one, await claim(one, job(f"{n} {k}", n)))
        for k, one in enumerate(journals)
        for n in range(3)
    ]
    said = await asyncio.gather(*(one.arm(e.item, 1, PRICE, MOST, "x") for one, e in entries))
    assert said.count(0.0) == 2, "the burst"
    assert all(3500 < seconds <= 3600 for seconds in said if seconds)


async def test_spend_within_a_window_and_a_pause_hold_all_processes_back(shared: Journals) -> None:
    one, other = [await shared.join() for _ in range(2)]
    entries = [(each, await claim(each, job(f"{k}", 0))) for k, each in enumerate((one, other))]
    await one.limit(RunLimits(spend=MOST * Decimal("1.5"), spend_seconds=600.0))
    assert await one.arm(entries[0][1].item, 1, PRICE, MOST, "x") == 0.0
    assert await other.arm(entries[1][1].item, 1, PRICE, MOST, "x") > 0
    await one.limit(RunLimits())
    one.hold_back(50.0)
    await one.totals(0.0)
    assert 40 < await other.arm(entries[1][1].item, 1, PRICE, MOST, "x") <= 50


async def test_a_million_of_one_owner_are_told_to_the_planner(shared: Journals) -> None:
    """After a bulk insert PostgreSQL would read the whole table for each draw."""
    journal = await shared.join()
    jobs = [queued(f"bulk {n}", n) for n in range(6000)]
    await journal.queue.submit(jobs, QueueTerms(part=True))
    query = "SELECT reltuples FROM pg_class WHERE oid = 'SCHEMA.item'::regclass"
    ((rows,),) = execute(shared.address, query)
    assert rows >= 5000
    assert read_run(shared.address).states == {"queued": 6000}


async def test_its_place_in_the_queue_is_told(opened: Journals) -> None:
    queue = (await opened()).queue
    (a, b) = await submit(queue, "a", "b", owner="ann")
    (first,) = await submit(queue, "c", owner="bob", priority=1)
    assert [await queue.position(item) for item in (first, a, b, 10**6)] == [0, 1, 2, None]
    await queue.draw(1)
    assert [await queue.position(item) for item in (first, a, b)] == [None, 0, 1]
