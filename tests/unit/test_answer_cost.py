"""Tokens that a vendor counts are a price only as long as they are in proportion to it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbp_async._base.http import Usage
from nbp_async._vendors.answer_cost import answer_cost, cost_without_image
from nbp_async._vendors.catalog import models
from nbp_async._vendors.prices import Prices

PRICE, MOST = Decimal("0.134"), Decimal("0.15")
BY_TOKENS = Prices(
    dated="2026-11-28",
    source="a test",
    per_image={"*": PRICE},
    input_per_million=Decimal(2),
    text_per_million=Decimal(12),
    image_per_million=Decimal(120),
)


@pytest.mark.parametrize(
    ("tokens", "images", "dollars"),
    [
        (1120, 1, "0.1344"),
        (2240, 2, "0.2688"),
        (12_500, 1, "1.5"),  # ten times what is reserved is the last that is believed
        (12_501, 1, "0.15"),
        (12_501, 2, "1.50012"),
        (1_000_000, 3, "0.45"),
        (12, 1, "0.00144"),
        (11, 1, "0.15"),
    ],
)
def test_what_is_out_of_proportion_is_booked_as_reserved(
    tokens: int, images: int, dollars: str
) -> None:
    usage = Usage(image_tokens=tokens)
    booked = answer_cost(BY_TOKENS, usage, price=PRICE, most=MOST, images=images)
    assert booked.dollars == Decimal(dollars)
    believed = booked.dollars == tokens * Decimal("0.00012")
    assert believed == (booked.note == "")
    if not believed:
        assert f"${(tokens * Decimal('0.00012')).normalize():f}" in booked.note
        assert f"${booked.dollars:f} is booked" in booked.note


def test_where_no_price_is_known_beforehand_any_count_is_believed() -> None:
    usage = Usage(image_tokens=1_000_000)
    booked = answer_cost(BY_TOKENS, usage, price=Decimal(0), most=Decimal(0))
    assert booked == (Decimal(120), "")


def test_without_tokens_the_price_is_booked() -> None:
    assert answer_cost(BY_TOKENS, None, price=PRICE, most=MOST) == (PRICE, "")
    assert answer_cost(None, Usage(image_tokens=7), price=PRICE, most=MOST) == (PRICE, "")


def test_an_answer_without_an_image_is_not_believed_either() -> None:
    modest, absurd = Usage(text_tokens=1000), Usage(text_tokens=9_000_000)
    assert cost_without_image(BY_TOKENS, modest, price=PRICE, most=MOST) == (Decimal("0.012"), "")
    booked = cost_without_image(BY_TOKENS, absurd, price=PRICE, most=MOST)
    assert booked.dollars == MOST
    assert "$108" in booked.note
    assert cost_without_image(None, modest, price=PRICE, most=MOST) == (Decimal(0), "")


@given(
    tokens=st.integers(0, 10**7),
    text=st.integers(0, 10**7),
    images=st.integers(1, 8),
    most=st.decimals(PRICE, 1, places=4),
)
def test_no_count_moves_more_than_ten_times_what_was_reserved(
    tokens: int, text: int, images: int, most: Decimal
) -> None:
    usage = Usage(image_tokens=tokens, text_tokens=text)
    booked = answer_cost(BY_TOKENS, usage, price=PRICE, most=most, images=images)
    assert PRICE / 100 <= booked.dollars <= 10 * most * images


def test_the_count_of_an_honest_answer_is_believed_whatever_the_model_and_the_size() -> None:
    for model in models():
        for prices in model.prices.values():
            if prices.image_per_million is None:
                continue
            for price in prices.per_image.values():
                tokens = int(price / prices.image_per_million * 1_000_000)
                thoughts = max([0, *model.thinking.values()])
                usage = Usage(image_tokens=tokens, text_tokens=thoughts)
                extra = prices.extra(letters=256, references=0)
                booked = answer_cost(prices, usage, price=price, most=price + extra)
                assert booked.note == ""
