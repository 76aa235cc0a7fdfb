"""Processes of a run that die, or fall silent, at every step of submit, draw, arm, send and end."""

import os
from decimal import Decimal

import pytest

from nbp_async._flow.links_and_tasks import all_attempts
from nbp_async.testing.virtual_time import run_virtual
from tests.unit.crashes.memory_run import Item
from tests.unit.crashes.simulation import ENDS, PROMPTS, STEPS, Simulation, in_memory

__all__ = ["in_memory"]

SEEDS = int(os.environ.get("NBP_SEEDS", "25"))


def assert_invariant(found: Simulation) -> None:
    """Each ticket has one outcome, and the bank billed what is known, and nothing twice unnamed."""
    run, bank = found.run, found.bank
    assert sorted(run.items) == found.tickets == list(range(1, len(PROMPTS) + 1))
    spent = maybe = Decimal(0)
    for item in run.items.values():
        known = assert_item(item, bank.requests[text_of(item)], bank.billed[text_of(item)])
        spent, maybe = spent + known[0], maybe + known[1]
    assert (run.spent, run.maybe) == (spent, maybe)
    assert run.held == run.reserved == 0


def assert_item(item: Item, requests: int, billed: int) -> tuple[Decimal, Decimal]:
    """What an item cost, and may have cost, as its attempts say."""
    attempts = all_attempts(item.entry())
    said = [attempt.billing for attempt in attempts]
    assert item.state in ENDS
    assert requests <= len(attempts), "nothing is sent that is not written down"
    assert said.count("yes") <= billed <= said.count("yes") + said.count("maybe")
    assert billed <= 1, "what may have been billed is not sent again"
    assert (item.state == "stored") <= (said.count("yes") == 1)
    costs = {
        word: sum((a.cost for a in attempts if a.billing == word), Decimal(0)) for word in said
    }
    return costs.get("yes", Decimal(0)), costs.get("maybe", Decimal(0))


def text_of(item: Item) -> str:
    return item.entry().prompt.text


@pytest.mark.parametrize("is_silence", [False, True], ids=["killed", "silent"])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_stops_at_any_step_costs_nothing_unnamed(
    step: str, is_silence: bool
) -> None:
    struck = 0

    async def all_seeds() -> None:
        nonlocal struck
        for seed in range(SEEDS):
            found = Simulation(seed, step, is_silence=is_silence)
            await found.play()
            assert_invariant(found)
            struck += found.fate.struck

    run_virtual(all_seeds(), sockets=False)
    assert struck > SEEDS / 2
