"""Budgets are never overdrawn, whatever the order of things."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from nbp_async._pacing.budgets import RetryBudget, SpendCap

PRICE = Decimal("0.24")


def test_forty_one_of_a_hundred_fit_under_ten_dollars() -> None:
    cap = SpendCap(Decimal(10))
    assert sum(cap.reserve_nowait(PRICE) for _ in range(100)) == 41
    assert cap.left == Decimal("0.16")


def test_an_answer_that_costs_more_than_was_reserved_leaves_that_much_less() -> None:
    cap = SpendCap(Decimal(1))
    assert all(cap.reserve_nowait(PRICE) for _ in range(4))
    cap.settle(PRICE, Decimal("0.30"))
    assert cap.left == Decimal("-0.02")
    assert not cap.reserve_nowait(Decimal(0))
    cap.settle(PRICE, Decimal(0))
    assert cap.left == Decimal("0.22")
    assert not cap.reserve_nowait(PRICE)


class Spending(RuleBasedStateMachine):
    """Attempts that reserve and end, each in its own way."""

    out = Bundle("out")

    def __init__(self) -> None:
        super().__init__()
        self.cap = SpendCap(Decimal(2))
        self.held: list[Decimal] = []
        self.charged = Decimal(0)

    @rule(target=out, cents=st.integers(1, 50))
    def reserve(self, cents: int) -> Decimal | None:
        price = Decimal(cents) / 100
        if not self.cap.reserve_nowait(price):
            assert price > self.cap.left
            return None
        self.held.append(price)
        return price

    @rule(price=consumes(out), share=st.sampled_from([0, 1]))
    def settle(self, price: Decimal | None, share: int) -> None:
        if price is not None:
            self.held.remove(price)
            self.charged += price * share
            self.cap.settle(price, price * share)

    @rule(price=consumes(out))
    def keep(self, price: Decimal | None) -> None:
        if price is not None:
            self.held.remove(price)
            self.charged += price
            self.cap.settle(price, price)

    @invariant()
    def the_cap_holds_and_every_reservation_is_open(self) -> None:
        assert self.cap.reserved == sum(self.held)
        assert self.cap.spent == self.charged
        assert self.cap.spent + self.cap.reserved <= self.cap.limit


TestSpending = Spending.TestCase


@given(st.integers(1, 5000), st.lists(st.tuples(st.sampled_from([1, 2, 5]), st.floats(0, 50))))
def test_retry_tokens_stay_between_nothing_and_the_cap(
    limit: int, steps: list[tuple[int, float]]
) -> None:
    budget = RetryBudget(limit)
    now = 0.0
    for cost, wait in steps:
        now += wait
        before = budget.tokens
        taken = budget.take(cost, now)
        assert 0 <= budget.tokens <= budget.cap
        assert taken or before < cost
        budget.succeeded()
        assert budget.tokens <= budget.cap


def test_retry_tokens_come_back_with_time_and_success() -> None:
    budget = RetryBudget(50)
    assert budget.cap == 20
    assert all(budget.take(2, 0.0) for _ in range(10))
    assert not budget.take(1, 5.0)
    assert budget.take(1, 15.0)
    for _ in range(20):
        budget.succeeded()
    assert budget.take(2, 15.0)
