"""Images in a chat: what `/v1/chat/completions` is asked, and the body of its success.

Who asks for images among the modalities gets them beside the text of the message, as OpenRouter
writes them; who does not finds them within the text as Markdown, as other relays do.
"""

from collections.abc import Mapping, Sequence

import msgspec

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.faults import BadPayload
from nbp_async.fake.image_spec import (
    ChatForm,
    ImageSpec,
    canvas,
    check_model,
    check_prompt,
    check_reference,
    invalid,
    missing,
)
from nbp_async.fake.json_fields import table
from nbp_async.fake.model_table import TokenCount
from nbp_async.fake.payloads import Payload, Pieces, base64_pieces
from nbp_async.fake.pictures import MIME, DrawnImage

CHAT = "/v1/chat/completions"
_TEXT = "Here is your image."


def decode_chat(fields: Mapping[str, object]) -> ImageSpec:
    """Read the body of a chat: its last message is the prompt.

    Raises:
        ApiError: The vendor would not take it.
    """
    # OpenRouter puts the maker before the model's name.
    model = str(fields.get("model") or "").removeprefix("google/").removeprefix("openai/")
    check_model(model)
    if fields.get("stream"):
        raise ApiError(400, "This server does not stream a chat.", param="stream")
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise missing("messages")
    prompt, references = _read_content(table(messages[-1]).get("content"))
    config = table(fields.get("image_config"))
    size, pixels = canvas(
        model,
        str(config.get("image_size") or "1K"),
        str(config.get("aspect_ratio") or "auto"),
    )
    modalities = fields.get("modalities")
    asks = isinstance(modalities, list) and "image" in modalities
    form: ChatForm = "images" if asks else "text"
    return ImageSpec("openai", model, prompt, size, pixels, references=references, chat=form)


def _read_content(content: object) -> tuple[str, int]:
    """The text of a message, and how many images are in it."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    words: list[str] = []
    references = 0
    for number, part in enumerate(map(table, parts)):
        where = f"messages[-1].content[{number}]"
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            words.append(str(part["text"]))
            continue
        address = table(part.get("image_url")).get("url")
        if part.get("type") != "image_url" or not isinstance(address, str):
            raise invalid(where, "a text or an image_url is expected")
        if address.startswith("data:"):
            mime, _, data = address[5:].partition(";base64,")
            check_reference(mime, data, where)
        elif not address.startswith(("http://", "https://")):
            raise invalid(where, "the image_url is not a URL")
        references += 1
    prompt = "\n".join(words)
    if not prompt:
        raise missing("messages")
    check_prompt(prompt)
    return prompt, references


def chat_payload(
    spec: ImageSpec,
    request: str,
    pictures: Sequence[DrawnImage],
    links: Sequence[str],
    *,
    tokens: TokenCount | None,
    fault: BadPayload | None,
    created: int,
) -> Payload:
    """The body of a chat's success.

    Args:
        spec: What was asked.
        request: The request's id.
        pictures: The images; none for an answer without.
        links: Their links, if the answer does not hold the images themselves.
        tokens: What it reports.
        fault: What is wrong with it.
        created: Seconds since 1970.
    """
    words, finish, native = _said(fault)
    about: dict[str, object] = {
        "id": request,
        "object": "chat.completion",
        "created": created,
        "model": spec.model,
        "usage": None if tokens is None else _usage(tokens),
    }
    reasons = {"index": 0, "finish_reason": finish, "native_finish_reason": native}
    head = msgspec.json.encode(about)[:-1] + b',"choices":[' + msgspec.json.encode(reasons)[:-1]
    addresses: list[Pieces] = [[link.encode()] for link in links]
    if not links:
        addresses = [_data_address(picture, fault) for picture in pictures]
    if fault is not None and fault.what == "thought":
        addresses = []
    write = _beside if spec.chat == "images" else _within
    return Payload([head + b',"message":', *write(words, addresses), b"}]}"])


def _said(fault: BadPayload | None) -> tuple[str, str, str]:
    """The text of an answer, and why it ends: in the vendor's word and in its maker's."""
    if fault is not None and fault.what == "none":
        return fault.text, "stop", fault.kind
    if fault is not None and fault.what == "blocked":
        return "", "content_filter", fault.kind
    return _TEXT, "stop", "STOP"


def _beside(words: str, addresses: list[Pieces]) -> Pieces:
    """A message with its images beside its text."""
    message = [b'{"role":"assistant","content":' + msgspec.json.encode(words), b',"images":[']
    for number, address in enumerate(addresses):
        begin = b',{"type":"image_url","image_url":{"url":"'
        message += [begin[0 if number else 1 :], *address, b'"}}']
    return [*message, b"]}"]


def _within(words: str, addresses: list[Pieces]) -> Pieces:
    """A message with its images within its text."""
    message = [b'{"role":"assistant","content":' + msgspec.json.encode(words)[:-1]]
    for address in addresses:
        message += [b"\\n![image](", *address, b")"]
    return [*message, b'"}']


def _data_address(picture: DrawnImage, fault: BadPayload | None) -> Pieces:
    pieces = list(base64_pieces(picture, fault))
    if fault is not None and (fault.what, fault.kind) == ("base64", "data-uri"):
        return pieces  # it has that already
    return [f"data:{MIME[picture.kind]};base64,".encode(), *pieces]


def _usage(tokens: TokenCount) -> dict[str, object]:
    """Tokens as a chat counts them: thoughts are part of what came out."""
    output = tokens.output + tokens.thoughts
    return {
        "prompt_tokens": tokens.input,
        "prompt_tokens_details": {"image_tokens": tokens.references},
        "completion_tokens": output,
        "completion_tokens_details": {
            "image_tokens": tokens.image,
            "reasoning_tokens": tokens.thoughts,
        },
        "total_tokens": tokens.input + output,
    }
