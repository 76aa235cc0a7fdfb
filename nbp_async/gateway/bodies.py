"""What requests ask for, read and checked: JSON and forms in, prompts for the run out. No I/O."""

import base64
import binascii
from typing import Any

import msgspec

from nbp_async import ConfigError, Prompt

_LONGEST_PROMPT = 32_000  # characters


class BadRequestError(Exception):
    """The request cannot be taken; `field` names what is wrong with it."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class GenerationBody(msgspec.Struct, kw_only=True):
    """`POST /v1/images/generations`, and the shorter forms of it. Unknown fields are ignored."""

    prompt: str
    model: str | None = None
    size: str | None = None
    aspect_ratio: str | None = None
    quality: str | None = None
    n: int = 1
    seed: int | None = None
    image: str | list[str] | None = None
    response_format: str | None = None
    webhook_url: str | None = None
    user_id: str | None = None
    mode: str | None = None


class InlineData(msgspec.Struct, kw_only=True, rename="camel"):
    """Google's: bytes within JSON."""

    data: str
    mime_type: str = ""


class ContentPart(msgspec.Struct, kw_only=True, rename="camel"):
    """Google's: a text or an image of what is asked."""

    text: str | None = None
    inline_data: InlineData | None = None


class ContentBody(msgspec.Struct, kw_only=True):
    """Google's: one turn of what is asked."""

    parts: list[ContentPart]
    role: str | None = None


class ImageConfig(msgspec.Struct, kw_only=True, rename="camel"):
    """Google's: how large the image is to be."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class GenerationConfig(msgspec.Struct, kw_only=True, rename="camel"):
    """Google's."""

    image_config: ImageConfig | None = None
    seed: int | None = None


class GoogleBody(msgspec.Struct, kw_only=True, rename="camel"):
    """`POST /v1beta/models/{model}:generateContent`."""

    contents: list[ContentBody] | ContentBody
    generation_config: GenerationConfig | None = None


class CancelBody(msgspec.Struct, kw_only=True):
    """`POST /v1/tasks/{id}/cancel`."""

    accept_price: bool = False


Body = msgspec.Struct


def read_body(data: bytes, kind: type[Any]) -> Any:
    """A body as a value.

    Raises:
        BadRequestError: It is no such body.
    """
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        # msgspec says: "Expected `int`, got `str` - at `$.n`"
        message, _, place = str(exc).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise BadRequestError(f"{message}.", field) from None


def prompt_of(body: GenerationBody) -> Prompt:
    """What is to be made.

    Raises:
        BadRequestError: It cannot be asked so.
    """
    given: dict[str, Any] = {
        "text": body.prompt,
        "size": _size(body.size),
        "aspect_ratio": body.aspect_ratio,
        "quality": None if body.quality in (None, "auto") else body.quality,
        "n": body.n,
        "seed": body.seed,
        "references": tuple(map(_reference, _list(body.image))),
    }
    return _prompt(given)


def prompt_of_google(body: GoogleBody) -> Prompt:
    """What is to be made, of a request in Google's form."""
    contents = body.contents if isinstance(body.contents, list) else [body.contents]
    parts = [part for content in contents for part in content.parts]
    config = body.generation_config or GenerationConfig()
    image = config.image_config or ImageConfig()
    given: dict[str, Any] = {
        "text": "\n".join(part.text for part in parts if part.text),
        "size": image.image_size,
        "aspect_ratio": image.aspect_ratio,
        "seed": config.seed,
        "references": tuple(
            _decoded(part.inline_data.data) for part in parts if part.inline_data is not None
        ),
    }
    return _prompt(given)


def _prompt(given: dict[str, Any]) -> Prompt:
    if len(given["text"]) > _LONGEST_PROMPT:
        raise BadRequestError(f"has more than {_LONGEST_PROMPT} characters.", "prompt")
    try:
        return Prompt(**given)
    except ConfigError as exc:
        raise BadRequestError(str(exc), exc.option or "prompt") from None


def _size(size: str | None) -> str | None:
    return None if size in (None, "", "auto") else size


def _list(image: str | list[str] | None) -> list[str]:
    return image if isinstance(image, list) else [] if image is None else [image]


def _reference(text: str) -> str | bytes:
    """A reference from outside: a link or base64, and never a file of this machine."""
    if text.startswith("https://"):
        return text
    if text.startswith("data:"):
        return _decoded(text.partition(",")[2])
    if text.startswith(("http:", "file:", "gs:", "/", ".", "~")):
        raise BadRequestError("is an https link, a data: address or base64.", "image")
    return _decoded(text)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("is no valid base64.", "image") from None
