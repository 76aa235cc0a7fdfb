"""The models of the fake vendors: what each draws, and what it costs.

These tables are written down apart from the client's, from the vendors' own pages, so that bank
and client can witness against each other. Prices are US dollars per million tokens; an answer that
counts no tokens costs `per_image`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import msgspec

Pixels = tuple[int, int]
ServiceTier = Literal["standard", "flex", "priority"]
SHARE_OF: Mapping[str, Decimal] = {
    "standard": Decimal(1),
    "flex": Decimal("0.5"),
    "priority": Decimal("1.8"),
    "batch": Decimal("0.5"),
}
"""The part of its price that work costs, by how urgent it is."""

THOUGHT_TOKENS = {"MINIMAL": 53, "LOW": 106, "MEDIUM": 159, "HIGH": 212}
"""What a model thinks about any prompt, by level from the least to the most."""

_MILLION = Decimal(1_000_000)

_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_SIDES = (
    "1024x1024 848x1264 1264x848 896x1200 1200x896 928x1152 1152x928 768x1376 1376x768 1584x672"
)
_SIDES_25 = (
    "1024x1024 832x1248 1248x832 864x1184 1184x864 896x1152 1152x896 768x1344 1344x768 1536x672"
)
_LONG = {"1:4": (512, 2048), "4:1": (2048, 512), "1:8": (384, 3072), "8:1": (3072, 384)}


def _grid(sides: str) -> dict[str, Pixels]:
    pairs = [pair.split("x") for pair in sides.split()]
    return {
        ratio: (int(wide), int(high)) for ratio, (wide, high) in zip(_RATIOS, pairs, strict=True)
    }


_NARROW, _OLD = _grid(_SIDES), _grid(_SIDES_25)
_WIDE = _NARROW | _LONG


class TokenCount(msgspec.Struct, frozen=True, gc=False):
    """The tokens of one answer.

    Attributes:
        prompt: Of the prompt's text.
        references: Of the reference images.
        image: Of the images that came out.
        text: Of the text that came out.
        thoughts: Of what the model thought.
    """

    prompt: int = 0
    references: int = 0
    image: int = 0
    text: int = 0
    thoughts: int = 0

    @property
    def input(self) -> int:
        return self.prompt + self.references

    @property
    def output(self) -> int:
        """What came out, without thoughts."""
        return self.image + self.text

    @property
    def total(self) -> int:
        return self.input + self.output + self.thoughts


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeModel:
    """One model.

    Attributes:
        tokens: Output tokens of an image, by size, or by size and quality.
        per_image: Price of an image where no tokens are counted, by size.
        image, text, prompt: Prices of image output, text output and input tokens.
        prompt_image: Price of input tokens of reference images, if it is another.
        pixels: What it draws, at 1K.
        references: How many reference images it takes.
        thinks: The least that it can be told to think; None if it does not think.
    """

    tokens: Mapping[str, int]
    per_image: Mapping[str, str]
    image: str
    text: str
    prompt: str
    prompt_image: str = ""
    pixels: Mapping[str, Pixels] = field(default_factory=lambda: _NARROW)
    references: int = 14
    thinks: str | None = "LOW"

    def size(self, size: str) -> Mapping[str, Pixels]:
        """Pixels of this size, by ratio; none if it does not draw it."""
        if size not in self.tokens:
            return {}
        halves = 1 if size == "512" else 2 * int(size[0])
        return {
            ratio: (wide * halves // 2, high * halves // 2)
            for ratio, (wide, high) in self.pixels.items()
        }

    def image_tokens(self, size: str, quality: str) -> int:
        """Output tokens of one image."""
        return self.tokens.get(f"{size} {quality}") or self.tokens[size]

    def thought_tokens(self, level: str) -> int:
        """Tokens of its thoughts; level "" is its own choice."""
        return 0 if self.thinks is None else THOUGHT_TOKENS[level or "HIGH"]

    def price(self, size: str, images: int, tokens: TokenCount | None) -> Decimal:
        """What an answer costs: its tokens if they are counted, else its images."""
        if tokens is None:
            return Decimal(self.per_image[size]) * images
        dollars = tokens.image * Decimal(self.image)
        dollars += (tokens.text + tokens.thoughts) * Decimal(self.text)
        dollars += tokens.prompt * Decimal(self.prompt)
        dollars += tokens.references * Decimal(self.prompt_image or self.prompt)
        return dollars / _MILLION


_PRO = FakeModel(
    tokens={"1K": 1120, "2K": 1120, "4K": 2000},
    per_image={"1K": "0.134", "2K": "0.134", "4K": "0.24"},
    image="120",
    text="12",
    prompt="2",
)
_FLASH_25 = FakeModel(
    tokens={"1K": 1290},
    per_image={"1K": "0.039"},
    image="30",
    text="2.5",
    prompt="0.3",
    pixels=_OLD,
    references=3,
    thinks=None,
)
# What OpenAI publishes is low, medium and high of 1K, and high of 2K; the rest is made up.
_GPT = FakeModel(
    tokens={
        "1K": 1756,
        "1K low": 196,
        "1K high": 7024,
        "1K xhigh": 9000,
        "1K max": 12000,
        "2K": 3512,
        "2K low": 392,
        "2K high": 14272,
        "2K xhigh": 18000,
        "2K max": 24000,
        "4K": 5268,
        "4K low": 588,
        "4K high": 21000,
        "4K xhigh": 27000,
        "4K max": 36000,
    },
    per_image={"1K": "0.211", "2K": "0.428", "4K": "0.63"},
    image="30",
    text="0",
    prompt="5",
    prompt_image="8",
    references=16,
)
FAKE_MODELS: Mapping[str, FakeModel] = {
    **dict.fromkeys(
        (
            "nano-banana-pro",
            "nano-banana-pro-preview",
            "gemini-3-pro-image",
            "gemini-3-pro-image-preview",
        ),
        _PRO,
    ),
    "gemini-nano-banana-2.1": FakeModel(
        tokens={"1K": 1120, "2K": 1680, "4K": 2520},
        per_image={"1K": "0.0336", "2K": "0.0504", "4K": "0.113"},
        image="30",
        text="7.5",
        prompt="1.5",
        pixels=_WIDE,
        thinks="MINIMAL",
    ),
    "gemini-3.1-flash-image": FakeModel(
        tokens={"512": 747, "1K": 1120, "2K": 1680, "4K": 2520},
        per_image={"512": "0.045", "1K": "0.067", "2K": "0.101", "4K": "0.151"},
        image="60",
        text="3",
        prompt="0.5",
        pixels=_WIDE,
        thinks="MINIMAL",
    ),
    "gemini-3.1-flash-lite-image": FakeModel(
        tokens={"1K": 1120}, per_image={"1K": "0.0336"}, image="30", text="0", prompt="0"
    ),
    "gemini-2.5-flash-image": _FLASH_25,
    "nano-banana": _FLASH_25,
    "gpt-image-2": _GPT,
}


def maker_of(model: str) -> str:
    """Who makes a model, as services write it before its name."""
    return "openai" if model.startswith("gpt-image") else "google"


def fake_model(name: str) -> FakeModel:
    """The model of this name; services call Pro by names of their own."""
    if name.startswith("gpt-image"):
        return _GPT
    return FAKE_MODELS.get(name, _PRO)
