"""What a prompt's image should cost, and may cost at most, before it is made."""

import logging
from decimal import Decimal
from typing import NamedTuple, Protocol

from nbp_async._base.errors import ConfigError
from nbp_async._models.outcomes import ZERO, Job, Prompt
from nbp_async._pacing.price_margins import PriceKind
from nbp_async._vendors.price_options import (
    STANDARD,
    RequestPlaces,
    check_quality,
    check_thinking,
    check_tier,
    refuse_in_extra,
)
from nbp_async._vendors.prices import Prices
from nbp_async._vendors.services import ResponseFormat
from nbp_async._vendors.sizes import Canvas, canvas_for, default_size

log = logging.getLogger("nbp_async")

_STEP = 256  # characters; prompts of about one length share a price
_GIVE_ONE = (
    'Give one: Client(price="0.09") or Profile(prices=...), on the command line --price 0.09.'
)


class PricedCanvas(NamedTuple):
    """How a prompt's image is asked for, and the dollars of one image; see `Job`."""

    canvas: Canvas
    price: Decimal
    most: Decimal
    tier: str = STANDARD
    response_format: ResponseFormat | None = None


class PromptPrices(Protocol):
    """Checks prompts, and prices them."""

    @property
    def model(self) -> str:
        """The model that is asked."""
        ...

    def of(self, prompt: Prompt) -> PricedCanvas:
        """What the prompt costs.

        Raises:
            ConfigError: It cannot be made.
        """
        ...


def price_kind(job: Job, *, in_batch: bool = False) -> PriceKind:
    """Which other images show what this one costs."""
    return PriceKind(job.model, job.canvas.price_size, in_batch)


class JobPrices:
    """Checks the prompts of one call against its model, and prices them.

    Args:
        model: The model that is asked.
        prices: What it costs where it is asked, or None where that is not known.
        places: Which options the requests have a place for.
        tier: The service tier, or "batch".
        capped_by: The option that limits dollars, "max_cost" or "spend"; "" without a limit.
        response_format: What answers are asked to be, in place of what the profile says.
        unpriced: Models that were said to have no price; this one is added.

    Raises:
        ConfigError: It is not sold so, or has no price that a limit could count.
    """

    def __init__(
        self,
        model: str,
        prices: Prices | None,
        places: RequestPlaces | None = None,
        *,
        tier: str = STANDARD,
        capped_by: str = "",
        unpriced: set[str] | None = None,
        response_format: ResponseFormat | None = None,
    ) -> None:
        self.model = model
        self._places = places or RequestPlaces(endpoint="the endpoint")
        if tier != "batch":
            check_tier(tier, model, prices, self._places)
        self._prices = None if prices is None else prices.in_tier(tier)
        self._tier = STANDARD if tier == "batch" else tier
        self._capped_by = capped_by
        self._response_format = response_format
        self._unpriced = set() if unpriced is None else unpriced
        self._known: dict[tuple[object, ...], PricedCanvas] = {}
        if prices is None and capped_by:
            raise self._no_price()

    def of(self, prompt: Prompt) -> PricedCanvas:
        """What the prompt costs. Kept: most prompts cost the same.

        Raises:
            ConfigError: The model does not draw it.
        """
        if prompt.extra is not None:
            refuse_in_extra(prompt.extra)
        references, letters = len(prompt.references), -(-len(prompt.text) // _STEP) * _STEP
        asked = prompt.size, prompt.aspect_ratio, prompt.quality, prompt.thinking
        key = *asked, references, letters
        priced = self._known.get(key)
        if priced is None:
            priced = self._known[key] = self._priced(prompt, references, letters)
        return priced

    def _priced(self, prompt: Prompt, references: int, letters: int) -> PricedCanvas:
        size = prompt.size or default_size(self.model)
        canvas = canvas_for(self.model, size, prompt.aspect_ratio, references=references)
        check_quality(prompt.quality, self.model, self._places)
        thoughts = check_thinking(prompt.thinking, self.model, self._places)
        prices, quality = self._prices, prompt.quality or "auto"
        price = None if prices is None else prices.estimate(canvas.price_size, quality)
        if prices is None or price is None:
            self._tell_unpriced(canvas.price_size, quality)
            return PricedCanvas(canvas, ZERO, ZERO, self._tier, self._response_format)
        extra = prices.extra(letters=letters, references=references, thoughts=thoughts)
        most = price + extra
        return PricedCanvas(canvas, price, most, self._tier, self._response_format)

    def _tell_unpriced(self, size: str, quality: str) -> None:
        """Say once that nobody knows what these images cost, or refuse where that must be known."""
        what = "" if self._prices is None else f" in {size}, quality {quality},"
        if self._capped_by:
            raise self._no_price(what)
        if self.model + what not in self._unpriced:
            self._unpriced.add(self.model + what)
            log.warning(
                "%s%s has no known price at %s: its images count as $0 until an answer tells "
                "their tokens. %s",
                self.model,
                what,
                self._places.endpoint,
                _GIVE_ONE,
            )

    def _no_price(self, what: str = "") -> ConfigError:
        return ConfigError(
            f"{self.model}{what} has no known price at {self._places.endpoint}: a limit in "
            "dollars could not hold.",
            option=self._capped_by,
            hint=_GIVE_ONE,
        )
