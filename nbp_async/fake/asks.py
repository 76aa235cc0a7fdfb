"""What a request asks for, read from either API and checked as the vendors check it."""

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from nbp_async._pixels import PRO, ModelSizes, Pixels, model_sizes
from nbp_async.fake.pictures import Kind
from nbp_async.fake.refusals import RefusalError, Voice

MODELS = (
    "nano-banana-pro",
    "gemini-3-pro-image",
    "gemini-3-pro-image-preview",
    "gemini-3.1-flash-image",
    "gemini-2.5-flash-image",
    "nano-banana",
    "gpt-image-2",
)
_MOST_PROMPT = 32_000  # characters
_MOST_IMAGES = 10
_REFERENCE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
_INPUT_TOKENS_OF_IMAGE = 560


class Ask(msgspec.Struct, frozen=True):
    """One paid call.

    Attributes:
        voice: Whose API was spoken.
        model: The model's name as it was asked.
        prompt: The text.
        tier: "1K", "2K" or "4K": what it costs and how long it takes.
        pixels: Width and height of each image.
        images: How many.
        references: How many images came with it.
        link: The answer is to hold links instead of the images themselves; None: not said.
        kind: The file format that was asked, or None.
    """

    voice: Voice
    model: str
    prompt: str
    tier: str
    pixels: Pixels
    images: int = 1
    references: int = 0
    link: bool | None = None
    kind: Kind | None = None

    @property
    def tokens(self) -> int:
        """What the input counts as."""
        return len(self.prompt) // 4 + 1 + self.references * _INPUT_TOKENS_OF_IMAGE


def decode(body: bytes) -> dict[str, object]:
    """The JSON object in `body`.

    Raises:
        RefusalError: It is no JSON, or no object.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise RefusalError(
            400, f"We could not parse the JSON body of your request: {exc}"
        ) from None
    if not isinstance(document, dict):
        raise RefusalError(400, "The body of the request must be a JSON object.")
    return document


def read_openai(fields: Mapping[str, object], references: int = 0) -> Ask:
    """Read the fields of `/v1/images/generations` or `/v1/images/edits`.

    Raises:
        RefusalError: The vendor would not take it.
    """
    model, prompt = _text(fields, "model", "gpt-image-2"), _text(fields, "prompt", "")
    _check_model(model)
    if not prompt:
        raise _missing("prompt")
    _check_prompt(prompt)
    images = fields.get("n", 1)
    if not isinstance(images, int) or isinstance(images, bool) or not 1 <= images <= _MOST_IMAGES:
        raise _invalid("n", f"{images!r} is not an integer from 1 to {_MOST_IMAGES}")
    wanted = fields.get("response_format")
    if wanted is not None and model.startswith("gpt-image"):
        words = "Unknown parameter: 'response_format'."
        raise RefusalError(400, words, code="unknown_parameter", param="response_format")
    if wanted not in (None, "url", "b64_json"):
        raise _invalid("response_format", "supported values are 'url' and 'b64_json'")
    kind = fields.get("output_format")
    if kind not in (None, "png", "jpeg"):
        raise _invalid("output_format", "this server draws 'png' and 'jpeg'")
    size = _text(fields, "size", "auto")
    tier, pixels = _canvas(
        model, size if size != "auto" else _text(fields, "image_size", "1K"),
        _text(fields, "aspect_ratio", "auto"),
    )  # fmt: skip
    link = None if wanted is None else wanted == "url"
    return Ask("openai", model, prompt, tier, pixels, images, references, link, kind)


def read_references(fields: Mapping[str, object]) -> int:
    """How many images the JSON form of an edit brings.

    Raises:
        RefusalError: None, too many, or one that is no image.
    """
    images = fields.get("images")
    if not isinstance(images, list) or not images:
        raise _missing("images")
    for number, image in enumerate(images):
        where = f"images[{number}]"
        address = image.get("image_url") if isinstance(image, dict) else None
        if isinstance(image, dict) and isinstance(image.get("file_id"), str):
            continue
        if not isinstance(address, str):
            raise _invalid(where, "an image_url or a file_id is expected")
        if address.startswith("data:"):
            mime, _, data = address[5:].partition(";base64,")
            _check_reference(mime, data, where)
        elif not address.startswith(("http://", "https://")):
            raise _invalid(where, "the image_url is no address")
    return len(images)


def read_google(model: str, document: Mapping[str, object]) -> Ask:
    """Read the body of `:generateContent`; fields in camel or in snake case.

    Raises:
        RefusalError: The vendor would not take it.
    """
    _check_model(model)
    words: list[str] = []
    references = 0
    contents = document.get("contents")
    if not isinstance(contents, list) or not contents:
        raise _missing("contents")
    for part in _parts(contents):
        if isinstance(part.get("text"), str):
            words.append(str(part["text"]))
            continue
        inline = _either(part, "inlineData", "inline_data")
        if isinstance(inline, dict):
            mime, data = _either(inline, "mimeType", "mime_type"), inline.get("data")
            _check_reference(mime, data, "contents.parts.inline_data")
        elif not isinstance(_either(part, "fileData", "file_data"), dict):
            raise _invalid("contents.parts", "required oneof field 'data' must have one field set")
        references += 1
    prompt = "\n".join(words)
    if not prompt:
        raise _invalid("contents", "a text part is expected")
    _check_prompt(prompt)
    config = _either(document, "generationConfig", "generation_config")
    image = _either(config, "imageConfig", "image_config") if isinstance(config, dict) else None
    image = image if isinstance(image, dict) else {}
    size, ratio = (
        _either(image, "imageSize", "image_size"),
        _either(image, "aspectRatio", "aspect_ratio"),
    )
    # The vendor takes no notice of a size that it does not know, lower case included.
    size = size if isinstance(size, str) and size in _sizes(model).pixels else "1K"
    tier, pixels = _canvas(model, str(size), str(ratio or "auto"))
    return Ask("google", model, prompt, tier, pixels, references=references)


def _parts(contents: Iterable[object]) -> Iterable[dict[str, object]]:
    for content in contents:
        parts = content.get("parts") if isinstance(content, dict) else None
        if not isinstance(parts, list):
            raise _missing("contents.parts")
        for part in parts:
            if not isinstance(part, dict):
                raise _invalid("contents.parts", "a part is an object")
            yield part


def _sizes(model: str) -> ModelSizes:
    return model_sizes(model) or PRO


def _canvas(model: str, size: str, ratio: str) -> tuple[str, Pixels]:
    """Tier and pixels of what was asked, "auto" being the vendor's own choice."""
    pixels = re.fullmatch(r"(\d{2,5})[x×](\d{2,5})", size)
    table = _sizes(model).pixels
    if pixels is None:
        if size not in table:
            raise _invalid("size", f"{size!r} is none of {', '.join(table)}, or WIDTHxHEIGHT")
        ratio = "1:1" if ratio == "auto" else ratio
        if ratio not in table[size]:
            raise _invalid("aspect_ratio", f"{ratio!r} is none of {', '.join(table[size])}")
        return size, table[size][ratio]
    wanted = int(pixels[1]), int(pixels[2])
    if model.startswith("gpt-image"):
        return _free_canvas(wanted)
    for tier, by_ratio in table.items():
        if wanted in by_ratio.values():
            return tier, wanted
    raise _invalid("size", f"{size} is not a size that {model} draws")


