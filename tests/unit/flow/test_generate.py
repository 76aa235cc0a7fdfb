"""One prompt: what is tried again, what is not, who pays, and what the outcome tells."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from nbp_async._base.errors import (
    CertificateError,
    ConnectError,
    DeadlineError,
    DisconnectedError,
    NbpError,
    NotAnImageError,
    NotSentError,
    OverloadedError,
    RateLimitError,
    ReadTimeout,
    ServerError,
    TruncatedError,
)
from nbp_async._models.outcomes import Failure, Image, Stored
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._vendors.profiles import Profile
from nbp_async.testing.transport import Canned, FakeTransport
from tests.pictures import png
from tests.unit.flow.helpers import MOST, PRICE, answer, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime

RESEND = Retry(ambiguous="resend", ambiguous_budget_usd="1.00")


def now() -> float:
    return asyncio.get_running_loop().time()


async def one(transport: FakeTransport, **options: Any) -> Image | Failure:
    async with client(transport, **options) as gen:
        batch = await gen.many(["a red bicycle"])
    assert_settled(batch, transport)
    return batch[0]


async def test_a_good_answer_tells_everything_about_the_image() -> None:
    outcome = await one(FakeTransport(good(hold=100)))
    assert isinstance(outcome, Image)
    assert (outcome.format, outcome.pixels, outcome.mismatch) == ("png", (2048, 2048), "")
    assert (outcome.cost, outcome.billing, outcome.request_id) == (PRICE, "yes", "req-1")
    assert outcome.read() == png(2048, 2048)
    (attempt,) = outcome.attempts
    timings = attempt.timings
    stages = [timings.queued, timings.connecting, timings.sent, timings.first_byte, timings.done]
    assert stages == sorted(stage for stage in stages if stage is not None)
    assert timings.service == pytest.approx(100, abs=0.01)


async def test_what_never_left_is_tried_again_and_costs_nothing() -> None:
    refused = Canned(error=ConnectError("refused"))
    transport = FakeTransport(refused, refused, good())
    outcome = await one(transport)
    assert isinstance(outcome, Image)
    assert [a.billing for a in outcome.attempts] == ["no", "no", "yes"]
    assert [a.backoff for a in outcome.attempts] == [0.0, 0.25, 0.5]
    assert transport.billed == 1


async def test_connecting_is_given_up_after_eight_tries() -> None:
    transport = FakeTransport(default=Canned(error=ConnectError("refused")))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert (len(outcome.attempts), outcome.billing) == (8, "no")


async def test_a_refused_certificate_is_final() -> None:
    transport = FakeTransport(default=Canned(error=CertificateError("self-signed")))
    outcome = await one(transport)
    assert len(outcome.attempts) == 1


@pytest.mark.parametrize("error", [DisconnectedError("gone"), ReadTimeout("no answer")])
async def test_what_may_have_been_billed_is_never_sent_again_unasked(error: NbpError) -> None:
    transport = FakeTransport(default=Canned(error=error, hold=50))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert outcome.error is error
    assert outcome.billing == "maybe"
    assert outcome.maybe_spent == MOST
    assert transport.billed == 1


async def test_resending_is_an_explicit_choice_within_a_budget() -> None:
    transport = FakeTransport(Canned(error=DisconnectedError("gone")), good())
    outcome = await one(transport, retry=RESEND)
    assert isinstance(outcome, Image)
    assert [a.billing for a in outcome.attempts] == ["maybe", "yes"]
    assert (outcome.spent, outcome.maybe_spent) == (PRICE, MOST)


async def test_the_budget_for_resending_ends_it() -> None:
    transport = FakeTransport(default=Canned(error=DisconnectedError("gone")))
    retry = Retry(ambiguous="resend", ambiguous_budget_usd="0.30", attempts=10, budget=False)
    outcome = await one(transport, retry=retry)
    assert len(outcome.attempts) == 3  # the first, and two for $0.268
    assert outcome.maybe_spent == 3 * MOST


async def test_a_resend_that_is_not_paid_for_takes_no_retry_token() -> None:
    gone = Canned(error=DisconnectedError("gone"))
    transport = FakeTransport(gone, gone, gone, gone, refusal(500), default=good(0))
    retry = Retry(ambiguous="resend", ambiguous_budget_usd="0.15", statuses=frozenset({500}))
    async with client(transport, retry=retry, limits=Limits(max_in_flight=1)) as gen:
        batch = await gen.many([*"abcde"], size="2K")
    assert [len(o.attempts) for o in batch] == [2, 1, 1, 1, 2]
    assert isinstance(batch[4], Image), "one resend took 5 of 20 tokens: there are some for a 500"


@pytest.mark.parametrize("status", [500, 502, 504, 408])
async def test_a_server_s_failure_may_be_billed_where_the_vendor_says_nothing(status: int) -> None:
    transport = FakeTransport(default=refusal(status))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ServerError)
    assert (len(transport.requests), outcome.billing) == (1, "maybe")


async def test_the_article_s_policy_waits_two_four_eight() -> None:
    transport = FakeTransport(refusal(500), refusal(503), refusal(504), good(hold=0))
    outcome = await one(transport, retry=Retry.article())
    assert isinstance(outcome, Image)
    assert [a.backoff for a in outcome.attempts] == [0.0, 2.0, 4.0, 8.0]
    assert [a.billing for a in outcome.attempts] == ["maybe", "no", "maybe", "yes"]
    transport = FakeTransport(default=refusal(500))
    assert len((await one(transport, retry=Retry.article())).attempts) == 4


async def test_waiting_for_retry_after_uses_up_no_attempt() -> None:
    refusals = [refusal(429, retry_after="7") for _ in range(6)]
    outcome = await one(FakeTransport(*refusals, good(hold=0)))
    assert isinstance(outcome, Image)
    assert len(outcome.attempts) == 7
    starts = [a.timings.connecting or 0.0 for a in outcome.attempts]
    assert all(later - earlier >= 7 for earlier, later in pairwise(starts))


async def test_patience_has_an_end() -> None:
    transport = FakeTransport(default=refusal(503))
    outcome = await one(transport, retry=Retry(max_throttle=120))
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, OverloadedError)
    assert now() <= 240
    assert outcome.billing == "no"


async def test_an_hour_s_wait_with_two_minutes_left_fails_at_once() -> None:
    transport = FakeTransport(default=refusal(429, retry_after="3600"))
    outcome = await one(transport, timeouts=Timeouts(deadline=120), retry=Retry(max_throttle=7200))
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.retry_after == 3600
    assert now() < 1
    assert transport.billed == 0


async def test_a_deadline_that_comes_in_the_queue_of_a_retry_says_so() -> None:
    transport = FakeTransport(refusal(429, retry_after="5"), default=good(hold=200))
    limits = Limits(max_in_flight=1)
    timeouts = Timeouts(deadline=30)
    async with client(transport, limits=limits, timeouts=timeouts) as gen:
        first = asyncio.ensure_future(gen.many(["a"]))
        await asyncio.sleep(1)
        second = asyncio.ensure_future(gen.many(["b"]))
        batches = await asyncio.gather(first, second)
    kinds = {type(o.error) for b in batches for o in b if isinstance(o, Failure)}
    assert kinds <= {DeadlineError}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answer()[:-30], TruncatedError),
        (answer(png(2048, 2048)[:-4]), NotAnImageError),
        (answer(b"plain text, no image at all"), NotAnImageError),
    ],
)
async def test_a_paid_answer_that_cannot_be_used_is_billed_and_not_bought_again(
    body: bytes, kind: type[NbpError]
) -> None:
    transport = FakeTransport(default=Canned(body))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, kind)
    assert (outcome.billing, outcome.spent, transport.billed) == ("yes", PRICE, 1)


async def test_a_whole_answer_whose_end_is_not_marked_is_finished_by_silence() -> None:
    transport = FakeTransport(Canned([answer()[:100], answer()[100:]], silent=True))
    outcome = await one(transport)
    assert isinstance(outcome, Image)
    assert now() == pytest.approx(4, abs=0.1)


async def test_a_half_answer_whose_end_is_not_marked_is_cut_off() -> None:
    transport = FakeTransport(Canned(answer()[:100], silent=True))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert (type(outcome.error).__name__, outcome.billing) == ("SlowBodyError", "yes")
    assert now() == pytest.approx(30, abs=0.1)


async def test_a_slow_disk_is_not_the_server_s_fault() -> None:
    """The sink takes a minute for each piece; the body's time-out of 30 s is not for that."""

    class SlowSink(MemorySink):
        async def open(self) -> ImageWriter:
            writer = await super().open()
            write = writer.write

            async def slow(data: bytes) -> None:
                await asyncio.sleep(60)
                await write(data)

            return _Slow(writer, slow)

    body = answer(png(2048, 2048, padding=5000))
    transport = FakeTransport(Canned([body[at : at + 2000] for at in range(0, len(body), 2000)]))
    async with client(transport) as gen:
        batch = await gen.many(["a"], out=SlowSink(1 << 20, FileThreads()))
    assert batch[0].ok
    assert now() > 120
    assert_settled(batch, transport)


