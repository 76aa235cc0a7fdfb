"""What a request may ask of a model: size, ratio and references, checked before it leaves.

What each model draws is in `catalog.toml`.
"""

import re
from dataclasses import dataclass, field

from nbp_async._base.errors import ConfigError
from nbp_async._base.suggestions import suggest
from nbp_async._vendors.catalog import Model, Pixels, find_model

_SAME = {"0.5K": "512", "512": "512"}  # two names of one size
_SIDE, _LONGEST, _MOST_PIXELS = 16, 3, 3840 * 2160
_AREAS = (("1K", 1024 * 1536), ("2K", 2048 * 2048))


@dataclass(frozen=True, slots=True)
class Canvas:
    """A size that was asked, resolved: the tier it is priced by and the pixels to expect.

    Attributes:
        tier: `"1K"`, `"2K"`, `"4K"`, or `"WxH"` where the model is told pixels, or is unknown.
        ratio: `"16:9"` and so on, or None to leave it to the model.
        pixels: Width and height to expect, or None where nobody can know them beforehand.
        priced_as: The size that it costs as much as, where that is not the tier; else "".
    """

    tier: str
    ratio: str | None
    pixels: Pixels | None
    priced_as: str = field(default="", repr=False)

    @property
    def price_size(self) -> str:
        """The size whose price it has."""
        return self.priced_as or self.tier


def default_size(model: str) -> str:
    """The size of a prompt that names none."""
    known = find_model(model)
    return "1024x1024" if known is None else known.default


def canvas_for(model: str, size: str, ratio: str | None, *, references: int = 0) -> Canvas:
    """Check size, ratio and number of references against what `model` can draw.

    Raises:
        ConfigError: It cannot, and what it can. Nothing was sent.
    """
    known = find_model(model)
    wanted = _pixels_of(size)
    if known is None:
        return _resolve_unknown(size, ratio, wanted)
    if references > known.max_references:
        raise ConfigError(f"{references} references: {model} takes at most {known.max_references}.")
    if ratio is not None and ratio not in known.ratios:
        raise ConfigError(
            f"{_near_ratio(ratio, known)}{model} draws {', '.join(known.ratios)}.",
            option="aspect_ratio",
            value=ratio,
        )
    if known.any_pixels:
        return _resolve_free(known, model, size, ratio, wanted)
    if wanted is not None:
        return _resolve_pixels(known, model, wanted, ratio)
    size = _SAME.get(size, size)
    if size not in known.pixels:
        raise _no_size(known, model, size)
    # With a reference the model takes over its ratio, so the pixels are not known beforehand.
    drawn = ratio or (None if references else "1:1")
    return Canvas(size, ratio, known.pixels[size][drawn] if drawn else None)


def image_size(model: str, canvas: Canvas) -> str:
    """The size as Google's API names it, or "" where the request does not name one."""
    known = find_model(model)
    if known is not None:
        return canvas.tier if known.names_size else ""
    return canvas.tier if re.fullmatch(r"512|\dK", canvas.tier) else ""


def _no_size(known: Model, model: str, size: str) -> ConfigError:
    return ConfigError(
        f"{_meant(size, known)}{model} draws {', '.join(known.sizes)}, or pixels such as "
        "1024x1024 (nbp help sizes).",
        option="size",
        value=size,
    )


def _meant(size: str, known: Model) -> str:
    if size.isdecimal() and any((int(size),) * 2 in by.values() for by in known.pixels.values()):
        return f"did you mean '{size}x{size}'? "
    return suggest(size, known.sizes)


def _near_ratio(ratio: str, known: Model) -> str:
    match = re.fullmatch(r"([1-9]\d{0,4})\s*[:x/]\s*([1-9]\d{0,4})", ratio)
    if match is None:
        return ""
    wanted = int(match[1]) / int(match[2])

    def apart(name: str) -> float:
        width, height = name.split(":")
        off = int(width) / int(height) / wanted
        return max(off, 1 / off)

    return f"the nearest is {min(known.ratios, key=apart)!r}; "


def _pixels_of(size: str) -> Pixels | None:
    match = re.fullmatch(r"([1-9]\d{1,4})[x×]([1-9]\d{1,4})", size)
    return (int(match[1]), int(match[2])) if match else None


def _resolve_pixels(known: Model, model: str, wanted: Pixels, ratio: str | None) -> Canvas:
    for tier, by_ratio in known.pixels.items():
        for name, pixels in by_ratio.items():
            if pixels == wanted:
                if ratio is not None and ratio != name:
                    raise _two_ratios(wanted, name, ratio)
                return Canvas(tier, name, pixels)
    near = min(
        (pixels for by_ratio in known.pixels.values() for pixels in by_ratio.values()),
        key=lambda p: abs(p[0] - wanted[0]) + abs(p[1] - wanted[1]),
    )
    raise ConfigError(
        f"{model} does not draw it; the nearest that it draws is {near[0]}x{near[1]}.",
        option="size",
        value=f"{wanted[0]}x{wanted[1]}",
    )


def _two_ratios(wanted: Pixels, name: str, ratio: str) -> ConfigError:
    return ConfigError(
        f"that is {name}, not {ratio}: give a size or an aspect ratio, not both.",
        option="size",
        value=f"{wanted[0]}x{wanted[1]}",
    )


def _resolve_free(
    known: Model, model: str, size: str, ratio: str | None, wanted: Pixels | None
) -> Canvas:
    """The canvas of a model that is told pixels: those that are given, or those of a size."""
    if size == "auto" and ratio is None:
        return Canvas(size, None, None)
    if wanted is None:
        by_ratio = known.pixels.get(size)
        if by_ratio is None:
            raise _no_size(known, model, size)
        if ratio is not None and ratio not in by_ratio:
            raise ConfigError(
                f"{model} draws {', '.join(by_ratio)} in {size}, or pixels of your own.",
                option="aspect_ratio",
                value=ratio,
            )
        wanted = by_ratio[ratio] if ratio else next(iter(by_ratio.values()))
    elif ratio is not None:
        raise _two_ratios(wanted, f"{wanted[0]}x{wanted[1]}", ratio)
    width, height = wanted
    if (
        width % _SIDE
        or height % _SIDE
        or max(wanted) > _LONGEST * min(wanted)
        or width * height > _MOST_PIXELS
    ):
        raise ConfigError(
            f"{model} draws sides divisible by 16, ratios up to 3:1, and 3840x2160 at most.",
            option="size",
            value=f"{width}x{height}",
        )
    priced_as = next((name for name, area in _AREAS if width * height <= area), "4K")
    return Canvas(f"{width}x{height}", None, wanted, priced_as)


def _resolve_unknown(size: str, ratio: str | None, wanted: Pixels | None) -> Canvas:
    if wanted is None and not re.fullmatch(r"auto|512|[1-9]\d?K", size):
        raise ConfigError("write 1K, 2K, 4K, or pixels as 1024x768.", option="size", value=size)
    if ratio is not None and not re.fullmatch(r"\d{1,2}:\d{1,2}", ratio):
        raise ConfigError("write it as 16:9.", option="aspect_ratio", value=ratio)
    return Canvas(size, ratio, wanted)
