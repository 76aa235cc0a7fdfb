"""Everything that a vendor can do to a paid call, over real sockets, before the bank."""

import asyncio
import dataclasses
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._vendors.profiles import DialectName, Profile
from nbp_async.fake import FakeServer, faults
from nbp_async.fake.faults import Fault
from tests.loopback.oracle import assert_settled, file_descriptors
from tests.loopback.play import KEY, now, play, profile
from tests.transports import PAID_TRANSPORTS

pytestmark = pytest.mark.looptime

BAD_CHUNK = faults.raw(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{", keep_open=True
)
# fault, the error's class ("" for an image), who pays, how many requests arrive
LOST: list[tuple[Fault, str, str, int]] = [
    (faults.disconnect(), "DisconnectedError", "maybe", 1),
    (faults.disconnect(before=True), "DisconnectedError", "maybe", 1),
    (faults.reset(), "DisconnectedError", "maybe", 1),
    (faults.reset(before=True), "DisconnectedError", "maybe", 1),
    (faults.hang(), "ReadTimeout", "maybe", 1),
    (faults.raw(b"\x16\x03\x01\x02\x00\r\n\r\n"), "BadHeadError", "maybe", 1),
    (faults.raw(b"HTTP/9.9 200 OK\r\n\r\n"), "BadHeadError", "maybe", 1),
    (
        faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        "BadHeadError",
        "maybe",
        1,
    ),
    (faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"), "BadHeadError", "maybe", 1),
    (
        faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 120_000 + b"\r\n\r\n"),
        "BadHeadError",
        "maybe",
        1,
    ),
    (BAD_CHUNK, "BadHeadError", "maybe", 1),
    (faults.status(500, billed=True), "ServerError", "maybe", 1),
    (
        faults.status(502, body="<html><title>502 Bad Gateway</title></html>"),
        "ServerError",
        "maybe",
        1,
    ),
    (faults.status(504), "ServerError", "maybe", 1),
    (faults.status(408), "ServerError", "maybe", 1),
    (faults.status(499), "ServerError", "maybe", 1),
    (faults.status(302, headers={"Location": "/"}), "InvalidRequestError", "maybe", 1),
    (faults.status(303, headers={"Location": "/"}), "InvalidRequestError", "maybe", 1),
    (faults.status(301, headers={"Location": "https://x.y/"}), "InvalidRequestError", "no", 1),
    (faults.status(307, headers={"Location": "/v1/models"}), "InvalidRequestError", "no", 1),
]

SPOILT: list[tuple[Fault, str, str, int]] = [
    (faults.cut_body(0.6), "TruncatedError", "yes", 1),
    (faults.cut_body(0.6, "chunked"), "TruncatedError", "yes", 1),
    (faults.cut_body(0.6, "close"), "TruncatedError", "yes", 1),
    (faults.slow_body(50), "SlowBodyError", "yes", 1),
    (faults.gzipped(0.5), "TruncatedError", "yes", 1),
    (faults.bad_json("cut"), "TruncatedError", "yes", 1),
    (faults.bad_json("garbage"), "MalformedReplyError", "maybe", 1),
    (faults.bad_json("empty"), "TruncatedError", "yes", 1),
    (faults.bad_json("deep"), "MalformedReplyError", "yes", 1),
    (faults.bad_base64("junk"), "MalformedReplyError", "yes", 1),
    (faults.bad_image("text"), "NotAnImageError", "yes", 1),
    (faults.bad_image("truncated"), "NotAnImageError", "yes", 1),
    (faults.bad_image("huge"), "NotAnImageError", "yes", 1),
    (faults.html_page(), "MalformedReplyError", "maybe", 1),
    (faults.no_image(), "NoImageError", "yes", 1),
]

REFUSED: list[tuple[Fault, str, str, int]] = [
    (faults.status(400), "InvalidRequestError", "no", 1),
    (faults.status(401), "AuthError", "no", 1),
    (faults.status(402), "AuthError", "no", 1),
    (faults.status(403), "AuthError", "no", 1),
    (faults.status(404), "InvalidRequestError", "no", 1),
    (faults.status(413), "InvalidRequestError", "no", 1),
    (faults.status(422), "InvalidRequestError", "no", 1),
]

SURVIVED: list[Fault] = [
    faults.ok(),
    faults.rate_limited(7),
    faults.rate_limited(None),
    faults.rate_limited("http-date:20"),
    faults.rate_limited("-5"),
    faults.overloaded(),
    faults.overloaded(3),
    faults.status(421),
    faults.status(425),
    faults.no_terminator(),
    faults.gzipped(),
    faults.bad_json("utf8"),
    faults.bad_json("digits"),
    faults.bad_base64("nopad"),
    faults.bad_base64("newlines"),
    faults.bad_base64("data-uri"),
    faults.bad_base64("urlsafe"),
    faults.bad_image("mislabelled"),
    faults.wrong_size(),
    faults.extra_images(2),
    faults.slow_body(40_000),
]


@PAID_TRANSPORTS
@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
@pytest.mark.parametrize(("fault", "error", "billing", "arrivals"), [*LOST, *SPOILT, *REFUSED])
async def test_what_goes_wrong_has_its_name_and_its_bill_and_is_not_sent_again(
    fault: Fault,
    error: str,
    billing: str,
    arrivals: int,
    dialect: DialectName,
    tmp_path: Path,
    transport: str,
) -> None:
    outcome, vendor = await play(fault, dialect=dialect, out=tmp_path / "out", transport=transport)
    assert isinstance(outcome, Failure), outcome
    if transport == "direct" and fault is BAD_CHUNK:
        error, billing = "TruncatedError", "yes"  # it has read the head, although both came at once
    assert type(outcome.error).__name__ == error, outcome.error
    if error == "NoImageError" and dialect == "openai_images":
        billing = "maybe"  # charged by tokens, and a relay tells of none
    assert outcome.billing == billing, outcome
    assert vendor.stats().requests == arrivals
    assert KEY not in str(outcome.error) + repr(outcome.error) + repr(outcome)


@PAID_TRANSPORTS
@pytest.mark.parametrize("dialect", ["openai_images", "gemini"])
@pytest.mark.parametrize("fault", SURVIVED, ids=repr)
async def test_what_can_be_survived_brings_the_image_and_is_billed_once(
    fault: Fault, dialect: DialectName, tmp_path: Path, transport: str
) -> None:
    outcome, vendor = await play(fault, dialect=dialect, out=tmp_path / "out", transport=transport)
    assert isinstance(outcome, Image), outcome
    assert vendor.bank.billed_for("a red bicycle") <= 1 + len(outcome.extras)


async def test_every_unclear_end_is_named_with_its_price() -> None:
    """500 calls are out when the server dies."""
    async with FakeServer(latency=100.0, faults=faults_of(faults.reset())) as vendor:
        limits = Limits(max_in_flight=500)
        async with Client(profile(vendor, "openai_images"), vendor.key, limits=limits) as gen:
            batch = await gen.many([f"prompt {n}" for n in range(500)], size="4K")
            await assert_settled(gen, vendor, batch)
        assert {f.billing for f in batch.failures} == {"maybe"}
        assert len(batch.billing.unclear) == 500
        assert vendor.bank.billed == 500 * Decimal("0.24")
        assert vendor.stats().requests == 500
        assert vendor.bank.billed <= batch.billing.maybe <= vendor.bank.billed * Decimal("1.06")


def faults_of(fault: Fault) -> Any:
    from nbp_async.fake.fault_injection import FaultRates

    return FaultRates({fault: 1.0})


async def test_nothing_is_sent_before_retry_after() -> None:
    outcome, _ = await play(faults.rate_limited(7))
    first, second = outcome.attempts
    assert (second.timings.connecting or 0) - first.timings.done >= 7.0
    assert (first.billing, second.billing) == ("no", "yes")


async def test_a_thousand_refusals_together_are_followed_by_one_probe() -> None:
    async with FakeServer(latency=30.0) as vendor:
        vendor.script(*[faults.rate_limited(20) for _ in range(200)])
        limits = Limits(max_in_flight=200)
        gen = Client(profile(vendor, "openai_images"), vendor.key, limits=limits, rng=lambda: 0.5)
        async with gen:
            batch = await gen.many([f"prompt {n}" for n in range(200)])
            await assert_settled(gen, vendor, batch)
        assert len(batch.images) == 200
        assert vendor.stats().requests == 400
        again = sorted((o.attempts[-1].timings.connecting or 0) for o in batch)
        assert sum(t < again[0] + 4 for t in again) == 1


async def test_an_early_refusal_is_read_while_the_upload_still_runs() -> None:
    async with FakeServer(latency=1.0) as vendor:
        vendor.script(faults.status(429, 3, early=True))
        reference = b"\x89PNG\r\n\x1a\n" + bytes(6_000_000)
        async with Client(profile(vendor, "openai_images"), vendor.key, rng=lambda: 0.5) as gen:
            prompt = {"text": "a red bicycle", "references": [reference], "aspect_ratio": "1:1"}
            batch = await gen.many([prompt], size="1K")
            await assert_settled(gen, vendor, batch)
        attempts = batch[0].attempts
        assert attempts[0].status == 429 or attempts[0].billing == "maybe"


async def test_a_server_that_never_takes_the_upload_is_given_up() -> None:
    async with FakeServer(latency=1.0) as vendor:
        vendor.script(faults.hang(unread=True))
        reference = b"\x89PNG\r\n\x1a\n" + bytes(6_900_000)
        async with Client(profile(vendor, "openai_images"), vendor.key) as gen:
            began = now()
            prompt = {"text": "a", "references": [reference] * 2, "aspect_ratio": "1:1"}
            batch = await gen.many([prompt], size="1K")
            assert now() - began < 120
            await assert_settled(gen, vendor, batch, ignores_input=True)
        assert type(batch.failures[0].error).__name__ == "UploadTimeout"
        assert batch.failures[0].billing == "maybe"


async def test_a_body_larger_than_the_cap_is_dropped_at_once(tmp_path: Path) -> None:
    limits = Limits(max_body=100_000)
    for fault in (faults.ok(), faults.cut_body(1.0, "chunked")):
        out = tmp_path / repr(fault)[:5]
        outcome, _ = await play(fault, server={"weight": 300_000}, out=out, limits=limits)
        assert isinstance(outcome, Failure)
        assert type(outcome.error).__name__ == "BodyTooLargeError"


@pytest.mark.parametrize("fault", [faults.disconnect(), faults.reset(), faults.status(502)])
async def test_resending_pays_twice_only_where_it_was_allowed(fault: Fault) -> None:
    retry = Retry(ambiguous="resend", ambiguous_budget_usd="1")
    outcome, vendor = await play([fault], retry=retry)
    assert isinstance(outcome, Image)
    assert outcome.maybe_spent > 0
    assert vendor.bank.billed_for("a red bicycle") <= 2


async def test_a_flapping_server_ends_every_prompt_within_its_attempts() -> None:
    flapping = Profile  # the vendor's table says that its 500s are free
    async with FakeServer(latency=5.0, faults="500=0.5", seed=3) as vendor:
        free = profile(vendor, "openai_images")
        free = flapping(name="vendor", base_url=free.base_url, model=free.model, billed={500: "no"})
        async with Client(free, vendor.key, retry=Retry(budget=False)) as gen:
            batch = await gen.many([f"prompt {n}" for n in range(200)], size="1K")
            await assert_settled(gen, vendor, batch)
        assert max(len(o.attempts) for o in batch) <= 4
        assert len(batch.images) > 150
        assert batch.billing.spent == vendor.bank.billed


async def test_a_spend_cap_holds_over_real_sockets() -> None:
    async with FakeServer(latency=10.0) as vendor:
        limits = Limits(max_in_flight=100)
        async with Client(profile(vendor, "openai_images"), vendor.key, limits=limits) as gen:
            prompts = [f"prompt {n}" for n in range(100)]
            batch = await gen.many(prompts, size="4K", max_cost="10")
            await assert_settled(gen, vendor, batch)
        assert vendor.bank.billed == 41 * Decimal("0.24")


async def test_cancelling_held_calls_closes_their_sockets_and_names_their_price() -> None:
    async with FakeServer(latency=100.0) as vendor:
        limits = Limits(max_in_flight=50)
        async with Client(profile(vendor, "openai_images"), vendor.key, limits=limits) as gen:
            before = file_descriptors()
            plan = gen.many(f"prompt {n}" for n in range(500))
            task = asyncio.create_task(plan)
            await asyncio.sleep(30)
            assert vendor.stats().in_flight == 50
            started = now()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert now() - started < 0.1
            await asyncio.sleep(0.1)
            assert vendor.stats().open_connections == 0
            assert file_descriptors() <= before
            assert len(plan.partial.failures) == 50
            await assert_settled(gen, vendor, plan.partial)


async def test_cancelling_at_any_step_leaves_nothing_and_hides_nothing(tmp_path: Path) -> None:
    """One call of two seconds, cancelled at its k-th step, for every k."""
    async with FakeServer(latency=2.0) as vendor:
        steps = 0
        while True:
            out = tmp_path / str(steps)
            async with Client(profile(vendor, "openai_images"), vendor.key) as gen:
                billed = vendor.bank.billed
                plan = gen.many([f"prompt {steps}"], size="1K", out=out)
                task = asyncio.create_task(plan)
                for _ in range(steps):
                    await asyncio.sleep(0)
                    if task.done():
                        break
                finished = task.done()
                task.cancel()
                await asyncio.wait([task])
                await vendor.drain()
                came = plan.partial
                charged = vendor.bank.billed - billed
                assert came.billing.spent <= charged <= came.billing.spent + came.billing.maybe
                assert gen.in_flight == 0
                left = list(out.glob("0*")) if out.exists() else []
                assert not [path for path in left if path.name.startswith(".")]
            if finished or steps > 400:
                break
            steps += 1
        assert steps > 5


async def test_a_late_answer_is_counted_and_thrown_away() -> None:
    timeouts = Timeouts(read=30)
    async with FakeServer(latency=60.0) as vendor:
        gen = Client(profile(vendor, "openai_images"), vendor.key, timeouts=timeouts)
        async with gen:
            batch = await gen.many(["a"], size="1K")
            assert batch.failures[0].billing == "maybe"
            assert vendor.bank.billed == 0
            await assert_settled(gen, vendor, batch)  # the vendor went on, and billed it
        assert 0 < vendor.bank.billed <= batch.billing.maybe


async def test_the_key_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Through every fault: not in a log, a message, a repr or a traceback."""
    import pickle
    import traceback

    caplog.set_level(logging.DEBUG)
    for fault, *_ in [*LOST[:3], *LOST[5:8], *SPOILT, *REFUSED]:
        outcome, _ = await play(fault)
        assert isinstance(outcome, Failure)
        shown = [repr(outcome), str(outcome.error), repr(outcome.attempts)]
        shown += traceback.format_exception(outcome.error)
        shown.append(pickle.dumps(outcome.error).decode("latin-1"))
        assert KEY not in "".join(shown)
        assert outcome.error.__context__ is None
        assert outcome.error.__cause__ is None
    assert KEY not in caplog.text


async def test_an_endpoint_that_knows_idempotency_keys_bills_a_resent_prompt_once() -> None:
    async with FakeServer(latency=30.0, idempotency=True) as vendor:
        vendor.script(faults.reset())
        known = dataclasses.replace(profile(vendor, "openai_images"), idempotency=True)
        retry = Retry(ambiguous="resend", ambiguous_budget_usd="1")
        async with Client(known, vendor.key, retry=retry) as gen:
            batch = await gen.many(["a", "b"], size="1K")
            await assert_settled(gen, vendor, batch)
        assert [len(o.attempts) for o in batch.images] in ([2, 1], [1, 2])
        assert vendor.bank.images == 2
        assert vendor.stats().requests == 3
        assert vendor.bank.lost == 0
