"""Which sizes and ratios a model draws, in pixels; checked before anything is sent.

Source of the tables: ai.google.dev/gemini-api/docs/image-generation (2026-08).
"""

import re
from dataclasses import dataclass, field

from nbp_async._errors import ConfigError
from nbp_async._near import meant

Pixels = tuple[int, int]

_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_PRO_1K: tuple[Pixels, ...] = (
    (1024, 1024), (848, 1264), (1264, 848), (896, 1200), (1200, 896),
    (928, 1152), (1152, 928), (768, 1376), (1376, 768), (1584, 672),
)  # fmt: skip
_FLASH_25: tuple[Pixels, ...] = (
    (1024, 1024), (832, 1248), (1248, 832), (864, 1184), (1184, 864),
    (896, 1152), (1152, 896), (768, 1344), (1344, 768), (1536, 672),
)  # fmt: skip


def _scaled(table: tuple[Pixels, ...], factor: int) -> dict[str, Pixels]:
    return {r: (w * factor, h * factor) for r, (w, h) in zip(_RATIOS, table, strict=True)}


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What one model can draw: pixels by size and ratio, and how many references it takes."""

    name: str
    pixels: dict[str, dict[str, Pixels]] = field(repr=False)
    max_references: int = 14

    @property
    def sizes(self) -> tuple[str, ...]:
        return tuple(self.pixels)

    @property
    def ratios(self) -> tuple[str, ...]:
        return tuple(next(iter(self.pixels.values())))


PRO = ModelSizes(
    "gemini-3-pro-image",
    {"1K": _scaled(_PRO_1K, 1), "2K": _scaled(_PRO_1K, 2), "4K": _scaled(_PRO_1K, 4)},
)
FLASH_25 = ModelSizes("gemini-2.5-flash-image", {"1K": _scaled(_FLASH_25, 1)}, max_references=3)

_MODELS = {
    "gemini-3-pro-image": PRO,
    "gemini-3-pro-image-preview": PRO,
    "nano-banana-pro": PRO,
    "nano-banana-pro-preview": PRO,
    "gemini-2.5-flash-image": FLASH_25,
    "nano-banana": FLASH_25,
}


@dataclass(frozen=True, slots=True)
class Canvas:
    """A size that was asked, resolved: the tier it is priced by and the pixels to expect.

    Attributes:
        tier: `"1K"`, `"2K"`, `"4K"`, or `"WxH"` where the model's table does not know it.
        ratio: `"16:9"` and so on, or None to leave it to the model.
        pixels: Width and height to expect, or None where nobody can know them beforehand.
    """

    tier: str
    ratio: str | None
    pixels: Pixels | None


def model_sizes(model: str) -> ModelSizes | None:
    """The table of `model`, or None for a model that is not in it: then nothing is refused."""
    return _MODELS.get(model)


def resolve(model: str, size: str, ratio: str | None, *, references: int = 0) -> Canvas:
    """Check size, ratio and number of references against what `model` can draw.

    Raises:
        ConfigError: It cannot, and what it can. Nothing was sent.
    """
    table = model_sizes(model)
    wanted = _pixels_of(size)
    if table is None:
        return _resolve_unknown(size, ratio, wanted)
    if references > table.max_references:
        raise ConfigError(
            f"{references} references: {model} takes at most {table.max_references}. "
            "Nothing was sent."
        )
    if ratio is not None and ratio not in table.ratios:
        raise ConfigError(
            f"aspect_ratio={ratio!r}: {_near_ratio(ratio, table)}{model} draws "
            f"{', '.join(table.ratios)}. Nothing was sent."
        )
    if wanted is not None:
        return _resolve_pixels(table, model, wanted, ratio)
    if size not in table.pixels:
        raise ConfigError(
            f"size={size!r}: {_meant(size, table)}{model} draws {', '.join(table.sizes)}, or "
            "pixels such as 1024x1024 (nbp help sizes). Nothing was sent."
        )
    # With a reference the model takes over its ratio, so the pixels are not known beforehand.
    drawn = ratio or (None if references else "1:1")
    return Canvas(size, ratio, table.pixels[size][drawn] if drawn else None)


def _meant(size: str, table: ModelSizes) -> str:
    if size.isdecimal() and any((int(size),) * 2 in by.values() for by in table.pixels.values()):
        return f"did you mean '{size}x{size}'? "
    return meant(size, table.sizes)


def _near_ratio(ratio: str, table: ModelSizes) -> str:
    match = re.fullmatch(r"([1-9]\d{0,4})\s*[:x/]\s*([1-9]\d{0,4})", ratio)
    if match is None:
        return ""
    wanted = int(match[1]) / int(match[2])

    def apart(known: str) -> float:
        width, height = known.split(":")
        off = int(width) / int(height) / wanted
        return max(off, 1 / off)

    return f"the nearest is {min(table.ratios, key=apart)!r}; "


def _pixels_of(size: str) -> Pixels | None:
    match = re.fullmatch(r"([1-9]\d{1,4})[x×]([1-9]\d{1,4})", size)
    return (int(match[1]), int(match[2])) if match else None


def _resolve_pixels(table: ModelSizes, model: str, wanted: Pixels, ratio: str | None) -> Canvas:
    for tier, by_ratio in table.pixels.items():
        for name, pixels in by_ratio.items():
            if pixels == wanted:
                if ratio is not None and ratio != name:
                    raise ConfigError(
                        f"size={wanted[0]}x{wanted[1]} is {name}, not aspect_ratio={ratio!r}: "
                        "give one of them. Nothing was sent."
                    )
                return Canvas(tier, name, pixels)
    near = min(
        (pixels for by_ratio in table.pixels.values() for pixels in by_ratio.values()),
        key=lambda p: abs(p[0] - wanted[0]) + abs(p[1] - wanted[1]),
    )
    raise ConfigError(
        f"size={wanted[0]}x{wanted[1]}: {model} does not draw it; the nearest that it draws is "
        f"{near[0]}x{near[1]}. Nothing was sent."
    )


def _resolve_unknown(size: str, ratio: str | None, wanted: Pixels | None) -> Canvas:
    if wanted is None and not re.fullmatch(r"auto|512|[1-9]\d?K", size):
        raise ConfigError(f'size={size!r}: "1K", "2K", "4K" or "1024x768". Nothing was sent.')
    if ratio is not None and not re.fullmatch(r"\d{1,2}:\d{1,2}", ratio):
        raise ConfigError(f'aspect_ratio={ratio!r}: write it as "16:9". Nothing was sent.')
    return Canvas(size, ratio, wanted)
