"""A prompt: a text and its options, checked where it is made."""

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import Form, Range, check_fields
from nbp_async._base.suggestions import suggest


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
        quality: `"low"`, `"high"` and so on, where the model has a choice (`nbp prices`); None
            takes the call's or the client's.
        thinking: `"minimal"`, `"high"` and so on, where the model has a choice; None takes the
            call's or the client's.
        n: Images to make, 1 to 100; each is a call of its own, paid and reported on its own.
        seed: For endpoints that honour one; image k of n gets seed + k.
        references: Images to work from: paths, bytes, or https links; at most the model's number.
            `data:` addresses become bytes, `file:` addresses and `~` paths.
        extra: Fields merged into the request's JSON as they are, for what has no option here.
            What would change the price, or is an option, is refused.
        row: The row of a table or a file that it comes from, from 0 as data frames count it; rows
            without text count. It comes back with what is made, and changes nothing.
    """

    size: Annotated[str | None, Form('"2K" or "2048x2048"')] = None
    aspect_ratio: Annotated[str | None, Form('"16:9"')] = None
    quality: Annotated[str | None, Form('"high"')] = None
    thinking: Annotated[str | None, Form('"high"')] = None
    n: Annotated[int, Range(least=1, most=100, unit="images")] = 1
    seed: int | None = None
    references: Annotated[
        Sequence[str | Path | bytes], Form("a list of paths, bytes or https links")
    ] = ()
    extra: Annotated[Mapping[str, Any] | None, Form("a dict of fields for the request's JSON")] = (
        None
    )
    row: Annotated[int | None, Range(least=0)] = None

    def __init_subclass__(cls) -> None:
        raise TypeError("Prompt is not meant to be subclassed; put what you need in `extra`.")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.text.strip():
            raise ConfigError("A prompt has a text that is not empty: leave empty lines out.")
        if not self.text.isascii():
            _check_encodable(self.text)
        if self.references or not isinstance(self.references, tuple):
            references = tuple(map(_spelled_out, self.references))
            msgspec.structs.force_setattr(self, "references", references)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 40 else self.text[:39] + "…"
        return f"Prompt({text!r})"


def _spelled_out(item: str | Path | bytes) -> str | Path | bytes:
    """A reference as bytes, a link, or a path that can be opened."""
    if not isinstance(item, str):
        return item
    start = item[:80].lower()
    if start.startswith("data:"):
        head, comma, data = item.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ConfigError("A reference is a data: address that holds no base64.")
        return _decoded(data)
    if start.startswith("file:"):
        return unquote(urlsplit(item).path)
    return str(Path(item).expanduser()) if item.startswith("~/") else item


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(unquote(data), validate=True)
    except ValueError:  # binascii.Error is one
        problem = ConfigError("A reference is a data: address whose base64 is damaged.")
    raise problem


def _check_encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        half, at = text[exc.start], exc.start
        raise ConfigError(
            f"The text has {half!r} at character {at}, half of a character that was cut in two: it "
            "cannot be sent."
        ) from None


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
            "drop_nulls() of polars)."
        )
    several = " Several are for many()." if isinstance(value, list | tuple) else ""
    raise ConfigError(
        f"A prompt is a str, a dict or a Prompt, not {type(value).__name__}.{several}"
    )


def _no_prompt(unknown: Collection[str]) -> ConfigError:
    """What is wrong with a dict that was given as a prompt."""
    known = Prompt.__struct_fields__
    what = "no 'text'"
    near = suggest(min(unknown), known) if unknown else ""
    if unknown:
        what = f"an unknown option {min(unknown)!r}"
    return ConfigError(
        f"A prompt given as a dict has {what}: {near}{'It' if near else 'it'} may have "
        f"{', '.join(known)}."
    )


def _unset(prompt: Prompt, name: str) -> bool:
    default = {"n": 1, "references": ()}.get(name)
    return bool(getattr(prompt, name) == default)