class _Slow:
    """A writer whose write is another's."""

    def __init__(self, writer: ImageWriter, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._writer = writer
        self._write = write

    @property
    def stored(self) -> Stored | None:
        return self._writer.stored

    async def write(self, data: bytes) -> None:
        await self._write(data)

    async def commit(self, stem: str, suffix: str) -> Stored:
        return await self._writer.commit(stem, suffix)

    def discard(self) -> None:
        self._writer.discard()


async def test_an_unframed_body_that_ends_half_way_is_no_success() -> None:
    transport = FakeTransport(Canned(answer()[:100], framed=False))
    outcome = await one(transport)
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, TruncatedError)


async def test_another_size_than_asked_is_kept_and_flagged() -> None:
    outcome = await one(FakeTransport(Canned(answer(png(1024, 1024)))))
    assert isinstance(outcome, Image)
    assert outcome.mismatch == "asked for 2048x2048, got 1024x1024"


async def test_images_beyond_the_one_asked_for_are_kept_as_extras() -> None:
    data = [{"b64_json": base64.b64encode(png(2048, 2048, padding=k)).decode()} for k in (0, 1, 2)]
    outcome = await one(FakeTransport(Canned(json.dumps({"data": data}).encode())))
    assert isinstance(outcome, Image)
    assert [extra.read() for extra in outcome.extras] == [
        png(2048, 2048, padding=1),
        png(2048, 2048, padding=2),
    ]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_cap_is_dropped(declared: bool) -> None:
    body = answer(png(2048, 2048, padding=20_000))
    transport = FakeTransport(Canned([body[:5000], body[5000:]], framed=declared))
    outcome = await one(transport, limits=Limits(max_body=10_000))
    assert isinstance(outcome, Failure)
    assert (type(outcome.error).__name__, outcome.billing) == ("BodyTooLargeError", "yes")


