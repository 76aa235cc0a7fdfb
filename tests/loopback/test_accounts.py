"""Several accounts in one client: one flow, and a choice of the account for each attempt."""

import asyncio
import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    AuthError,
    Client,
    ConfigError,
    Failure,
    JournalError,
    Limits,
    ParkedError,
    QuotaError,
    Retry,
    read_run,
)
from nbp_async.fake import faults
from nbp_async.fake.faults import Fault
from tests.loopback.play import now
from tests.loopback.test_lasting_refusals import _NO_CREDITS, _NO_DAY
from tests.loopback.two_accounts import KEYS, TwoAccounts, two_accounts

pytestmark = pytest.mark.looptime

PROMPTS = [f"bicycle {n}" for n in range(60)]
ONE_SLOT = Limits(max_in_flight=1)


async def test_both_accounts_are_filled_and_each_attempt_names_its_own() -> None:
    """Ten slots and twenty: sixty images take as long as with one account of thirty."""
    async with two_accounts() as both:
        accounts = [both.account("google"), both.account("relay", limits=Limits(max_in_flight=20))]
        async with Client(accounts) as gen:
            batch = await gen.many(PROMPTS, size="1K")
            assert len(batch.images) == 60
            assert now() == pytest.approx(120, abs=1)
            assert both.images() == {"google": 20, "relay": 40}
            assert gen.statistics().keys() == {
                "google: gemini-3-pro-image",
                "relay: nano-banana-pro",
            }
            await both.assert_settled(gen, batch)
        made = {image.attempts[-1].account for image in batch.images}
        assert made == {"google", "relay"}
        assert str(KEYS["google"]) not in repr(gen) + repr(accounts)


async def test_each_account_is_asked_for_the_model_under_the_name_that_it_has_there() -> None:
    async with two_accounts() as both:
        relay = both.account("relay", models={"pro": "nano-banana-pro"})
        google = both.account("google", models={"pro": "gemini-3-pro-image"})
        async with Client([google, relay], model="pro", price=None) as gen:
            batch = await gen.many(PROMPTS[:4], size="1K")
            assert len(batch.images) == 4
            await both.assert_settled(gen, batch)
        assert {r.body["model"] for r in both.relay.received} == {"nano-banana-pro"}
        assert all("gemini-3-pro-image:" in r.path for r in both.google.received)
        async with Client([both.account("relay"), both.account("google")]) as gen:
            again = await gen.many(PROMPTS[4:8], size="1K")
            assert {a.account for o in again for a in o.attempts} == {"google", "relay"}
            await both.assert_settled(gen, [*batch, *again])


@pytest.mark.parametrize(
    "fault",
    [
        faults.rate_limited(40),
        faults.rate_limited(None),
        faults.overloaded(),
        faults.overloaded(40),
    ],
)
async def test_a_429_or_503_goes_on_to_the_other_account_at_once(fault: Fault) -> None:
    async with two_accounts() as both:
        both.google.script(fault)
        async with Client(both.accounts(limits=ONE_SLOT)) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            assert batch[0].ok
            assert [a.account for a in batch[0].attempts] == ["google", "relay"]
            assert now() < 61
            await both.assert_settled(gen, batch)


async def test_where_both_refuse_the_one_that_opens_first_makes_it() -> None:
    async with two_accounts() as both:
        both.google.script(faults.rate_limited(100))
        both.relay.script(faults.rate_limited(20))
        async with Client(both.accounts(), rng=lambda: 0.0) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            assert [a.account for a in batch[0].attempts] == ["google", "relay", "relay"]
            assert 80 <= now() < 95
            await both.assert_settled(gen, batch)


async def test_a_pause_that_is_too_long_for_one_account_is_none_for_the_other() -> None:
    async with two_accounts() as both:
        both.google.script(faults.rate_limited(7200))
        async with Client(both.accounts(), retry=Retry(max_throttle=60)) as gen:
            batch = await gen.many(PROMPTS[:20], size="1K")
            assert len(batch.images) == 20
            assert both.images()["relay"] >= 11
            await both.assert_settled(gen, batch)


