"""Options that change the price of an image: service tier, quality and thinking.

They are checked before anything is sent: a vendor that does not know one ignores it, or draws
something else, and bills that.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest
from nbp_async._vendors.catalog import find_model
from nbp_async._vendors.prices import Prices

STANDARD = "standard"

# Fields of requests that change the number or the price of images, and the option for each.
_PRICED = {
    "model": "model",
    "n": "n",
    "numimages": "n",
    "candidatecount": "n",
    "size": "size",
    "imagesize": "size",
    "resolution": "size",
    "quality": "quality",
    "servicetier": "tier",
    "thinking": "thinking",
    "thinkingconfig": "thinking",
    "thinkinglevel": "thinking",
    "thinkingbudget": "thinking",
}
_OBJECTS = ("generationconfig", "imageconfig")  # where Google's fields are


class RequestPlaces(NamedTuple):
    """Which of the options a request to an endpoint has a place for."""

    endpoint: str
    tier: bool = True
    quality: bool = True
    thinking: bool = True


def check_tier(tier: str, model: str, prices: Prices | None, places: RequestPlaces) -> None:
    """Check that `model` is sold in this service tier.

    Raises:
        ConfigError: It is not. Nothing was sent.
    """
    if tier == STANDARD:
        return
    if not places.tier:
        raise _no_place("tier", tier, places)
    sold = () if prices is None else tuple(t for t in prices.tiers if t != "batch")
    if tier not in sold:
        has = (
            f"has {', '.join((STANDARD, *sold))}" if sold else "is not known to have service tiers"
        )
        raise ConfigError(f"{model} at {places.endpoint} {has}.", option="tier", value=tier)


def check_quality(quality: str | None, model: str, places: RequestPlaces) -> None:
    """Check that `model` can be asked for this quality.

    Raises:
        ConfigError: It cannot, and what it can. Nothing was sent.
    """
    known = find_model(model)
    if quality is None:
        return
    if known is not None and quality not in (choices := (*known.qualities, "auto")):
        raise _unknown("quality", quality, model, choices if known.qualities else ())
    if not places.quality or (known is not None and not known.qualities):
        raise _no_place("quality", quality, places)


def check_thinking(level: str | None, model: str, places: RequestPlaces) -> int:
    """Check that `model` can be asked to think so much; gives the tokens to set aside for it.

    Raises:
        ConfigError: It cannot, and what it can. Nothing was sent.
    """
    known = find_model(model)
    if level is None:
        return 0
    if known is not None and level not in known.thinking:
        raise _unknown("thinking", level, model, tuple(known.thinking))
    if not places.thinking:
        raise _no_place("thinking", level, places)
    return 0 if known is None else known.thinking[level]


def refuse_in_extra(extra: Mapping[str, object]) -> None:
    """Refuse fields that have an option: no cap counts the images, and we read another answer.

    Raises:
        ConfigError: One of them is in `extra`, with the option that is for it.
    """
    for name, value in extra.items():
        plain = name.replace("_", "").lower()
        option = _PRICED.get(plain)
        if plain == "responseformat" and isinstance(value, str):  # as an object it is another field
            option = "response_format"
        if option is not None:
            raise ConfigError(f"{name!r} does not belong in `extra`: use the option {option!r}.")
        if plain in _OBJECTS and isinstance(value, Mapping):
            refuse_in_extra(value)


class Given(NamedTuple):
    """What was given for an option, as far as the vendor says; "" where it says nothing.

    Attributes:
        tier: The service tier.
        quality: The quality.
    """

    tier: str = ""
    quality: str = ""


def charged_tier(prices: Prices, asked: str, given: str) -> str:
    """The tier whose price counts: the given one, or where the answer names none, the dearer."""
    if given in (STANDARD, *prices.tiers):
        return given
    return asked if prices.factor(asked) > Decimal(1) else STANDARD


def describe_given(asked_tier: str, asked_quality: str | None, given: Given) -> tuple[str, ...]:
    """What was given in place of what was asked, in words; usually nothing."""
    notes = []
    if asked_tier != STANDARD and given.tier != asked_tier:
        got = f"got {given.tier}" if given.tier else "and the answer does not say which it got"
        notes.append(f"asked for tier {asked_tier}, {got}")
    if asked_quality not in (None, "auto", given.quality) and given.quality:
        notes.append(f"asked for quality {asked_quality}, got {given.quality}")
    return tuple(notes)


def _no_place(option: str, value: str, places: RequestPlaces) -> ConfigError:
    return ConfigError(
        f"this way of asking {places.endpoint} has no place for it.", option=option, value=value
    )


def _unknown(option: str, value: str, model: str, choices: tuple[str, ...]) -> ConfigError:
    what = f"knows {', '.join(choices)}" if choices else f"has no choice of {option}"
    return ConfigError(f"{suggest(value, choices)}{model} {what}.", option=option, value=value)
