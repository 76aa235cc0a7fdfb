"""What the images of a call cost, with what was chosen for the call and for its client."""

import dataclasses
from datetime import date
from decimal import Decimal
from typing import get_args

from nbp_async._client.answer_format import answer_format, task_body
from nbp_async._client.client_options import SharedOptions
from nbp_async._client.options import ImageOptions
from nbp_async._dialects.body_template import has_place
from nbp_async._flow.job_prices import JobPrices
from nbp_async._models.outcomes import Via
from nbp_async._models.settings import Dollars, Limits, dollars
from nbp_async._vendors.price_options import STANDARD, RequestPlaces
from nbp_async._vendors.prices import Prices, PriceTier
from nbp_async._vendors.profiles import Profile

_OF_BOTH = ("quality", "thinking", "tier", "links", "response_format")


def with_price(profile: Profile, price: Dollars | None) -> Profile:
    """The profile, with this price for whatever it makes; as it is where there is none."""
    if price is None:
        return profile
    flat = Prices(
        dated=date.today().isoformat(),
        source="price, as it was given",
        per_image={"*": dollars(price, "price")},
        tiers=dict.fromkeys(get_args(PriceTier), Decimal(1)),
    )
    return dataclasses.replace(profile, prices=flat)


def with_defaults(options: ImageOptions, client: SharedOptions) -> ImageOptions:
    """The options of a call; the client's where the call names none."""
    own = {name: getattr(options, name) or getattr(client, name) for name in _OF_BOTH}
    return dataclasses.replace(options, **own)


def job_prices(
    profile: Profile,
    model: str,
    options: ImageOptions,
    via: Via,
    limits: Limits,
    unpriced: set[str],
) -> JobPrices:
    """What the images of a call cost; `unpriced` are models that were said to have no price.

    Raises:
        ConfigError: The model is not sold so, or has no price that a limit could count.
    """
    capped_by = "max_cost" if options.max_cost is not None else ""
    if not capped_by and limits.spend_window is not None:
        capped_by = "spend"
    tier = options.tier or STANDARD
    return JobPrices(
        model,
        profile.prices_for(model),
        request_places(profile, via),
        tier="batch" if via == "batch" and tier == STANDARD else tier,
        capped_by=capped_by,
        unpriced=unpriced,
        response_format=answer_format(options, profile, via),
    )


def request_places(profile: Profile, via: Via) -> RequestPlaces:
    """Which options a request to this endpoint has a place for."""
    if body := task_body(profile, via):
        quality = has_place(body, "{quality}")
        return RequestPlaces(profile.name, tier=False, quality=quality, thinking=False)
    is_google = profile.dialect == "gemini"
    tier = is_google and via == "held"
    quality = profile.dialect == "openai_images"
    return RequestPlaces(profile.name, tier=tier, quality=quality, thinking=is_google)
