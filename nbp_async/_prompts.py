"""What you ask: a text and its options, checked where it is made."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nbp_async._errors import ConfigError
from nbp_async._near import meant

# What an option may be, and how to write it. None comes first: to ask an abstract class is slow.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "size": ((type(None), str), '"2K" or "2048x2048"'),
    "aspect_ratio": ((type(None), str), '"16:9"'),
    "seed": ((type(None), int), "a whole number"),
    "references": ((tuple, list), "a list of paths, bytes or https links"),
    "extra": ((type(None), Mapping), "a dict of fields for the request's JSON"),
}


class _Text(msgspec.Struct, frozen=True, gc=False):
    """The one part of a prompt that needs no name: `Prompt("a red bicycle", size="2K")`."""

    text: str


class Prompt(_Text, frozen=True, kw_only=True, gc=False):
    """What you ask: a text and its options.

    ```python
    poster = Prompt("a poster for a bicycle race", size="4K", aspect_ratio="2:3")
    batch = await gen.many([poster, "a red bicycle", {"text": "a green one", "n": 2}])
    ```

    Attributes:
        text: What to draw; not empty.
        size: `"1K"`, `"2K"`, `"4K"`, or pixels as `"2048x2048"`; None takes the call's or the
            client's. 1K and 2K cost the same, 4K nearly twice as much.
        aspect_ratio: `"16:9"` and so on; None leaves it to the model (1:1, or the reference's).
        n: Images to make, 1 to 100; each is a call of its own, paid and reported on its own.
        seed: For endpoints that honour one; image k of n gets seed + k.
        references: Images to work from: paths, bytes, or https links; at most the model's number.
        extra: Fields merged into the request's JSON as they are, for what has no option here.
    """

    size: str | None = None
    aspect_ratio: str | None = None
    n: int = 1
    seed: int | None = None
    references: Sequence[str | Path | bytes] = ()
    extra: Mapping[str, Any] | None = None

    def __init_subclass__(cls) -> None:
        raise TypeError("Prompt is not meant to be subclassed; put what you need in `extra`.")

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise ConfigError(
                "A prompt has a text that is not empty: leave empty lines out. Nothing was sent."
            )
        for name, (kinds, wanted) in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise ConfigError(f"{name}={value!r}: write {wanted}. Nothing was sent.")
        refs = self.references
        if isinstance(refs, list):
            msgspec.structs.force_setattr(self, "references", tuple(refs))
        if refs and not all(isinstance(item, str | Path | bytes) for item in refs):
            raise ConfigError("references= are paths, bytes or https links. Nothing was sent.")
        if not isinstance(self.n, int) or not 1 <= self.n <= 100:
            raise ConfigError(f"n={self.n!r}: 1 to 100 images of one prompt. Nothing was sent.")

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else self.text[:39] + "…"
        return f"Prompt({text!r})"


def as_prompt(value: object, defaults: Mapping[str, Any]) -> Prompt:
    """Make a Prompt of a str, a dict or a Prompt; `defaults` fill what it leaves open.

    Raises:
        ConfigError: It is none of these, or has an option that Prompt does not know.
    """
    if isinstance(value, Prompt):
        missing = {k: v for k, v in defaults.items() if _unset(value, k)}
        return msgspec.structs.replace(value, **missing) if missing else value
    if isinstance(value, str):
        return Prompt(text=value, **defaults)
    if isinstance(value, Mapping):
        fields = {**defaults, **{str(k): v for k, v in value.items()}}
        if "text" not in fields and "prompt" in fields:
            fields["text"] = fields.pop("prompt")
        unknown = fields.keys() - set(Prompt.__struct_fields__)
        if unknown or "text" not in fields:
            raise _no_prompt(unknown)
        return Prompt(**fields)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ConfigError(
            "There is no text: it is empty (None or NaN). Leave such rows out (dropna() of pandas, "
            "drop_nulls() of polars). Nothing was sent."
        )
    several = " Several are for many()." if isinstance(value, list | tuple) else ""
    raise ConfigError(
        f"A prompt is a str, a dict or a Prompt, not {type(value).__name__}.{several} "
        "Nothing was sent."
    )


def _no_prompt(unknown: Collection[str]) -> ConfigError:
    """What is wrong with a dict that was given as a prompt."""
    known = Prompt.__struct_fields__
    what = "no 'text'"
    near = meant(min(unknown), known) if unknown else ""
    if unknown:
        what = f"an unknown option {min(unknown)!r}"
    return ConfigError(
        f"A prompt given as a dict has {what}: {near}{'It' if near else 'it'} may have "
        f"{', '.join(known)}. Nothing was sent."
    )


def _unset(prompt: Prompt, name: str) -> bool:
    default = {"n": 1, "references": ()}.get(name)
    return bool(getattr(prompt, name) == default)
