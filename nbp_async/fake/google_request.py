"""What a request to Google asks for; fields in camel or in snake case, as its JSON allows."""

from collections.abc import Iterator, Mapping

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.image_spec import (
    ImageSpec,
    Stream,
    canvas,
    check_prompt,
    check_reference,
    invalid,
    missing,
)
from nbp_async.fake.json_fields import either, table
from nbp_async.fake.model_table import FAKE_MODELS, THOUGHT_TOKENS, ServiceTier, fake_model
from nbp_async.fake.pictures import Kind

_TIERS: Mapping[str, ServiceTier] = {
    "standard": "standard",
    "unspecified": "standard",
    "flex": "flex",
    "priority": "priority",
}
_KINDS: Mapping[object, Kind] = {"image/png": "png", "image/jpeg": "jpeg"}


def decode_google(model: str, document: Mapping[str, object], stream: Stream = "") -> ImageSpec:
    """Read the body of `:generateContent`.

    Raises:
        ApiError: The vendor would not take it.
    """
    if model not in FAKE_MODELS:
        words = (
            f"models/{model} is not found for API version v1beta, or is not supported for "
            "generateContent. Call ListModels to see the list of available models and their "
            "supported methods."
        )
        raise ApiError(404, words)
    prompt, references, files = _read_contents(document.get("contents"))
    config = table(either(document, "generationConfig", "generation_config"))
    modalities = either(config, "responseModalities", "response_modalities")
    wanted = {str(name).upper() for name in modalities} if isinstance(modalities, list) else set()
    thinking = table(either(config, "thinkingConfig", "thinking_config"))
    image = table(either(config, "imageConfig", "image_config"))
    size, pixels = _read_canvas(model, image)
    output = table(either(image, "imageOutputOptions", "image_output_options"))
    mime = either(image, "outputMimeType", "output_mime_type") or output.get("mimeType")
    return ImageSpec(
        style="google",
        model=model,
        prompt=prompt,
        size=size,
        pixels=pixels,
        images=0 if wanted == {"TEXT"} else 1,
        references=references,
        files=files,
        kind=_KINDS.get(mime),
        service_tier=_service_tier(either(document, "serviceTier", "service_tier")),
        thinking=_thinking_level(model, thinking),
        shows_thoughts=either(thinking, "includeThoughts", "include_thoughts") is True,
        with_text=wanted != {"IMAGE"},
        stream=stream,
    )


def _read_contents(contents: object) -> tuple[str, int, tuple[str, ...]]:
    """The prompt, how many reference images there are, and the uploaded files among them."""
    if not isinstance(contents, list) or not contents:
        raise missing("contents")
    words: list[str] = []
    references, files = 0, []
    for part in _parts(contents):
        if isinstance(part.get("text"), str):
            words.append(str(part["text"]))
            continue
        inline = either(part, "inlineData", "inline_data")
        file = either(part, "fileData", "file_data")
        if isinstance(inline, dict):
            mime, data = either(inline, "mimeType", "mime_type"), inline.get("data")
            check_reference(mime, data, "contents.parts.inline_data")
        elif isinstance(file, dict):
            files += _uploaded(either(file, "fileUri", "file_uri"))
        else:
            raise invalid("contents.parts", "required oneof field 'data' must have one field set")
        references += 1
    prompt = "\n".join(words)
    if not prompt:
        raise invalid("contents", "a text part is expected")
    check_prompt(prompt)
    return prompt, references, tuple(files)


def _parts(contents: list[object]) -> Iterator[dict[str, object]]:
    for content in contents:
        parts = content.get("parts") if isinstance(content, dict) else None
        if not isinstance(parts, list):
            raise missing("contents.parts")
        for part in parts:
            if not isinstance(part, dict):
                raise invalid("contents.parts", "a part is an object")
            yield part


def _uploaded(uri: object) -> list[str]:
    """The file of Google's that an address names; other addresses are fetched from the web."""
    if not isinstance(uri, str) or not uri:
        raise missing("contents.parts.file_data.file_uri")
    _, own, name = f"/{uri}".rpartition("/files/")
    if own:
        return [f"files/{name}"]
    if not uri.startswith(("https://", "http://", "gs://")):
        raise invalid("contents.parts.file_data.file_uri", f"cannot fetch content from {uri!r}")
    return []


def _read_canvas(model: str, image: Mapping[str, object]) -> tuple[str, tuple[int, int]]:
    size = either(image, "imageSize", "image_size")
    ratio = either(image, "aspectRatio", "aspect_ratio")
    # The vendor ignores a size that it does not know, "4k" in lower case included. What it knows
    # and the model does not draw, it refuses.
    known = size if isinstance(size, str) and size in ("512", "1K", "2K", "4K") else "1K"
    if model == "gemini-2.5-flash-image":
        known = "1K"  # it has no sizes, and takes no notice of them
    return canvas(model, known, str(ratio or "auto"))


def _service_tier(wanted: object) -> ServiceTier:
    name = str(wanted or "standard").lower().removeprefix("service_tier_")
    if name not in _TIERS:
        raise invalid("service_tier", f"{wanted!r} is not one of standard, flex, priority")
    return _TIERS[name]


def _thinking_level(model: str, config: Mapping[str, object]) -> str:
    """How much is thought, or "" for the model's own choice."""
    level, least = either(config, "thinkingLevel", "thinking_level"), fake_model(model).thinks
    if level in (None, "", "THINKING_LEVEL_UNSPECIFIED"):
        return ""
    levels = list(THOUGHT_TOKENS)
    if least is None:
        raise invalid("thinking_level", "thinking level is not supported for this model")
    allowed = levels[levels.index(least) :]
    if str(level).upper() not in allowed:
        raise invalid("thinking_level", f"{level!r} is not one of {', '.join(allowed)}")
    return str(level).upper()
