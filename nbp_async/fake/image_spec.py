"""The images that a request asks for, and the checks that the vendors share."""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from nbp_async.fake.api_errors import ApiError, ApiStyle
from nbp_async.fake.json_fields import whole_number
from nbp_async.fake.model_table import (
    FAKE_MODELS,
    Pixels,
    ServiceTier,
    TokenCount,
    fake_model,
)
from nbp_async.fake.pictures import Kind

Stream = Literal["", "sse", "array"]
"""How an answer comes in pieces: not, as events, or as items of a JSON array."""
ChatForm = Literal["", "images", "text"]
"""Where a chat has its images: beside its text, or within it; "" where it is no chat."""

_QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max")
_MOST_PROMPT = 32_000  # characters
_MOST_IMAGES = 10
_REFERENCE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_INPUT_TOKENS_OF_IMAGE = 560
_TEXT_TOKENS = 6
_TOKENS_OF_DRAFT = 100
_MOST_DRAFTS = 3
_BASE64 = re.compile(r"[\w+/-]+={0,2}", re.ASCII)  # either alphabet, padded or not


class ImageSpec(msgspec.Struct, frozen=True):
    """What one paid call asks for.

    Attributes:
        style: Whose API was spoken.
        model: The model's name as the request has it.
        prompt: The text.
        size: "512", "1K", "2K" or "4K"; price and time follow from it.
        pixels: Width and height of each image.
        images: How many.
        references: How many reference images came with it.
        link: The answer holds links instead of the images; None if the request does not say.
        kind: The file format, if the request says it.
        quality: "low" to "max", or "auto".
        service_tier: How urgent it is.
        thinking: How much the model thinks, or "" for its own choice.
        shows_thoughts: The answer holds the thoughts as well.
        with_text: The answer may hold text beside the images.
        files: Uploaded files that it refers to.
        stream: How the answer comes in pieces, or "".
        drafts: How many drafts of its image a stream shows first.
        chat: Where its images go, if it was asked in a chat.
    """

    style: ApiStyle
    model: str
    prompt: str
    size: str
    pixels: Pixels
    images: int = 1
    references: int = 0
    link: bool | None = None
    kind: Kind | None = None
    quality: str = "auto"
    service_tier: ServiceTier = "standard"
    thinking: str = ""
    shows_thoughts: bool = False
    with_text: bool = True
    files: tuple[str, ...] = ()
    stream: Stream = ""
    chat: ChatForm = ""
    drafts: int = 0

    def count_tokens(self, images: int, *, answered: bool = True) -> TokenCount | None:
        """The tokens of an answer with so many images.

        None where nobody counts: the images API of a relay.

        Unless it is `answered`, only the request was read.
        """
        model = fake_model(self.model)
        counts_text = self.style == "google" or bool(self.chat)
        if not counts_text and not self.model.startswith("gpt-image"):
            return None
        return TokenCount(
            prompt=len(self.prompt) // 4 + 1,
            references=self.references * _INPUT_TOKENS_OF_IMAGE,
            image=images * model.image_tokens(self.size, self.quality)
            + (self.drafts * _TOKENS_OF_DRAFT if images else 0),
            text=_TEXT_TOKENS if counts_text and answered and self.with_text else 0,
            thoughts=model.thought_tokens(self.thinking) if counts_text and answered else 0,
        )


