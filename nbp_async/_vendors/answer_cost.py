"""What an answer is booked with: its tokens' price, as long as that is in proportion."""

from decimal import Decimal
from typing import NamedTuple

from nbp_async._base.http import Usage
from nbp_async._vendors.prices import Prices

# Beyond these a count is a relay's mistake, and no bill. The dearest honest answer that was seen,
# with the most thinking, is at twice its price; the cheapest, of low quality where none was named,
# at a thirty-fifth.
_TOO_MUCH = 10  # times what may be billed at most
_TOO_LITTLE = 100  # the price by this


class AnswerCost(NamedTuple):
    """US dollars of an answer, and what is wrong with the vendor's own count, or ""."""

    dollars: Decimal
    note: str = ""


def answer_cost(
    prices: Prices | None, usage: Usage | None, *, price: Decimal, most: Decimal, images: int = 1
) -> AnswerCost:
    """What an answer with images costs.

    Tokens that are out of all proportion are not believed: what was reserved is booked then.

    Args:
        prices: Of the model, in the tier that was given; None where they are not known.
        usage: What the vendor counted, or None.
        price: Dollars that one image should cost; 0 where that is not known, and any count is
            believed.
        most: Dollars that are reserved for one image.
        images: How many images came.
    """
    dollars = None if prices is None else prices.cost(usage)
    if dollars is None:
        return AnswerCost(price)
    if not price or price / _TOO_LITTLE <= dollars <= most * images * _TOO_MUCH:
        return AnswerCost(dollars)
    return _disbelieved(dollars, most * images)


def cost_without_image(
    prices: Prices | None, usage: Usage | None, *, price: Decimal, most: Decimal
) -> AnswerCost:
    """What an answer without an image costs; the arguments are those of `answer_cost`."""
    if prices is None:
        return AnswerCost(Decimal(0))
    dollars = prices.cost_without_image(usage)
    if not price or dollars <= most * _TOO_MUCH:
        return AnswerCost(dollars)
    return _disbelieved(dollars, most)


def _disbelieved(counted: Decimal, booked: Decimal) -> AnswerCost:
    return AnswerCost(
        booked,
        f"its tokens would cost ${counted.normalize():f}, out of all proportion: "
        f"${booked.normalize():f} is booked",
    )
