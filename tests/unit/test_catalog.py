"""The catalog: no model at any endpoint is booked with another's price."""

from dataclasses import replace
from decimal import Decimal

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._base.http import Usage
from nbp_async._flow.job_prices import JobPrices
from nbp_async._models.outcomes import Prompt
from nbp_async._vendors.catalog import Model, find_model, models
from nbp_async._vendors.prices import Prices
from nbp_async._vendors.profiles import PROFILES, Profile, find_profile
from nbp_async._vendors.sizes import canvas_for

# What the vendors say, written down once more: dollars of an image by its tokens.
TOKENS = {
    ("gemini-3-pro-image", "1K"): (1120, "0.1344"),
    ("gemini-3-pro-image", "2K"): (1120, "0.1344"),
    ("gemini-3-pro-image", "4K"): (2000, "0.24"),
    ("gemini-nano-banana-2.1", "1K"): (1120, "0.0336"),
    ("gemini-nano-banana-2.1", "2K"): (1680, "0.0504"),
    ("gemini-3.1-flash-image", "512"): (747, "0.04482"),
    ("gemini-3.1-flash-image", "1K"): (1120, "0.0672"),
    ("gemini-3.1-flash-image", "2K"): (1680, "0.1008"),
    ("gemini-3.1-flash-image", "4K"): (2520, "0.1512"),
    ("gemini-3.1-flash-lite-image", "1K"): (1120, "0.0336"),
    ("gemini-2.5-flash-image", "1K"): (1290, "0.0387"),
    ("gpt-image-2", "2K high"): (14272, "0.42816"),
    ("gpt-image-2", "1K low"): (196, "0.00588"),
}
FLAT = Prices(dated="2026-08-01", source="a relay", per_image={"*": Decimal("0.05")})
ALL = [(profile, model) for profile in PROFILES.values() for model in models()]


@pytest.mark.parametrize(
    ("profile", "model"), ALL, ids=[f"{profile.name}-{model.name}" for profile, model in ALL]
)
def test_no_model_is_booked_with_another_s_price(profile: Profile, model: Model) -> None:
    for name in (model.name, *model.aliases):
        prices = profile.prices_for(name)
        assert prices is model.prices.get(profile.vendor)
        for other in models():
            assert other is model or prices is None or prices not in other.prices.values()


@pytest.mark.parametrize(("key", "figures"), TOKENS.items())
def test_tokens_times_the_model_s_own_prices_are_the_cost(
    key: tuple[str, str], figures: tuple[int, str]
) -> None:
    name, size = key
    tokens, dollars = figures
    model = find_model(name)
    assert model is not None
    prices = model.prices[model.vendor]
    assert prices.cost(Usage(image_tokens=tokens)) == Decimal(dollars)
    estimate = prices.estimate(size)
    assert estimate is not None
    assert estimate == pytest.approx(Decimal(dollars), rel=Decimal("0.03"))


def test_two_finished_images_cost_what_their_tokens_say() -> None:
    prices = PROFILES["google"].prices_for("gemini-3-pro-image")
    assert prices is not None
    usage = Usage(input_tokens=9, image_tokens=2240, text_tokens=0, total_tokens=2249)
    assert prices.cost(usage) == Decimal("0.268818")


def test_tokens_of_references_have_their_own_price_where_the_vendor_says_so() -> None:
    prices = PROFILES["openai"].prices_for("gpt-image-2")
    assert prices is not None
    usage = Usage(input_tokens=1050, image_tokens=1000, input_image_tokens=1000)
    assert prices.cost(usage) == (50 * 5 + 1000 * 8 + 1000 * 30) / Decimal(1_000_000)


def test_what_is_unsettled_is_reserved_at_the_higher_price() -> None:
    model = find_model("gemini-nano-banana-2.1")
    assert model is not None
    assert "0.076 or 0.113" in model.unsettled
    assert model.prices["google"].estimate("4K") == Decimal("0.113")


def test_a_relay_that_is_not_listed_has_the_makers_prices() -> None:
    relay = find_profile("https://relay.example.com/v1")
    assert relay.prices_for("nano-banana-pro") is PROFILES["google"].prices_for("nano-banana-pro")
    assert relay.prices_for("gpt-image-2") is PROFILES["openai"].prices_for("gpt-image-2")
    assert relay.prices_for("some-model") is None


def test_an_endpoint_may_have_prices_of_its_own_for_all_models_or_for_some() -> None:
    relay = find_profile("https://relay.example.com/v1")
    assert replace(relay, prices=FLAT).prices_for("some-model") is FLAT
    some = replace(relay, prices={"gemini-3-pro-image": FLAT})
    assert some.prices_for("nano-banana-pro") is FLAT
    assert some.prices_for("gpt-image-2") is relay.prices_for("gpt-image-2")
    assert some.prices_for("some-model") is None
    assert replace(relay, prices={"*": FLAT}).prices_for("gpt-image-2") is FLAT


@pytest.mark.parametrize("model", models(), ids=lambda model: model.name)
def test_a_model_costs_something_in_every_size_that_it_draws(model: Model) -> None:
    for size in model.sizes:
        assert canvas_for(model.name, size, None).price_size == size
        for vendor, prices in model.prices.items():
            price = prices.estimate(size, "auto")
            assert price or (vendor, size) == ("openai", "4K"), "the one that is not published"


def test_the_default_size_is_asked_for_and_priced() -> None:
    for name, tier, dollars in (
        ("gemini-3-pro-image", "2K", "0.134"),
        ("gemini-3.1-flash-image", "1K", "0.067"),
        ("gpt-image-2", "1024x1024", "0.211"),
    ):
        prices = find_profile("https://relay.example.com/v1").prices_for(name)
        priced = JobPrices(name, prices).of(Prompt("a cat"))
        assert (priced.canvas.tier, priced.price) == (tier, Decimal(dollars))
        assert priced.most > priced.price


@pytest.mark.parametrize(
    ("model", "size", "ratio", "says"),
    [
        ("gemini-3.1-flash-image", "8K", None, "512, 1K, 2K, 4K"),
        ("gemini-3.1-flash-image", "1K", "7:3", "the nearest is '21:9'"),
        ("gemini-nano-banana-2.1", "512", None, "1K, 2K, 4K"),
        ("gemini-3-pro-image", "1K", "1:8", "draws 1:1"),
        ("gpt-image-2", "1000x1000", None, "divisible by 16"),
        ("gpt-image-2", "3840x1264", None, "3:1"),
        ("gpt-image-2", "4K", "1:1", "draws 16:9, 9:16 in 4K"),
    ],
)
def test_what_a_model_does_not_draw_is_refused_with_what_it_does(
    model: str, size: str, ratio: str | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        canvas_for(model, size, ratio)


def test_fourteen_ratios_and_half_a_k() -> None:
    assert canvas_for("gemini-3.1-flash-image", "2K", "1:8").pixels == (768, 6144)
    assert canvas_for("gemini-3.1-flash-image", "0.5K", "9:16").pixels == (384, 688)
    assert canvas_for("gemini-3.1-flash-image", "0.5K", None).tier == "512"


def test_a_model_that_is_told_pixels_takes_sizes_as_pixels() -> None:
    assert canvas_for("gpt-image-2", "1K", None).tier == "1024x1024"
    assert canvas_for("gpt-image-2", "2K", "16:9", references=2).pixels == (2048, 1152)
    odd = canvas_for("gpt-image-2", "1600x1600", None)
    assert (odd.pixels, odd.ratio, odd.price_size) == ((1600, 1600), None, "2K")
    assert canvas_for("gpt-image-2", "auto", None).pixels is None
