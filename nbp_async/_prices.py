"""What an image costs, as dated data. Override it with `Profile(prices=Prices(...))`.

Google's figures: ai.google.dev/gemini-api/docs/pricing as of 2026-08-16 (standard tier). The
relay's: docs.apiyi.com pricing as of 2026-08-01, one flat price per request, 1K to 4K.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from nbp_async._http import Usage

CENT = Decimal("0.01")
ZERO = Decimal(0)
_MILLION = Decimal(1_000_000)


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
        per_image: Price by size (`"1K"`, `"2K"`, `"4K"`); `"*"` for any other.
        input_per_million: Input tokens; None where a request has one flat price.
        text_per_million: Text and thinking output.
        image_per_million: Image output.
        allowance: Text and thinking tokens that are set aside for each image where they are
            priced: nobody knows them before the answer.
        batch: What the batch API charges, as a share of all of these; None where there is none.
    """

    dated: str
    source: str
    per_image: dict[str, Decimal] = field(hash=False)
    input_per_million: Decimal | None = None
    text_per_million: Decimal | None = None
    image_per_million: Decimal | None = None
    allowance: int = 1000
    batch: Decimal | None = None

    def in_batch(self) -> "Prices":
        """What the batch API charges; these prices where it charges no less."""
        share = self.batch
        if share is None:
            return self

        def part(price: Decimal | None) -> Decimal | None:
            return None if price is None else price * share

        return replace(
            self,
            per_image={size: price * share for size, price in self.per_image.items()},
            input_per_million=part(self.input_per_million),
            text_per_million=part(self.text_per_million),
            image_per_million=part(self.image_per_million),
            batch=None,
        )

    @property
    def by_tokens(self) -> bool:
        """What is charged follows from tokens; otherwise a request has one flat price."""
        return self.image_per_million is not None

    def estimate(self, size: str) -> Decimal:
        """The price of one image of this size, before it is made."""
        known = self.per_image.get(size) or self.per_image.get("*")
        return known if known is not None else max(self.per_image.values())

    def most(self, size: str, *, letters: int, references: int) -> Decimal:
        """What an image of this size costs at most, before it is made: what to set aside for it.

        Where tokens are priced, a letter counts as a token, which is more than any text has, and
        a reference as twice Google's 560. Only an answer that thinks for longer than `allowance`
        costs more.
        """
        price = self.estimate(size)
        if not self.by_tokens:
            return price
        price += (letters + 1120 * references) * (self.input_per_million or ZERO) / _MILLION
        return price + self.allowance * (self.text_per_million or ZERO) / _MILLION

    def cost(self, size: str, usage: Usage | None) -> Decimal:
        """The price of an answer: by its tokens where they are priced and counted, else by size.

        One image was asked for: further ones that came unasked change it by their tokens alone.
        """
        if usage is None or not usage.image_tokens or self.image_per_million is None:
            return self.estimate(size)
        tokens = usage.image_tokens * self.image_per_million
        tokens += usage.text_tokens * (self.text_per_million or 0)
        tokens += usage.input_tokens * (self.input_per_million or 0)
        return tokens / _MILLION

    def cost_without_image(self, usage: Usage | None) -> Decimal:
        """The price of an answer that has no image: its tokens, or the flat price."""
        if self.image_per_million is None:
            return self.estimate("*")
        if usage is None:
            return Decimal(0)
        text = usage.text_tokens * (self.text_per_million or Decimal(0))
        image = usage.image_tokens * self.image_per_million
        return (text + image + usage.input_tokens * (self.input_per_million or 0)) / _MILLION


GOOGLE = Prices(
    dated="2026-08-16",
    source="ai.google.dev/gemini-api/docs/pricing",
    per_image={"1K": Decimal("0.134"), "2K": Decimal("0.134"), "4K": Decimal("0.24")},
    input_per_million=Decimal(2),
    text_per_million=Decimal(12),
    image_per_million=Decimal(120),
    batch=Decimal("0.5"),
)
APIYI = Prices(
    dated="2026-08-01",
    source="docs.apiyi.com, Nano Banana Pro, default group",
    per_image={"*": Decimal("0.09")},
)