def decode(body: bytes) -> dict[str, object]:
    """The JSON object in `body`.

    Raises:
        ApiError: It is not JSON, or not an object.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise ApiError(400, f"We could not parse the JSON body of your request: {exc}") from None
    if not isinstance(document, dict):
        raise ApiError(400, "The body of the request must be a JSON object.")
    return document


def decode_openai(fields: Mapping[str, object], references: int = 0) -> ImageSpec:
    """Read the fields of `/v1/images/generations` or `/v1/images/edits`.

    Raises:
        ApiError: The vendor would not take it.
    """
    named, prompt = _text(fields, "model", "gpt-image-2"), _text(fields, "prompt", "")
    model, named_size = split_model(named)
    check_model(model)
    if not prompt:
        raise missing("prompt")
    check_prompt(prompt)
    images = _read_count(fields)
    wanted = fields.get("response_format")
    if wanted is not None and model.startswith("gpt-image"):
        words = "Unknown parameter: 'response_format'."
        raise ApiError(400, words, code="unknown_parameter", param="response_format")
    if wanted not in (None, "url", "b64_json"):
        raise invalid("response_format", "supported values are 'url' and 'b64_json'")
    tier, pixels = _read_canvas(fields, model, named_size)
    link = None if wanted is None else wanted == "url"
    quality = _text(fields, "quality", "auto")
    if model.startswith("gpt-image") and quality not in _QUALITIES:
        raise invalid("quality", f"{quality!r} is not one of {', '.join(_QUALITIES)}")
    streams = _number(fields, "stream", 1) == 1
    return ImageSpec(
        "openai",
        model,
        prompt,
        tier,
        pixels,
        images,
        references,
        link,
        _read_kind(fields),
        quality,
        stream="sse" if streams else "",
        drafts=_number(fields, "partial_images", _MOST_DRAFTS) if streams else 0,
    )


def split_model(name: str) -> tuple[str, str]:
    """A model, and the size that its name has: relays sell `nano-banana-pro-4k`, or put the
    provider before it, as in `gemini/gemini-3-pro-image`."""
    model = name.rpartition("/")[2]
    base, _, size = model.rpartition("-")
    if model not in FAKE_MODELS and base in FAKE_MODELS and size.upper() in ("1K", "2K", "4K"):
        return base, size.upper()
    return model, ""


def _read_canvas(fields: Mapping[str, object], model: str, named: str) -> tuple[str, Pixels]:
    """Size and pixels; relays take a ratio as the size, too. `named` is the size in the model."""
    size, ratio = _text(fields, "size", "auto"), _text(fields, "aspect_ratio", "auto")
    if re.fullmatch(r"\d+:\d+", size):
        size, ratio = "auto", size
    if size == "auto":
        size = named or _text(fields, "image_size", "1K")
    return canvas(model, size, ratio)


def _read_kind(fields: Mapping[str, object]) -> Kind | None:
    kind = fields.get("output_format")
    if kind not in (None, "png", "jpeg"):
        raise invalid("output_format", "this server draws 'png' and 'jpeg'")
    return kind


def _read_count(fields: Mapping[str, object]) -> int:
    images = fields.get("n", 1)
    if not isinstance(images, int) or isinstance(images, bool) or not 1 <= images <= _MOST_IMAGES:
        raise invalid("n", f"{images!r} is not an integer from 1 to {_MOST_IMAGES}")
    return images


def _number(fields: Mapping[str, object], name: str, most: int) -> int:
    """A small number or a truth, as JSON or the text of a form has it; 0 if it is not there."""
    value = fields.get(name)
    number: object = 0 if value is None else value
    if isinstance(number, str):
        number = {"true": 1, "false": 0}.get(number, whole_number(number))
    if not isinstance(number, int) or not 0 <= number <= most:
        raise invalid(name, f"{value!r} is not from 0 to {most}")
    return number


def count_references(fields: Mapping[str, object]) -> int:
    """How many images the JSON form of an edit holds.

    Raises:
        ApiError: There are none, or one is not an image.
    """
    images = fields.get("images")
    if not isinstance(images, list) or not images:
        raise missing("images")
    for number, image in enumerate(images):
        where = f"images[{number}]"
        address = image.get("image_url") if isinstance(image, dict) else None
        if isinstance(image, dict) and isinstance(image.get("file_id"), str):
            continue
        if not isinstance(address, str):
            raise invalid(where, "an image_url or a file_id is expected")
        if address.startswith("data:"):
            mime, _, data = address[5:].partition(";base64,")
            check_reference(mime, data, where)
        elif not address.startswith(("http://", "https://")):
            raise invalid(where, "the image_url is not a URL")
    return len(images)


def canvas(model: str, size: str, ratio: str) -> tuple[str, Pixels]:
    """Size and pixels of a size and ratio; "auto" is the vendor's choice."""
    pixels = re.fullmatch(r"(\d{2,5})[x×](\d{2,5})", size)
    known = fake_model(model)
    if pixels is None:
        by_ratio = known.size(size)
        if not by_ratio:
            sizes = ", ".join(known.per_image)
            raise invalid("size", f"{size!r} is not one of {sizes}, or WIDTHxHEIGHT")
        ratio = "1:1" if ratio == "auto" else ratio
        if ratio not in by_ratio:
            raise invalid("aspect_ratio", f"{ratio!r} is not one of {', '.join(by_ratio)}")
        return size, by_ratio[ratio]
    wanted = int(pixels[1]), int(pixels[2])
    if model.startswith("gpt-image"):
        return _free_canvas(wanted)
    for tier in known.per_image:
        if wanted in known.size(tier).values():
            return tier, wanted
    raise invalid("size", f"{size} is not a size of {model}")


def _free_canvas(wanted: Pixels) -> tuple[str, Pixels]:
    """A model without a table: sides divisible by 16, no longer than 3:1, up to 3840x2160."""
    width, height = wanted
    if width % 16 or height % 16 or max(wanted) > 3 * min(wanted) or width * height > 3840 * 2160:
        raise invalid("size", f"{width}x{height}: sides divisible by 16, up to 3840x2160 and 3:1")
    area = width * height
    tier: Literal["1K", "2K", "4K"] = "1K" if area <= 1600**2 else "2K" if area <= 2560**2 else "4K"
    return tier, wanted


def check_model(model: str) -> None:
    """Refuse a model that is not there.

    Raises:
        ApiError: It is not.
    """
    if model not in FAKE_MODELS and not model.startswith("gpt-image"):
        words = f"The model '{model}' does not exist or you do not have access to it."
        raise ApiError(404, words, code="model_not_found", param="model")


def check_prompt(prompt: str) -> None:
    if len(prompt) > _MOST_PROMPT:
        raise invalid("prompt", f"{len(prompt)} characters are more than {_MOST_PROMPT}")


def check_reference(mime: object, data: object, where: str) -> None:
    if mime not in _REFERENCE_TYPES:
        raise invalid(where, f"unsupported MIME type: {mime!r}")
    if not isinstance(data, str) or not _BASE64.fullmatch(data) or len(data.rstrip("=")) % 4 == 1:
        raise invalid(where, "Base64 decoding failed")


def check_count(spec: ImageSpec) -> None:
    """Refuse more reference images than the model takes.

    Raises:
        ApiError: There are too many.
    """
    most = fake_model(spec.model).references
    if spec.references > most:
        words = f"{spec.references} images are more than the {most} that {spec.model} takes"
        raise invalid("image", words)


def _text(fields: Mapping[str, object], name: str, default: str) -> str:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid(name, f"expected a string, got {type(value).__name__}")
    return value


def missing(name: str) -> ApiError:
    words = f"Missing required parameter: '{name}'."
    return ApiError(400, words, code="missing_required_parameter", param=name)


def invalid(name: str, why: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{name}': {why}.", code="invalid_value", param=name)