@pytest.mark.parametrize(
    ("body", "kind"), [(_NO_DAY, QuotaError), (_NO_CREDITS, QuotaError), (None, AuthError)]
)
async def test_an_account_whose_quota_or_key_is_of_no_use_is_asked_no_more(
    body: dict[str, Any] | None, kind: type, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_accounts() as both:
        if body is not None:
            both.google.script(*[faults.status(429, body=body)] * 10)
        google = both.account("google", key=KEYS["google"] if body else "sk-revoked-0003")
        async with Client([google, both.account("relay")]) as gen:
            batch = await gen.many(PROMPTS, size="1K")
            assert len(batch.images) == 60
            assert both.google.stats().requests <= 10  # those that were out by then
            assert both.images() == {"google": 0, "relay": 60}
            refused = [a for o in batch for a in o.attempts if a.account == "google"]
            assert all(a.billing == "no" and kind.__name__ in a.error for a in refused)
            await both.assert_settled(gen, batch)
        said = [r.getMessage() for r in caplog.records if "not asked" in r.getMessage()]
        assert len(said) == 1
        assert said[0].startswith("google is not asked ")
        assert KEYS["google"] not in caplog.text


async def test_accounts_that_are_all_parked_stop_the_call() -> None:
    async with two_accounts() as both:
        for server in both.servers.values():
            server.script(*[faults.status(429, body=_NO_CREDITS)] * 10)
        async with Client(both.accounts(limits=ONE_SLOT)) as gen:
            batch = await gen.many(PROMPTS, size="1K")
            assert isinstance(batch.stopped, QuotaError)
            assert len(batch.failures) == 60
            assert all(failure.billing == "no" for failure in batch.failures)
            await both.assert_settled(gen, batch)
        assert sum(server.stats().requests for server in both.servers.values()) <= 4


async def test_a_dead_account_loses_no_image_and_the_other_takes_over_at_once() -> None:
    """It refuses connections from the middle of a call on; what it had was cut, and is named."""
    async with two_accounts() as both, Client(both.accounts()) as gen:
        running = gen.start(PROMPTS, size="1K")
        await asyncio.sleep(90)
        await both.google.aclose()
        died = now()
        batch = await running
        cut = [o for o in batch if isinstance(o, Failure)]
        assert 0 < len(cut) <= 10
        assert {o.billing for o in cut} == {"maybe"}
        assert all([a.account for a in o.attempts] == ["google"] for o in cut)
        waits = [o.attempts for o in batch.images if o.attempts[0].status is None]
        assert all(tries[-1].account == "relay" for tries in waits)
        assert len(batch.images) == 60 - len(cut)
        after = [r.at for r in both.relay.received if r.at >= died]
        assert min(after) - died < 40  # its own slots were full until then
        assert now() - died < 60 * 5
        for outcome in batch:
            assert both.relay.bank.billed_for(outcome.prompt.text) == outcome.ok * (
                outcome.attempts[-1].account == "relay"
            )


async def test_what_may_have_been_billed_is_not_sent_to_anybody_else() -> None:
    async with two_accounts() as both:
        both.google.script(faults.status(502))
        async with Client(both.accounts(limits=ONE_SLOT)) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            assert batch[0].billing == "maybe"
            assert [a.account for a in batch[0].attempts] == ["google"]
            assert both.images()["relay"] == 0
            assert gen.bill().accounts == batch.billing.accounts
            assert batch.billing.accounts["google"].maybe == batch.billing.maybe > 0
            await both.assert_settled(gen, batch)


@pytest.mark.parametrize("fault", [faults.status(502), faults.disconnect(before=True)])
async def test_an_account_that_only_fails_is_not_given_all_prompts(fault: Fault) -> None:
    """It fails at once, so it has room at any time; each failure may be billed, and is named."""
    async with two_accounts() as both:
        both.google.script(*[fault] * 100)
        async with Client(both.accounts()) as gen:
            batch = await gen.many(PROMPTS, size="1K")
            unclear = [o for o in batch if isinstance(o, Failure)]
            assert len(unclear) <= 10 + 4  # one wave, and those that tried whether it works again
            assert {o.billing for o in unclear} == {"maybe"}
            assert {a.account for o in unclear for a in o.attempts} == {"google"}
            await both.assert_settled(gen, batch)


async def test_a_free_error_of_one_account_is_made_good_by_the_other() -> None:
    async with two_accounts() as both:
        both.google.script(*[faults.status(500)] * 100)
        free = dataclasses.replace(both.profile("google"), billed={500: "no"})
        google = dataclasses.replace(both.account("google"), endpoint=free)
        async with Client([google, both.account("relay")]) as gen:
            batch = await gen.many(PROMPTS, size="1K")
            assert len(batch.images) == 60
            assert max(len(image.attempts) for image in batch.images) == 2
            await both.assert_settled(gen, batch)
            assert both.google.stats().requests <= 10 + 15


async def test_a_spend_window_of_one_account_sends_the_rest_to_the_other() -> None:
    """A 4K image costs more than the window of one account may ever see; a 1K image does not."""
    async with two_accounts() as both:
        window = Limits(max_in_flight=10, spend="$0.20/min")
        accounts = [both.account("google", limits=window), both.account("relay", limits=ONE_SLOT)]
        async with Client(accounts) as gen:
            sizes = [{"text": f"car {n}", "size": "4K" if n % 2 else "1K"} for n in range(12)]
            batch = await gen.many(sizes)
            assert len(batch.images) == 12
            large = [o for o in batch if o.prompt.size == "4K"]
            assert {a.account for o in large for a in o.attempts} == {"relay"}
            assert both.images()["google"] > 0
            await both.assert_settled(gen, batch)


async def test_where_no_account_works_what_is_not_sent_costs_nothing() -> None:
    async with two_accounts() as both:
        for server in both.servers.values():
            server.script(*[faults.status(502)] * 30)
        retry = Retry(max_throttle=10)
        async with Client(both.accounts(limits=ONE_SLOT), retry=retry) as gen:
            batch = await gen.many(PROMPTS[:30], size="1K")
            unsent = [o for o in batch.failures if not o.attempts]
            assert len(unsent) >= 20
            assert {o.billing for o in unsent} == {"no"}
            assert all(isinstance(o.error, ParkedError) for o in unsent)
            assert "no account works now" in str(unsent[0].error)
            await both.assert_settled(gen, batch)


async def test_told_to_send_it_again_another_account_may_make_it() -> None:
    async with two_accounts() as both:
        both.google.script(faults.status(502))
        retry = Retry(ambiguous="resend", ambiguous_budget_usd="1")
        async with Client(both.accounts(limits=ONE_SLOT), retry=retry) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
            assert batch[0].ok
            assert [a.billing for a in batch[0].attempts] == ["maybe", "yes"]
            await both.assert_settled(gen, batch)


async def test_an_account_that_has_no_place_for_an_option_is_not_asked() -> None:
    """Google alone has service tiers here."""
    async with two_accounts() as both, Client(both.accounts()) as gen:
        batch = await gen.many(PROMPTS[:20], size="1K", tier="flex")
        assert len(batch.images) == 20
        assert both.images() == {"google": 20, "relay": 0}
        await both.assert_settled(gen, batch)
        with pytest.raises(ConfigError, match="extremely"):
            await gen.many(PROMPTS[:2], quality="extremely")
        with pytest.raises(ConfigError, match="8K"):
            await gen.many(PROMPTS[:2], size="8K")


async def test_cheapest_fills_the_cheaper_account_first() -> None:
    async with two_accounts() as both, Client(both.accounts(), route="cheapest") as gen:
        batch = await gen.many(PROMPTS[:14], size="1K")
        assert both.images() == {"google": 4, "relay": 10}
        await both.assert_settled(gen, batch)


async def test_fastest_fills_the_account_whose_images_came_soonest() -> None:
    latency = {"google": 100.0, "relay": 20.0}
    async with two_accounts(latency=latency) as both, _fastest(both) as gen:
        first = await gen.many(PROMPTS[:4], size="1K")
        second = await gen.many(PROMPTS[4:14], size="1K")
        assert {o.attempts[-1].account for o in first} == {"google", "relay"}
        assert {o.attempts[-1].account for o in second} == {"relay"}
        await both.assert_settled(gen, [*first, *second])


def _fastest(both: TwoAccounts) -> Client:
    return Client(both.accounts(), route="fastest")


async def test_rates_of_all_accounts_add_up() -> None:
    async with two_accounts() as both:
        rate = Limits(max_in_flight=100, rate="30/min")
        async with Client(both.accounts(limits=rate)) as gen:
            batch = await gen.many([f"picture {n}" for n in range(240)], size="1K")
            assert len(batch.images) == 240
            # 120 each at one every two seconds, and the last one's hold
            assert now() == pytest.approx(119 * 2 + 60, abs=4)
            await both.assert_settled(gen, batch)


@pytest.mark.parametrize("first", ["google", "relay"])
async def test_a_run_of_both_goes_on_with_either(first: str, tmp_path: Path) -> None:
    """What is there is not bought again, whoever made it and whoever is asked now."""
    async with two_accounts() as both:
        async with Client(both.accounts()) as gen:
            batch = await gen.many(PROMPTS[:30], size="1K", out=tmp_path)
        bought = both.images()
        assert all(bought.values())
        for accounts in ([first], ["relay", "google"]):
            async with Client([both.account(name) for name in accounts]) as gen:
                again = await gen.many(PROMPTS[:40], size="1K", out=tmp_path)
                assert [o.resumed for o in again.images[:30]] == [True] * 30
                assert {a.account for o in again for a in (*o.earlier, *o.attempts)} <= {
                    "google",
                    "relay",
                }
        assert sum(both.images().values()) == 40
        report = read_run(tmp_path)
        assert report.owner == "accounts"
        assert report.totals.spent == sum(s.bank.billed for s in both.servers.values())
        assert {a.account for o in report.outcomes() for a in o.earlier} == {"google", "relay"}
        bills = report.accounts()
        assert {name: bill.spent for name, bill in bills.items()} == {
            name: server.bank.billed for name, server in both.servers.items()
        }
        assert {name: bill.images for name, bill in bills.items()} == both.images()
        assert {row.account_name for row in report.rows()} == {"google", "relay"}
        assert batch.billing.accounts.keys() == {"google", "relay"}
        assert batch.billing.spent < report.totals.spent
        async with Client(both.profile("google"), KEYS["google"]) as alone:
            with pytest.raises(JournalError, match="accounts"):
                await alone.many(PROMPTS[:2], size="1K", out=tmp_path)


async def test_a_cap_holds_whoever_is_chosen_and_its_rest_goes_to_the_cheaper_account() -> None:
    """Ten dollars' worth of the dearer, and what is left then pays for cheaper ones alone."""
    async with two_accounts() as both, Client(both.accounts()) as gen:
        batch = await gen.many([f"picture {n}" for n in range(400)], size="1K", max_cost="5")
        billed = sum(server.bank.billed for server in both.servers.values())
        assert billed <= 5
        assert billed > Decimal("4.94")  # less is left than the cheaper one costs
        await both.assert_settled(gen, batch)


async def test_an_account_without_a_price_cannot_be_capped() -> None:
    async with two_accounts() as both:
        nameless = both.account("relay", price=None, models={"nano-banana-pro": "who-knows"})
        async with Client(
            [both.account("google", models={}), nameless], model="nano-banana-pro"
        ) as gen:
            with pytest.raises(ConfigError, match="who-knows has no known price at relay"):
                await gen.many(PROMPTS[:2], size="1K", max_cost="5")


async def test_one_and_stream_choose_as_well() -> None:
    async with two_accounts() as both:
        both.google.script(faults.rate_limited(50))
        async with Client(both.accounts(limits=ONE_SLOT)) as gen:
            image = await gen.one("a red bicycle", size="1K")
            assert [a.account for a in image.attempts] == ["google", "relay"]
            outcomes = [outcome async for outcome in gen.stream(PROMPTS[:4], size="1K")]
            assert [outcome.ok for outcome in outcomes] == [True] * 4
            await both.assert_settled(gen, [image, *outcomes])


async def test_a_cancelled_wait_for_both_gates_leaves_nothing_behind() -> None:
    async with two_accounts() as both, Client(both.accounts(limits=ONE_SLOT)) as gen:
        running = gen.start(PROMPTS[:6], size="1K")
        others = [asyncio.create_task(gen.one(f"other {n}", size="1K")) for n in range(5)]
        await asyncio.sleep(30)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        batch = await running
        assert len(batch.images) == 6
        bill, billed = gen.bill(), sum(s.bank.billed for s in both.servers.values())
        assert bill.spent <= billed <= bill.spent + bill.maybe
        assert gen.in_flight == 0
        assert not any(gate.in_flight or gate.waiting for gate in gen.statistics().values())


async def test_a_queue_is_worked_on_by_several_accounts(tmp_path: Path) -> None:
    async with two_accounts() as both:
        async with Client(both.accounts()) as gen, gen.open_run(tmp_path) as run:
            await run.submit(PROMPTS[:12], size="1K")
            outcomes = [outcome async for outcome in run.work()]
            assert [outcome.ok for outcome in outcomes] == [True] * 12
            assert {a.account for o in outcomes for a in o.attempts} == {"google", "relay"}
            await both.assert_settled(gen, outcomes)
        async with Client([both.account("relay")]) as gen:
            again = await gen.many(PROMPTS[:12], size="1K", out=tmp_path)
            assert all(image.resumed for image in again.images)
        assert sum(both.images().values()) == 12
