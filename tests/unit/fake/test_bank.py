"""Bank and quotas, without a server."""

from decimal import Decimal

import pytest

from nbp_async.fake.api_errors import go_duration
from nbp_async.fake.bank import Bank, prompt_digest
from nbp_async.fake.counters import Counters
from nbp_async.fake.image_spec import ImageSpec
from nbp_async.fake.model_table import TokenCount
from nbp_async.fake.quotas import Denial, Meter, Quotas

CENTS = Decimal("0.10")


def asks(prompt: str, size: str = "1K", model: str = "gemini-3-pro-image") -> ImageSpec:
    return ImageSpec("google", model, prompt, size, (1024, 1024))


def test_the_sum_of_the_ledger_is_the_bill() -> None:
    bank = Bank(["sk-one", "sk-two"])
    one, two = bank.accounts.values()
    bank.charge("r1", one, asks("a cat"), 1, None, 0.0)
    bank.charge("r2", two, asks("a cat", "4K"), 2, None, 1.0)
    entry = bank.charge(
        "r3", one, asks("a dog", "2K"), 1, TokenCount(prompt=10, image=1120, thoughts=200), 2.0
    )
    assert entry.price == Decimal("0.13682")
    assert bank.billed == sum(entry.price for entry in bank.ledger) == Decimal("0.75082")
    assert (one.spent, two.spent) == (Decimal("0.27082"), Decimal("0.48"))
    assert (bank.billed_for("a cat"), bank.billed_for("a dog"), bank.billed_for("?")) == (3, 1, 0)
    assert bank.by_digest()[prompt_digest("a cat")] == 3


def test_flat_prices_hold_for_answers_without_an_image_too() -> None:
    bank = Bank("sk-one", {"*": "0.09"})
    (account,) = bank.accounts.values()
    entry = bank.charge("r1", account, asks("a cat"), 0, None, 0.0)
    assert entry.price == Decimal("0.09")
    assert bank.images == 0


def test_an_undelivered_answer_counts_as_lost() -> None:
    bank = Bank("sk-one")
    (account,) = bank.accounts.values()
    rows = [bank.charge(str(n), account, asks("a cat"), 1, None, 0.0) for n in range(3)]
    bank.settle(rows[0], delivered=True)
    bank.settle(rows[1], delivered=False)
    assert [entry.delivered for entry in bank.ledger] == [True, False, None]
    assert bank.lost == 1


@pytest.mark.parametrize("keys", [[], [""], {"": None}])
def test_a_bank_without_keys_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="key"):
        Bank(keys)


@pytest.mark.parametrize(
    "quotas", [{"concurrency": 0}, {"per_minute": -1}, {"dollars_per_ten_minutes": Decimal(0)}]
)
def test_a_quota_of_0_is_refused(quotas: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Quotas(**quotas)  # type: ignore[arg-type]


def test_no_window_of_a_minute_exceeds_its_quota() -> None:
    meter = Meter(Quotas(per_minute=10), speed=1)
    admitted = [n / 2 for n in range(600) if meter.enter(n / 2, CENTS) is None]
    for start in admitted:
        assert sum(start <= at < start + 60 for at in admitted) <= 10
    assert len(admitted) == 50


def test_a_request_after_the_wait_is_admitted() -> None:
    meter = Meter(Quotas(per_minute=1), speed=1)
    meter.enter(100, CENTS)
    denial = meter.enter(130, CENTS)
    assert isinstance(denial, Denial)
    assert denial.wait == 30
    assert meter.enter(159.9, CENTS) is not None
    assert meter.enter(160, CENTS) is None


def test_failed_work_releases_its_slot_and_its_dollars() -> None:
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
