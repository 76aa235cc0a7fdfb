"""`batch.retry_failed()`: what failed is made again, and nothing else."""

import asyncio
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbp_async import Batch, Client, ClosedError, ConfigError, DisconnectedError, Image, Limits
from nbp_async.testing.transport import Canned, FakeTransport
from nbp_async.testing.virtual_time import run_virtual
from tests.unit.flow.helpers import MOST, PRICE, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime


def lost() -> Canned:
    """Billed, and nothing that can be read."""
    return Canned(b'{"data":', hold=5)


def unclear() -> Canned:
    return Canned(error=DisconnectedError("gone"), hold=5)


def prompts_sent(transport: FakeTransport, since: int = 0) -> list[str]:
    """The prompts of the requests, in the order in which they left."""
    bodies = [json.loads(r.body) for r in transport.requests[since:]]
    return [body["prompt"] for body in bodies]


def one_after_another(transport: FakeTransport, **options: Any) -> Client:
    return client(transport, limits=Limits(max_in_flight=1), **options)


async def test_what_failed_is_made_again_and_what_is_there_is_not() -> None:
    transport = FakeTransport(good(), refusal(400), good(), refusal(400), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a", "b", "c", "d", "e"], size="2K")
        whole = await batch.retry_failed()
    assert prompts_sent(transport) == ["a", "b", "c", "d", "e", "b", "d"]
    assert [o.prompt.text for o in whole] == ["a", "b", "c", "d", "e"]
    assert [o.index for o in whole] == list(range(5))
    assert [len(o.attempts) for o in whole] == [1, 2, 1, 2, 1]
    assert [a.number for a in whole[1].attempts] == [1, 2]
    assert whole[0] is batch[0]
    assert whole.billing.spent == 5 * PRICE
    assert whole.elapsed == pytest.approx(batch.elapsed + 200, abs=0.1)
    assert_settled(whole, transport)


async def test_without_failures_it_is_the_same_batch_and_nothing_is_sent() -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        batch = await gen.many(["a", "b"])
        assert await batch.retry_failed() is batch
    assert await batch.retry_failed() is batch  # closed, and still nothing to do
    assert len(transport.requests) == 2


async def test_what_may_have_been_billed_stays_as_it_is() -> None:
    transport = FakeTransport(good(), unclear(), refusal(400), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a", "b", "c"])
        whole = await batch.retry_failed()
        assert prompts_sent(transport, since=3) == ["c"]
        assert whole[1] is batch[1]
        assert await whole.retry_failed() is whole
        assert_settled(whole, transport)


async def test_what_may_have_been_billed_is_sent_again_within_a_budget() -> None:
    transport = FakeTransport(good(), unclear(), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a", "b"])
        with pytest.raises(ConfigError, match="max_cost"):
            batch.retry_failed(resend_ambiguous=True)
        whole = await batch.retry_failed(resend_ambiguous=True, max_cost="5")
    assert prompts_sent(transport) == ["a", "b", "b"]
    assert [a.billing for a in whole[1].attempts] == ["maybe", "yes"]
    assert (whole.billing.spent, whole.billing.maybe) == (2 * PRICE, MOST)
    assert_settled(whole, transport)


async def test_max_cost_counts_what_the_batch_has_cost() -> None:
    transport = FakeTransport(good(), unclear(), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a", "b"], max_cost="0.42")
        short = await batch.retry_failed(resend_ambiguous=True)
        assert len(transport.requests) == 2
        assert short[1].billing == "maybe"
        assert short.billing.maybe == MOST
        enough = PRICE + 2 * MOST
        whole = await short.retry_failed(resend_ambiguous=True, max_cost=enough)
    assert [o.ok for o in whole] == [True, True]
    assert_settled(whole, transport)


async def test_what_was_billed_for_nothing_is_paid_once_more() -> None:
    transport = FakeTransport(lost(), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a"], max_cost=1)
        assert batch.failures[0].billing == "yes"
        whole = await batch.retry_failed()
    assert whole[0].ok
    assert whole.billing.spent == 2 * PRICE
    assert_settled(whole, transport)


async def test_a_batch_is_made_again_once_or_it_would_be_bought_twice() -> None:
    transport = FakeTransport(refusal(400), refusal(400), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a"])
        first, second = batch.retry_failed(), batch.retry_failed()
        after = await first
        with pytest.raises(ConfigError, match="made again already"):
            await second
        assert (await after.retry_failed())[0].ok
    assert len(transport.requests) == 3


async def test_a_closed_client_sends_nothing() -> None:
    transport = FakeTransport(refusal(400), default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a"])
    with pytest.raises(ClosedError, match="Nothing was sent"):
        await batch.retry_failed()
    assert len(transport.requests) == 1


async def test_prompts_that_were_drawn_lazily_and_copies_keep_their_place_and_seed() -> None:
    def prompts() -> Iterator[str | dict[str, Any]]:
        yield {"text": "a", "n": 3, "seed": 10, "size": "1K"}
        yield {"text": "b", "size": "no size"}
        yield "c"

    script = [good(), refusal(400), good(), refusal(400)]
    transport = FakeTransport(*script, default=good())
    async with one_after_another(transport) as gen:
        batch = await gen.many(prompts(), size="4K")
        whole = await batch.retry_failed()
    bodies = [json.loads(r.body) for r in transport.requests]
    assert [(b["prompt"], b.get("seed")) for b in bodies] == [
        ("a", 10),
        ("a", 11),
        ("a", 12),
        ("c", None),
        ("a", 11),
        ("c", None),
    ]
    assert (bodies[4]["size"], bodies[5]["size"]) == (bodies[0]["size"], bodies[3]["size"])
    assert [o.ok for o in whole] == [True, True, True, False, True]
    assert isinstance(whole.failures[0].error, ConfigError)
    assert_settled(whole, transport)


async def test_a_cancelled_call_names_what_it_may_have_cost() -> None:
    transport = FakeTransport(good(), refusal(400), refusal(400), default=good(hold=60))
    async with client(transport) as gen:
        batch = await gen.many(["a", "b", "c"])
        plan = batch.retry_failed()
        task = asyncio.ensure_future(plan)
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        partial = plan.partial
        assert [o.billing for o in partial] == ["yes", "maybe", "maybe"]
        assert partial.billing.maybe == 2 * MOST
        assert await partial.retry_failed() is partial
        assert_settled(partial, transport)


async def test_a_stopped_call_makes_what_is_out_and_leaves_the_rest_failed() -> None:
    transport = FakeTransport(refusal(400), refusal(400), default=good(hold=60))
    async with one_after_another(transport) as gen:
        batch = await gen.many(["a", "b"])
        plan = batch.retry_failed()
        task = asyncio.ensure_future(plan)
        await asyncio.sleep(10)
        plan.stop()
        whole = await task
        assert [o.ok for o in whole] == [True, False]
        assert [o.ok for o in await whole.retry_failed()] == [True, True]


async def test_only_a_batch_of_a_client_can_be_made_again() -> None:
    transport = FakeTransport(refusal(400), default=good())
    async with client(transport) as gen:
        batch = await gen.many(["a"])
        copy = pickle.loads(pickle.dumps(batch))
        assert copy.outcomes[0].billing == "no"
        for other in (copy, Batch(batch.outcomes)):
            with pytest.raises(ConfigError, match="Nothing was sent"):
                other.retry_failed()


async def test_a_plan_shows_what_it_would_send() -> None:
    transport = FakeTransport(good(), refusal(400), default=good())
    async with one_after_another(transport) as gen:
        plan = (await gen.many(["a", "b"])).retry_failed()
        assert "retry_failed(1 of 2): nothing is sent" in repr(plan)
        assert "1 image: 1 to make, about $0.13" in repr(plan)
        await plan


KINDS = {"good": good, "refused": lambda: refusal(400), "unclear": unclear, "lost": lost}


@settings(max_examples=60)
@example(kinds=["lost", "lost", "lost"], count=4, width=1)  # the call stops before the fourth
@given(
    st.lists(st.sampled_from(sorted(KINDS)), max_size=25),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_nothing_that_is_there_or_unclear_is_ever_bought_again(
    kinds: list[str], count: int, width: int
) -> None:
    transport = FakeTransport(*(KINDS[kind]() for kind in kinds), default=good())

    async def main() -> None:
        async with client(transport, limits=Limits(max_in_flight=width)) as gen:
            # A list: a call that stops early would leave the rest of a generator undrawn.
            batch = await gen.many([f"{n}" for n in range(count)])
            while True:
                closed = {
                    o.prompt.text
                    for o in batch
                    if isinstance(o, Image) or any(a.billing == "maybe" for a in o.attempts)
                }
                before = len(transport.requests)
                again = await batch.retry_failed()
                assert not closed & set(prompts_sent(transport, since=before))
                assert_settled(again, transport)
                if again is batch:
                    break
                batch = again
        assert len(closed) == count
        tried = Counter(prompts_sent(transport))
        assert {o.prompt.text: len(o.attempts) for o in batch} == tried
        assert gen.bill().spent == batch.billing.spent
        assert gen.bill().maybe == batch.billing.maybe

    run_virtual(main())
