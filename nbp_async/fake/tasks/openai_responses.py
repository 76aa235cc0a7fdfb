"""The body of OpenAI's responses: an image comes out where the image tool is among the tools."""

from collections.abc import Mapping

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.image_spec import (
    ImageSpec,
    check_count,
    check_reference,
    decode_openai,
    invalid,
    missing,
)
from nbp_async.fake.json_fields import table

_FOR_THE_IMAGE = ("model", "size", "quality", "output_format")


def decode_response(document: Mapping[str, object]) -> ImageSpec:
    """The image that a response asks for. Its own model only leads to the tool, and costs nothing.

    Raises:
        ApiError: The vendor would not take it.
    """
    if not isinstance(document.get("model"), str) or not document["model"]:
        raise missing("model")
    if document.get("stream"):
        raise ApiError(400, "This server does not stream responses.", param="stream")
    tools = document.get("tools")
    given = map(table, tools if isinstance(tools, list) else ())
    tool = next((one for one in given if one.get("type") == "image_generation"), None)
    if tool is None:
        raise invalid("tools", "this server makes images: it needs an image_generation tool")
    prompt, references = _read_input(document.get("input"))
    fields = {name: tool[name] for name in _FOR_THE_IMAGE if tool.get(name) is not None}
    spec = decode_openai({"model": "gpt-image-2", **fields, "prompt": prompt}, references)
    if not spec.model.startswith("gpt-image"):
        raise invalid("tools[0].model", f"{spec.model!r} is not a model of this tool")
    check_count(spec)
    return spec


def _read_input(given: object) -> tuple[str, int]:
    """The text of the last message, and how many images are in all of them."""
    if isinstance(given, str):
        return given, 0
    if not isinstance(given, list) or not given:
        raise missing("input")
    prompt, references = "", 0
    for number, item in enumerate(map(table, given)):
        where = f"input[{number}]"
        if item.get("type") == "image_generation_call":  # an image that was made before
            references += 1
            continue
        content = item.get("content")
        parts = content if isinstance(content, list) else [{"type": "input_text", "text": content}]
        texts: list[str] = []
        for part in map(table, parts):
            if part.get("type") == "input_image":
                _check_image(part, where)
                references += 1
            elif isinstance(part.get("text"), str):
                texts.append(str(part["text"]))
            else:
                raise invalid(where, "a text or an image is expected")
        prompt = "\n".join(texts) or prompt
    return prompt, references


def _check_image(part: Mapping[str, object], where: str) -> None:
    address = part.get("image_url")
    if isinstance(part.get("file_id"), str):
        return
    if isinstance(address, str) and address.startswith("data:"):
        mime, _, data = address[5:].partition(";base64,")
        check_reference(mime, data, where)
    elif not isinstance(address, str) or not address.startswith(("http://", "https://")):
        raise invalid(where, "the image_url is not a URL")
