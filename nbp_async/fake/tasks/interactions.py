"""The body of Google's interactions: an input that nests as it likes is no matter for a table."""

from collections.abc import Iterator, Mapping

import msgspec

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.google_request import decode_google
from nbp_async.fake.image_spec import ImageSpec, check_count

_DEEPEST = 8  # a list of steps with lists of content


def decode_interaction(document: Mapping[str, object]) -> ImageSpec:
    """The images that an interaction asks for.

    Raises:
        ApiError: The vendor would not take it.
    """
    if document.get("background") is not True:
        raise ApiError(400, "This server makes images in the background only.")
    wanted = _image_format(document.get("response_format"))
    config = {"imageSize": wanted.get("image_size"), "aspectRatio": wanted.get("aspect_ratio")}
    spec = decode_google(
        str(document.get("model") or ""),
        {
            "contents": [{"parts": list(_parts(document.get("input")))}],
            "generationConfig": {"imageConfig": config},
        },
    )
    check_count(spec)
    link = {"uri": True, "inline": False}.get(str(wanted.get("delivery")))
    return msgspec.structs.replace(spec, link=link)


def _image_format(wanted: object) -> Mapping[str, object]:
    """The format of images, alone or among others."""
    formats = wanted if isinstance(wanted, list) else [wanted]
    images = (f for f in formats if isinstance(f, dict) and f.get("type") == "image")
    return next(images, {})


def _parts(given: object, depth: int = 0) -> Iterator[dict[str, object]]:
    """The parts that `generateContent` would take for this input: a text, a content, or several.

    Raises:
        ApiError: It is nested without end.
    """
    if depth > _DEEPEST:
        raise ApiError(400, "The input is nested too deep.")
    if isinstance(given, str):
        yield {"text": given}
    elif isinstance(given, list):
        for item in given:
            yield from _parts(item, depth + 1)
    elif isinstance(given, dict):
        if isinstance(given.get("content"), list | str):
            yield from _parts(given["content"], depth + 1)
        elif given.get("type") == "text":
            yield {"text": given.get("text")}
        elif "data" in given:
            yield {"inlineData": {"mimeType": given.get("mime_type"), "data": given["data"]}}
        elif "uri" in given:
            yield {"fileData": {"fileUri": given["uri"]}}
