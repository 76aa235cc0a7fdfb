"""Several accounts, and whatever may go wrong at each: both banks agree in the end."""

import random
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async import Client, Limits
from nbp_async.fake import faults
from nbp_async.fake.faults import Fault
from nbp_async.fake.quotas import Quotas
from nbp_async.testing.virtual_time import run_virtual
from tests.loopback.test_lasting_refusals import _NO_CREDITS
from tests.loopback.two_accounts import two_accounts

PROMPTS = [f"bicycle {n}" for n in range(30)]
ROUTES: tuple[Literal["balanced", "cheapest", "fastest"], ...] = ("balanced", "cheapest", "fastest")
FAULTS = (
    faults.ok(),
    faults.rate_limited(5),
    faults.overloaded(),
    faults.status(401),
    faults.status(429, body=_NO_CREDITS),
    faults.status(500),
    faults.status(502),
    faults.disconnect(),
    faults.disconnect(before=True),
    faults.cut_body(),
    faults.extra_images(1),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(FAULTS)), max_size=25), st.integers(0))
def test_whatever_goes_wrong_both_banks_agree(script: list[tuple[bool, Fault]], seed: int) -> None:
    """What each bank has billed was delivered, or is named with its account."""

    async def run() -> None:
        rng = random.Random(seed)
        quotas = Quotas(concurrency=rng.randint(1, 6))
        async with two_accounts(quotas=quotas, latency="5-60", seed=seed % 1000) as both:
            for is_google, fault in script:
                (both.google if is_google else both.relay).script(fault)
            auto = Limits(max_in_flight="auto:8")
            route = ROUTES[seed % 3]
            async with Client(both.accounts(limits=auto), route=route, rng=rng.random) as gen:
                batch = await gen.many(PROMPTS, size="1K", max_cost="20")
                assert len(batch) == 30
                await both.assert_settled(gen, batch)

    run_virtual(run())
