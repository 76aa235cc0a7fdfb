"""Many prompts through few slots: order, laziness, isolation, memory."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import (
    BudgetError,
    ConfigError,
    DisconnectedError,
)
from nbp_async._models.events import AttemptEnded, AttemptStarted, Listener
from nbp_async._models.outcomes import Failure, Image, Outcome, Prompt
from nbp_async._models.settings import Limits, Retry
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.flow.helpers import MOST, PRICE, answer, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_five_hundred_images_of_100_s_through_100_slots_take_500_s() -> None:
    transport = FakeTransport(default=good(hold=100))
    async with client(transport, limits=Limits(max_in_flight=100)) as gen:
        began = now()
        batch = await gen.many(f"prompt {n}" for n in range(500))
        assert now() - began == pytest.approx(500, abs=0.01)
        assert batch.elapsed == pytest.approx(500, abs=0.01)
    assert transport.peak == 100
    assert [outcome.index for outcome in batch] == list(range(500))
    assert [o.prompt.text for o in batch] == [f"prompt {n}" for n in range(500)]
    assert batch.billing.spent == 500 * PRICE
    assert_settled(batch, transport)


async def test_three_prompts_start_three_workers_whatever_the_limit() -> None:
    transport = FakeTransport(default=good())
    async with client(transport, limits=Limits(max_in_flight=10_000)) as gen:
        plan = asyncio.create_task(gen.many(["a", "b", "c"]))
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) <= 6
        await plan


async def test_prompts_are_drawn_only_as_places_come_free() -> None:
    drawn = 0

    def prompts() -> Iterator[str]:
        nonlocal drawn
        for n in range(1000):
            drawn += 1
            yield f"prompt {n}"

    transport = FakeTransport(default=good(hold=10))
    async with client(transport, limits=Limits(max_in_flight=5)) as gen:
        stream = gen.stream(prompts())
        first = await anext(stream)
        assert first.ok
        assert drawn <= 11
        await stream.aclose()


async def test_a_slow_consumer_slows_the_drawing() -> None:
    transport = FakeTransport(default=good(hold=1))
    async with client(transport, limits=Limits(max_in_flight=4)) as gen:
        stream = gen.stream(f"prompt {n}" for n in range(1000))
        await anext(stream)
        await asyncio.sleep(500)
        assert transport.billed <= 13  # taken, waiting, in the hands of workers
        await stream.aclose()


async def test_async_prompts_dicts_and_copies_keep_their_places() -> None:
    async def prompts() -> AsyncIterator[object]:
        yield "plain"
        yield {"text": "twice", "n": 2, "seed": 7}
        yield Prompt(text="last", size="1K")

    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        batch = await gen.many(prompts(), size="4K")  # type: ignore[arg-type]
    assert [(o.index, o.prompt.text) for o in batch] == [
        (0, "plain"),
        (1, "twice"),
        (2, "twice"),
        (3, "last"),
    ]
    assert [o.prompt.size for o in batch] == ["4K", "4K", "4K", "1K"]
    seeds = [b'"seed":7' in r.body.replace(b" ", b"") for r in transport.requests]
    assert seeds.count(True) == 1
    assert any(b'"seed":8' in r.body.replace(b" ", b"") for r in transport.requests)


async def test_outcomes_stream_in_the_order_of_completion() -> None:
    transport = FakeTransport(good(hold=30), good(hold=10), good(hold=20))
    async with client(transport) as gen:
        ended = [outcome.index async for outcome in gen.stream(["a", "b", "c"])]
    assert ended == [1, 2, 0]


async def test_one_failure_never_stops_its_paid_siblings() -> None:
    transport = FakeTransport(
        Canned(error=DisconnectedError("gone"), hold=5), refusal(400), default=good()
    )
    async with client(transport) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(10)])
    assert len(batch.images) == 8
    assert {(type(f.error).__name__, f.billing) for f in batch.failures} == {
        ("DisconnectedError", "maybe"),
        ("InvalidRequestError", "no"),
    }
    assert batch.billing.maybe == MOST
    assert_settled(batch, transport)


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ("a cat", "one letter"),
        (b"a cat", "a prompt is text"),
        (Prompt(text="a cat"), "one prompt"),
        ({"text": "a cat"}, "one prompt"),
        (17, "got int, which is not iterable"),
    ],
)
async def test_what_is_no_list_of_prompts_is_refused_at_once(prompts: object, says: str) -> None:
    transport = FakeTransport()
    async with client(transport) as gen:
        with pytest.raises(ConfigError, match=says):
            gen.many(prompts)  # type: ignore[arg-type]
    assert transport.billed == 0


async def test_a_mistake_in_the_last_prompt_of_a_list_costs_nothing() -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        with pytest.raises(ConfigError, match=r"prompts\[2\]: .*did you mean '4K'"):
            await gen.many(["a", "b", {"text": "c", "size": "4k"}])
    assert transport.requests == []


async def test_a_mistake_in_a_lazy_prompt_is_its_own_failure() -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        prompts: Any = iter(["a", {"text": "b", "size": "9K"}, 17, "c"])
        batch = await gen.many(prompts)
    assert [o.ok for o in batch] == [True, False, False, True]
    assert all(isinstance(f.error, ConfigError) for f in batch.failures)
    assert_settled(batch, transport)


async def test_a_spend_cap_is_never_passed_however_many_race_for_it() -> None:
    """$10 at $0.24: 41 images, not one more."""
    transport = FakeTransport(default=good())
    async with client(transport, limits=Limits(max_in_flight=100)) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(100)], size="4K", max_cost="10")
    assert transport.billed == 41
    assert len(batch.images) == 41
    assert all(isinstance(f.error, BudgetError) for f in batch.failures)
    assert batch.billing.spent == 41 * Decimal("0.24")


async def test_what_may_have_been_billed_counts_against_the_cap() -> None:
    transport = FakeTransport(default=Canned(error=DisconnectedError("gone"), hold=5))
    async with client(transport, limits=Limits(max_in_flight=10)) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(20)], max_cost=MOST * 3)
    assert transport.billed == 3
    assert batch.billing.maybe == 3 * MOST


@pytest.mark.slow
async def test_a_million_prompts_make_no_million_tasks() -> None:
    """Memory follows what is in flight: 20,000 prompts need no more than the first 2,000."""
    transport = FakeTransport(default=Canned(answer(b""), status=400))
    transport.keep_requests = False
    async with client(transport, limits=Limits(max_in_flight=50)) as gen:
        tracemalloc.start()
        seen = 0
        early = 0
        async for _ in gen.stream(f"prompt {n}" for n in range(20_000)):
            seen += 1
            if seen == 2_000:
                gc.collect()
                early = tracemalloc.get_traced_memory()[0]
        gc.collect()
        late = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert seen == 20_000
    assert late - early < 200_000


@pytest.mark.slow
async def test_outcomes_share_what_is_equal_so_that_a_million_of_them_fit() -> None:
    """Besides its image an outcome keeps less than 850 bytes, as the allocator was asked for."""
    transport = FakeTransport(default=good())
    transport.keep_requests = False
    async with client(transport) as gen:
        await gen.many(f"prompt {n}" for n in range(200))
        gc.collect()
        tracemalloc.start()
        batch = await gen.many(f"prompt {n}" for n in range(2000))
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - sum(i.stored.size for i in batch.images)
        tracemalloc.stop()
    assert kept / len(batch) < 850
    assert len({id(number) for image in batch.images for number in image.pixels}) <= 2
    assert transport.billed == 200 + len(batch.images)


async def test_without_out_memory_is_bounded_and_the_rest_goes_to_files() -> None:
    transport = FakeTransport(default=good())
    size = len(answer())
    async with client(transport, limits=Limits(max_memory=size)) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(10)])
        held = [image for image in batch.images if image.path is None]
        assert sum(image.stored.size for image in held) <= size
        assert len(batch.images) - len(held) > 5
    assert len({image.read() for image in batch.images}) == 1  # they stay after the client


async def test_out_gets_each_image_as_soon_as_it_is_there(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Look(Listener):
        def on_outcome(self, outcome: Outcome) -> None:
            names = sorted(path.name for path in (tmp_path / "catalogue").glob("0*"))
            assert isinstance(outcome, Image)
            assert outcome.path is not None
            assert outcome.path.name in names
            seen.append(names)

    transport = FakeTransport(default=good(hold=10))
    limits = Limits(max_in_flight=1)
    async with client(transport, listeners=[Look()], limits=limits) as gen:
        batch = await gen.many(["a", "b"], out=tmp_path / "catalogue")
    assert [len(names) for names in seen] == [1, 2]
    assert seen[0][0].startswith("000000-")
    assert seen[0][0].endswith(".png")
    assert sorted((tmp_path / "catalogue").glob("0*")) == [i.path for i in batch.images]


async def test_listeners_hear_everything_and_cannot_break_anything() -> None:
    events: list[str] = []

    class Loud(Listener):
        def on_attempt_started(self, event: AttemptStarted) -> None:
            events.append(f"started {event.number}")

        def on_attempt(self, event: AttemptEnded) -> None:
            events.append(f"ended {event.attempt.billing}")
            raise RuntimeError("a listener's bug")

        def on_outcome(self, outcome: Outcome) -> None:
            events.append(f"outcome {outcome.ok}")

    transport = FakeTransport(refusal(503, retry_after="1"), good())
    async with client(transport, listeners=[Loud()]) as gen:
        batch = await gen.many(["a"])
    assert batch[0].ok
    assert events == ["started 1", "ended no", "started 2", "ended yes", "outcome True"]


async def test_a_plan_that_is_never_awaited_sends_nothing_and_says_so() -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        plan = gen.many(["a"] * 300, size="4K")
        assert "300 prompts" in repr(plan)
        assert "$72.00" in repr(plan)
        with pytest.warns(RuntimeWarning, match="never awaited: no image was made"):
            del plan
            gc.collect()
    assert transport.requests == []


async def test_who_waits_out_a_backoff_leaves_the_slot_to_another_prompt() -> None:
    """One slot: while the first waits 30 s for its second try, the second prompt is made."""
    transport = FakeTransport(refusal(500), default=good(hold=10))
    retry = Retry(base=30, jitter=False, statuses=frozenset({500}))
    async with client(transport, limits=Limits(max_in_flight=1), retry=retry) as gen:
        began = asyncio.get_running_loop().time()
        batch = await gen.many(["a", "b", "c"])
        assert asyncio.get_running_loop().time() - began == pytest.approx(40)
    assert transport.peak == 1
    assert len(batch.images) == 3


async def test_prompts_that_wait_without_a_slot_are_bounded() -> None:
    """An outage must not draw the whole list into a backoff."""
    drawn = 0

    def prompts() -> Iterator[str]:
        nonlocal drawn
        for drawn in range(1, 10_001):
            yield f"prompt {drawn}"

    transport = FakeTransport(default=refusal(500))
    retry = Retry(base=50, cap=50, jitter=False, statuses=frozenset({500}), budget=False)
    async with client(transport, limits=Limits(max_in_flight=5), retry=retry) as gen:
        task = asyncio.create_task(gen.many(prompts()))
        await asyncio.sleep(20)
        assert drawn <= 5 + 5 + 16 + 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_money_that_was_set_aside_and_not_needed_buys_the_next_image() -> None:
    transport = FakeTransport(refusal(400), default=good())
    async with client(transport, limits=Limits(max_in_flight=2)) as gen:
        batch = await gen.many(["a", "b", "c"], max_cost=MOST * 2)
    assert [o.ok for o in batch] == [False, True, True]
    assert_settled(batch, transport)


@pytest.mark.parametrize(
    "extra",
    [
        {"n": 3},
        {"model": "dear"},
        {"size": "4096x4096"},
        {"generationConfig": {"candidateCount": 2}},
    ],
)
async def test_what_would_change_the_price_does_not_hide_in_extra(extra: dict[str, Any]) -> None:
    transport = FakeTransport(default=good())
    async with client(transport) as gen:
        with pytest.raises(ConfigError, match="does not belong in `extra`"):
            await gen.many([{"text": "a", "extra": extra}])
    assert transport.requests == []


async def test_an_answer_without_image_and_tokens_may_have_been_billed() -> None:
    body = json.dumps({"created": 1, "data": []}).encode()
    transport = FakeTransport(default=Canned(body))
    async with client(transport) as gen:
        (failure,) = await gen.many(["a"], max_cost="1")
    assert isinstance(failure, Failure)
    assert (failure.billing, failure.maybe_spent) == ("maybe", MOST)


async def test_dollars_in_a_rolling_period_hold_the_run_back() -> None:
    transport = FakeTransport(default=good(hold=10))
    async with client(transport, limits=Limits(spend="$1/10min")) as gen:
        began = asyncio.get_running_loop().time()
        batch = await gen.many([f"prompt {n}" for n in range(12)])
        took = asyncio.get_running_loop().time() - began
    assert len(batch.images) == 12
    assert 600 < took < 660  # five to seven in the first period, the rest in the second


async def test_the_client_says_how_each_models_gate_stands() -> None:
    transport = FakeTransport(default=refusal(429, retry_after="60"))
    async with client(transport, limits=Limits(max_in_flight=3)) as gen:
        assert gen.statistics() == {}
        task = asyncio.create_task(gen.many(["a", "b"]))
        await asyncio.sleep(5)
        (found,) = gen.statistics().values()
        assert (found.in_flight, found.waiting) == (0, 2)
        assert 50 < found.paused < 70
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
