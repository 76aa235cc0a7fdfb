"""Books and quotas, without a server."""

from decimal import Decimal

import pytest

from nbp_async._http import Usage
from nbp_async._prices import APIYI
from nbp_async.fake.bank import Bank, prompt_digest
from nbp_async.fake.counters import Counters
from nbp_async.fake.quotas import Denial, Meter, Quotas
from nbp_async.fake.refusals import go_duration

CENTS = Decimal("0.10")


def test_the_sum_of_the_ledger_is_what_is_billed() -> None:
    bank = Bank(["sk-one", "sk-two"])
    one, two = bank.accounts.values()
    bank.charge("r1", one, "a cat", "1K", 1, None, 0.0)
    bank.charge("r2", two, "a cat", "4K", 2, None, 1.0)
    row = bank.charge("r3", one, "a dog", "2K", 1, Usage(10, 1120, 200, 1330), 2.0)
    assert row.price == Decimal("0.13682")
    assert bank.billed == sum(row.price for row in bank.ledger) == Decimal("0.75082")
    assert (one.spent, two.spent) == (Decimal("0.27082"), Decimal("0.48"))
    assert (bank.billed_for("a cat"), bank.billed_for("a dog"), bank.billed_for("?")) == (3, 1, 0)
    assert bank.by_digest()[prompt_digest("a cat")] == 3


def test_flat_prices_hold_for_answers_without_an_image_too() -> None:
    bank = Bank("sk-one", APIYI)
    (account,) = bank.accounts.values()
    row = bank.charge("r1", account, "a cat", "1K", 0, None, 0.0)
    assert row.price == Decimal("0.09")
    assert bank.images == 0


def test_what_was_not_delivered_counts_as_lost() -> None:
    bank = Bank("sk-one")
    (account,) = bank.accounts.values()
    rows = [bank.charge(str(n), account, "a cat", "1K", 1, None, 0.0) for n in range(3)]
    bank.settle(rows[0], delivered=True)
    bank.settle(rows[1], delivered=False)
    assert [row.delivered for row in bank.ledger] == [True, False, None]
    assert bank.lost == 1


@pytest.mark.parametrize("keys", [[], [""], {"": None}])
def test_a_bank_without_keys_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="key"):
        Bank(keys)


@pytest.mark.parametrize(
    "quotas", [{"concurrency": 0}, {"per_minute": -1}, {"dollars_per_ten_minutes": Decimal(0)}]
)
def test_a_quota_of_nothing_is_refused(quotas: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Quotas(**quotas)  # type: ignore[arg-type]


def test_any_window_of_a_minute_sees_its_quota_and_no_more() -> None:
    meter = Meter(Quotas(per_minute=10), speed=1)
    admitted = [n / 2 for n in range(600) if meter.enter(n / 2, CENTS) is None]
    for start in admitted:
        assert sum(start <= at < start + 60 for at in admitted) <= 10
    assert len(admitted) == 50


def test_the_wait_that_is_asked_for_is_right() -> None:
    meter = Meter(Quotas(per_minute=1), speed=1)
    meter.enter(100, CENTS)
    denial = meter.enter(130, CENTS)
    assert isinstance(denial, Denial)
    assert denial.wait == 30
    assert meter.enter(159.9, CENTS) is not None
    assert meter.enter(160, CENTS) is None


def test_work_that_failed_gives_back_its_place_and_its_dollars() -> None:
    meter = Meter(Quotas(concurrency=1, dollars_per_ten_minutes=CENTS), speed=1)
    assert meter.enter(0, CENTS) is None
    assert meter.enter(0, CENTS) is not None
    meter.leave(0, CENTS, Decimal(0))
    assert meter.enter(0, CENTS) is None
    meter.leave(0, CENTS, CENTS)
    denial = meter.enter(1, CENTS)
    assert denial is not None
    assert (denial.what, denial.wait) == ("spend", 599)
    assert meter.enter(600, CENTS) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0ms"), (0.0755, "76ms"), (7.66, "7.66s"), (1.0, "1s"), (360, "6m0s"), (3723, "1h2m3s")],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_only_the_last_thousand_requests_are_kept() -> None:
    counters = Counters()
    for n in range(1500):
        counters.record(f"/{n}", {"X-Goog-Api-Key": "secret", "Accept": "*/*"}, {}, float(n))
    received = counters.received
    assert (len(received), received[0].path, received[-1].path) == (1000, "/500", "/1499")
    assert received[0].headers == {"accept": "*/*"}
