"""The models we know: what each draws, what it costs at which vendor, and when it ends.

The facts are in `catalog.toml`, which is read and checked once, when it is first needed.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from nbp_async._vendors.prices import Prices

Pixels = tuple[int, int]

_FACTORS = {"512": Decimal("0.5"), "1K": Decimal(1), "2K": Decimal(2), "4K": Decimal(4)}


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model, under the name that its maker gives it.

    Attributes:
        name: Its name.
        aliases: Other names of it, and models that share all these facts.
        others: Those of the aliases that are models of their own.
        vendor: Who makes it, whose prices count where an endpoint has no other.
        sizes: What it draws, such as `"1K"`; the first ones are the smallest.
        default: The size that is asked for unless a prompt names one.
        pixels: Width and height by size and aspect ratio.
        any_pixels: It also draws other pixels: sides divisible by 16, up to 3:1 and 3840x2160.
        names_size: Requests name the size; otherwise there is only one, or pixels say it.
        qualities: The qualities that it can be asked for; none for most models.
        thinking: Levels that it can be asked for, and the tokens to set aside for each.
        max_references: How many reference images it takes.
        prices: What it costs, by vendor.
        ends: The day on which it is switched off, if that is known.
        unsettled: What the sources do not agree on; "" where they do.
    """

    name: str
    vendor: str
    sizes: tuple[str, ...]
    prices: dict[str, Prices]
    aliases: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    default: str = "1K"
    pixels: dict[str, dict[str, Pixels]]
    any_pixels: bool = False
    names_size: bool = True
    qualities: tuple[str, ...] = ()
    thinking: dict[str, int] = {}
    max_references: int = 14
    ends: date | None = None
    unsettled: str = ""

    @property
    def ratios(self) -> tuple[str, ...]:
        """Aspect ratios that it draws in any size."""
        return tuple(dict.fromkeys(ratio for by in self.pixels.values() for ratio in by))


def find_model(name: str) -> Model | None:
    """The model of this name or alias, or None where we do not know it."""
    return _by_name().get(name)


def plain_name(name: str) -> str:
    """One name for all spellings of a model: `"gemini-3-pro-image"` for `"nano-banana-pro"`."""
    model = find_model(name)
    return name if model is None or name in model.others else model.name


@cache
def models() -> tuple[Model, ...]:
    """All models that we know, each once."""
    text = (Path(__file__).parent / "catalog.toml").read_text("utf-8")
    found = tomllib.loads(text, parse_float=Decimal)
    grids = found["grids"]
    return tuple(_model(name, fields, grids) for name, fields in found["models"].items())


@cache
def _by_name() -> Mapping[str, Model]:
    return {name: model for model in models() for name in (model.name, *model.aliases)}


def _model(name: str, fields: dict[str, Any], grids: Mapping[str, Any]) -> Model:
    grid = fields.pop("grid", None)
    if grid is not None:
        fields["pixels"] = {size: _scaled(grids[grid], size) for size in fields["sizes"]}
    return msgspec.convert({"name": name, **fields}, Model)


def _scaled(grid: Mapping[str, list[int]], size: str) -> dict[str, list[int]]:
    factor = _FACTORS[size]
    return {ratio: [int(side * factor) for side in pixels] for ratio, pixels in grid.items()}