def _free_canvas(wanted: Pixels) -> tuple[str, Pixels]:
    """A model without a table: sides divisible by 16, no longer than 3:1, up to 3840x2160."""
    width, height = wanted
    if width % 16 or height % 16 or max(wanted) > 3 * min(wanted) or width * height > 3840 * 2160:
        raise _invalid("size", f"{width}x{height}: sides divisible by 16, up to 3840x2160 and 3:1")
    area = width * height
    tier: Literal["1K", "2K", "4K"] = "1K" if area <= 1600**2 else "2K" if area <= 2560**2 else "4K"
    return tier, wanted


def _check_model(model: str) -> None:
    if model_sizes(model) is None and model not in MODELS and not model.startswith("gpt-image"):
        words = f"The model '{model}' does not exist or you do not have access to it."
        raise RefusalError(404, words, code="model_not_found", param="model")


def _check_prompt(prompt: str) -> None:
    if len(prompt) > _MOST_PROMPT:
        raise _invalid("prompt", f"{len(prompt)} characters are more than {_MOST_PROMPT}")


def _check_reference(mime: object, data: object, where: str) -> None:
    if mime not in _REFERENCE_TYPES:
        raise _invalid(where, f"unsupported MIME type: {mime!r}")
    try:
        whole = isinstance(data, str) and base64.b64decode(data, validate=True)
    except ValueError:
        whole = False
    if not whole:
        raise _invalid(where, "Base64 decoding failed")


def check_count(ask: Ask) -> None:
    """Refuse more references than the model takes.

    Raises:
        RefusalError: So many.
    """
    most = _sizes(ask.model).max_references
    if ask.references > most:
        words = f"{ask.references} images are more than the {most} that {ask.model} takes"
        raise _invalid("image", words)


def _text(fields: Mapping[str, object], name: str, default: str) -> str:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _invalid(name, f"expected a string, got {type(value).__name__}")
    return value


def _either(fields: Mapping[str, object], *names: str) -> object:
    return next((fields[name] for name in names if name in fields), None)


def _missing(name: str) -> RefusalError:
    words = f"Missing required parameter: '{name}'."
    return RefusalError(400, words, code="missing_required_parameter", param=name)


def _invalid(name: str, why: str) -> RefusalError:
    return RefusalError(
        400, f"Invalid value for '{name}': {why}.", code="invalid_value", param=name
    )