async def test_retries_stop_when_their_budget_is_empty() -> None:
    """A server that fails everything unbilled: requests grow by about the budget, not fourfold."""
    transport = FakeTransport(default=refusal(500))
    async with client(transport, limits=Limits(max_in_flight=20)) as gen:
        gen.profile = _unbilled(gen.profile)
        batch = await gen.many([f"prompt {n}" for n in range(500)])
    assert not batch.images
    assert len(transport.requests) <= 550


async def test_a_flapping_server_is_survived_within_four_attempts() -> None:
    script = [refusal(500) if n % 2 else good(hold=1) for n in range(400)]
    transport = FakeTransport(*script, default=good(hold=1))
    async with client(transport, retry=Retry(budget=False)) as gen:
        gen.profile = _unbilled(gen.profile)
        batch = await gen.many([f"prompt {n}" for n in range(200)])
    assert max(len(o.attempts) for o in batch) <= 4
    assert batch.billing.spent == Decimal(transport.billed) * PRICE
    assert_settled(batch, transport)


def _unbilled(profile: Profile) -> Profile:
    return replace(profile, billed={500: "no"})


async def test_one_raises_what_went_wrong_with_a_note_of_the_bill() -> None:
    transport = FakeTransport(Canned(error=DisconnectedError("gone")))
    async with client(transport) as gen:
        with pytest.raises(DisconnectedError) as caught:
            await gen.one("a cat")
    assert caught.value.__notes__ == [f"${MOST} may have been billed"]
    transport = FakeTransport(default=Canned(error=NotSentError("no way")))
    async with client(transport, retry=Retry.none()) as gen:
        with pytest.raises(NotSentError) as unsent:
            await gen.one("a cat")
    assert unsent.value.__notes__ == ["Nothing was billed."]
