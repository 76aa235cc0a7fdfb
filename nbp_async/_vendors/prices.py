"""What an image costs, as dated figures; see `catalog.toml` for those that we know.

An endpoint with other prices gets them with `Profile(prices=Prices(...))`.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Literal, cast

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Form, Range, check_fields
from nbp_async._base.http import Usage

ZERO = Decimal(0)
_ONE = Decimal(1)
_MILLION = Decimal(1_000_000)
Price = Annotated[Decimal, Range(least=0, unit="dollars as a Decimal")]
Factor = Annotated[Decimal, Range(above=0, most=10, unit="times the price, as a Decimal")]
ServiceTier = Literal["standard", "flex", "priority"]
"""How soon a held call is served, and for how much; see `ImageOptions.tier`."""
PriceTier = Literal["flex", "priority", "batch"]
"""What changes all prices of a model: a service tier, or the batch API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars per image or per million tokens.

    ```python
    flat = Prices(dated="2026-08-01", source="our contract", per_image={"*": Decimal("0.09")})
    relay = Profile(name="relay", base_url="https://relay.example.com/v1", prices=flat)
    ```

    Attributes:
        dated: The day on which the figures were read, ISO 8601.
        source: Where they were read.
        per_image: Price by size (`"1K"`, `"2K"`, `"4K"`), or by size and quality (`"2K high"`);
            `"*"` for any other. What is missing has no price that is known beforehand.
        input_per_million: Input tokens; None where a request has one flat price.
        input_image_per_million: Input tokens of reference images, where they cost other than text.
        text_per_million: Text and thinking output.
        image_per_million: Image output.
        allowance: Text and thinking tokens that are set aside for each image where they are
            priced: nobody knows them before the answer.
        tiers: What "flex", "priority" and the "batch" API charge, as a factor of all of these; what
            is missing is not sold.
    """

    dated: Annotated[str, Form('a date such as "2026-08-16"', r"\d{4}-\d\d-\d\d")]
    source: str
    per_image: dict[str, Price] = field(hash=False)
    input_per_million: Price | None = None
    input_image_per_million: Price | None = None
    text_per_million: Price | None = None
    image_per_million: Price | None = None
    allowance: Annotated[int, Range(least=0, unit="tokens")] = 1000
    tiers: dict[PriceTier, Factor] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.per_image:
            raise ConfigError('give a price, under "*" for any size.', option="per_image")

    def factor(self, tier: str) -> Decimal:
        """What a tier charges, as a factor of these prices; 1 for any that is not in `tiers`."""
        return cast("dict[str, Decimal]", self.tiers).get(tier, _ONE)

    def in_tier(self, tier: str) -> "Prices":
        """What a tier charges; these prices where it charges nothing else."""
        share = self.factor(tier)
        if share == 1:
            return self  # and its decimals, which a million outcomes share

        def part(price: Decimal | None) -> Decimal | None:
            return None if price is None else price * share

        return replace(
            self,
            per_image={size: price * share for size, price in self.per_image.items()},
            input_per_million=part(self.input_per_million),
            input_image_per_million=part(self.input_image_per_million),
            text_per_million=part(self.text_per_million),
            image_per_million=part(self.image_per_million),
            tiers={},
        )

    @property
    def by_tokens(self) -> bool:
        """What is charged follows from tokens; otherwise a request has one flat price."""
        return self.image_per_million is not None

    def estimate(self, size: str, quality: str = "") -> Decimal | None:
        """The price of one image before it is made, or None where it is not known."""
        for known in (f"{size} {quality}", size, "*"):
            if known in self.per_image:
                return self.per_image[known]
        return None

    def extra(self, *, letters: int, references: int, thoughts: int = 0) -> Decimal:
        """What an image costs at most on top of `estimate`: what else to set aside for it.

        Where tokens are priced, a letter counts as a token, which is more than any text has, and
        a reference as twice Google's 560. Only an answer that thinks for longer than `allowance`,
        or `thoughts` tokens where these are more, costs more.
        """
        if not self.by_tokens:
            return ZERO
        text, image = self.input_per_million or ZERO, self.input_image_per_million or ZERO
        tokens = letters * text + 1120 * references * max(text, image)
        return (tokens + max(self.allowance, thoughts) * (self.text_per_million or ZERO)) / _MILLION

    def cost(self, usage: Usage | None) -> Decimal | None:
        """The price of an answer by its tokens; None where these are not priced or not counted.

        Images that came unasked, and drafts that are billed, change it by their tokens alone.
        """
        if usage is None or not usage.image_tokens or self.image_per_million is None:
            return None
        return self._of_tokens(usage)

    def cost_without_image(self, usage: Usage | None) -> Decimal:
        """The price of an answer that has no image: its tokens, or the flat price."""
        if not self.by_tokens:
            return self.per_image.get("*", max(self.per_image.values()))
        return ZERO if usage is None else self._of_tokens(usage)

    def _of_tokens(self, usage: Usage) -> Decimal:
        text = self.input_per_million or ZERO
        image = text if self.input_image_per_million is None else self.input_image_per_million
        dollars = usage.image_tokens * (self.image_per_million or ZERO)
        dollars += usage.text_tokens * (self.text_per_million or ZERO)
        dollars += (usage.input_tokens - usage.input_image_tokens) * text
        dollars += usage.input_image_tokens * image
        return dollars / _MILLION
