"""The body of a success, in either API's shape, whole or spoiled as a fault says.

Bodies are lists of pieces: the image text is shared between answers and must not be copied.
"""

import base64
from collections.abc import Callable, Sequence

import msgspec

from nbp_async._http import Usage
from nbp_async.fake.asks import Ask
from nbp_async.fake.faults import Spoil
from nbp_async.fake.pictures import MIME, Picture, draw, other

Pieces = list[bytes]

_IMAGE_TOKENS = {"1K": 1120, "2K": 1120, "4K": 2000}
THOUGHT_TOKENS = 212
_TEXT = "Here is your image."
_TEXT_TOKENS = 6
_SIGNATURE = base64.b64encode(bytes(range(256)) * 2).decode()
_DEEP = b'{"data":' + b"[" * 200_000


class Body(msgspec.Struct, frozen=True):
    """What is sent, in pieces."""

    pieces: Pieces
    type: str = "application/json"

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


def usage_of(ask: Ask, images: int, *, thought: bool = True) -> Usage | None:
    """The tokens of an answer, or None where the API does not count them (relays do not).

    Without `thought` the request was read, and that was all.
    """
    image = images * _IMAGE_TOKENS[ask.tier]
    if ask.voice == "google":
        text = THOUGHT_TOKENS + _TEXT_TOKENS if thought else 0
        return Usage(ask.tokens, image, text, ask.tokens + image + text)
    if ask.model.startswith("gpt-image"):
        return Usage(ask.tokens, image, 0, ask.tokens + image)
    return None


def answer(
    ask: Ask,
    request: str,
    pictures: Sequence[Picture],
    links: Sequence[str],
    *,
    usage: Usage | None,
    fault: Spoil | None,
    created: int,
) -> Body:
    """The body of a success.

    Args:
        ask: What was asked.
        request: The request's id.
        pictures: The images; none for an answer without.
        links: Where they can be fetched, if they are not to be in the answer.
        usage: The tokens it says.
        fault: How its images are spoiled; the rest is for `torn`.
        created: Seconds since 1970.
    """
    tell = _google if ask.voice == "google" else _openai
    return Body(tell(ask, request, pictures, links, usage, fault, created))


def torn(body: Body, fault: Spoil | None) -> Body:
    """The same, unless the fault wants a web page or broken JSON in its place."""
    if fault is not None and fault.what == "html":
        page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
        return Body([page], "text/html; charset=utf-8")
    if fault is not None and fault.what == "json":
        return Body([_broken(b"".join(body.pieces), fault.kind)])
    return body


def _openai(
    ask: Ask, request: str, pictures: Sequence[Picture], links: Sequence[str],
    usage: Usage | None, fault: Spoil | None, created: int,
) -> Pieces:  # fmt: skip
    pieces = [b'{"created":%d,"id":"%b","data":[' % (created, request.encode())]
    if fault is not None and fault.what == "thought":
        pictures = links = ()
    for number, picture in enumerate(pictures):
        comma = b"," if number else b""
        if links:
            pieces.append(comma + msgspec.json.encode({"url": links[number]}))
        else:
            pieces += [comma + b'{"b64_json":"', *text_of(picture, fault), b'"}']
    end = b"]"
    if fault is not None and fault.text:
        end += b',"message":' + msgspec.json.encode(fault.text)
    if usage is not None:
        end += b',"usage":' + msgspec.json.encode(_openai_usage(ask, usage))
    pieces.append(end + b"}")
    return pieces


def _openai_usage(ask: Ask, usage: Usage) -> dict[str, object]:
    words = len(ask.prompt) // 4 + 1
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "text_tokens": words,
            "image_tokens": usage.input_tokens - words,
        },
        "output_tokens": usage.image_tokens,
        "output_tokens_details": {"image_tokens": usage.image_tokens, "text_tokens": 0},
        "total_tokens": usage.total_tokens,
    }


def _google(
    ask: Ask, request: str, pictures: Sequence[Picture], links: Sequence[str],
    usage: Usage | None, fault: Spoil | None, created: int,  # noqa: ARG001
) -> Pieces:  # fmt: skip
    what = fault.what if fault else ""
    assert usage is not None, "this API counts its tokens"
    tail = b',"usageMetadata":%b,"modelVersion":%b,"responseId":"%b"}' % (
        msgspec.json.encode(_google_usage(usage)),
        msgspec.json.encode(ask.model),
        request.encode(),
    )
    if fault is not None and what == "blocked":
        feedback = msgspec.json.encode({"blockReason": fault.kind})
        return [b'{"promptFeedback":' + feedback + tail]
    reason = fault.kind if fault is not None and what == "none" else "STOP"
    pieces = [b'{"candidates":[{"content":{"role":"model","parts":[']
    words = fault.text if fault is not None and what == "none" else _TEXT
    text = "\n".join([words, *links] if links else [words])
    parts: list[Pieces] = [[b'{"text":' + msgspec.json.encode(text) + b"}"]] if text else []
    if not links:
        parts += [_inline(picture, fault) for picture in pictures]
    for number, part in enumerate(parts):
        pieces += [b",", *part] if number else part
    finish = msgspec.json.encode(reason)
    pieces.append(b']},"finishReason":' + finish + b',"index":0}]' + tail)
    return pieces


def _inline(picture: Picture, fault: Spoil | None) -> Pieces:
    mime = MIME[picture.kind]
    if fault is not None and fault.what == "image" and fault.kind == "mislabelled":
        mime = MIME[other(picture.kind)]
    signature, thought = _SIGNATURE, b""
    if fault is not None and fault.what == "signature":
        signature = "A" * (fault.count // 4 * 4)
    if fault is not None and fault.what == "thought":
        thought = b',"thought":true'
    return [
        b'{"inlineData":{"mimeType":"%b","data":"' % mime.encode(),
        *text_of(picture, fault),
        b'"}%b,"thoughtSignature":"%b"}' % (thought, signature.encode()),
    ]


def _google_usage(usage: Usage) -> dict[str, object]:
    output: list[dict[str, object]] = []
    if usage.image_tokens:
        output.append({"modality": "IMAGE", "tokenCount": usage.image_tokens})
    thoughts = min(THOUGHT_TOKENS, usage.text_tokens)
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.image_tokens + usage.text_tokens - thoughts,
        "totalTokenCount": usage.total_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input_tokens}],
        "candidatesTokensDetails": output,
        "thoughtsTokenCount": thoughts,
    }


def text_of(picture: Picture, fault: Spoil | None) -> Sequence[bytes]:
    """An image as base64, in pieces; spoiled if so ordered."""
    if fault is not None and fault.what == "image":
        return [base64.b64encode(spoiled(picture, fault.kind))]
    if fault is not None and fault.what == "base64":
        return [_SPOILED_TEXT[fault.kind](b"".join(picture.base64()), picture)]
    return picture.base64()


def spoiled(picture: Picture, kind: str) -> bytes:
    """The bytes of an image that is none, of the kinds of `faults.bad_image`."""
    data = picture.data()
    if kind == "text":
        return b"upstream error: the image could not be rendered, please contact support\n"
    if kind == "empty":
        return b""
    if kind == "tiny":
        return draw(bytes(16), 1, 1, picture.kind).data()
    if kind == "huge":
        at = 16 if picture.kind == "png" else data.index(b"\xff\xc0") + 5
        huge = b"\0\0\xff\xff\0\0\xff\xff" if picture.kind == "png" else b"\xff\xff\xff\xff"
        return data[:at] + huge + data[at + len(huge) :]
    if kind == "truncated":
        return data[: len(data) * 6 // 10]
    return data


_SPOILED_TEXT: dict[str, Callable[[bytes, Picture], bytes]] = {
    "junk": lambda text, _: text[: len(text) // 2] + b"!*" + text[len(text) // 2 + 2 :],
    "nopad": lambda text, _: text.rstrip(b"="),
    "overpad": lambda text, _: text.rstrip(b"=") + b"====",
    "newlines": lambda text, _: b"\\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
    "data-uri": lambda text, picture: f"data:{MIME[picture.kind]};base64,".encode() + text,
    "urlsafe": lambda text, _: text.replace(b"+", b"-").replace(b"/", b"_"),
}


def _broken(body: bytes, kind: str) -> bytes:
    """A body that is no JSON, or none that a careless reader survives."""
    if kind == "empty":
        return b""
    if kind == "deep":
        return _DEEP
    if kind == "garbage":
        return b"upstream connect error or disconnect/reset before headers"
    if kind == "digits":
        return body[:-1] + b',"x":' + b"9" * 5000 + b"}"
    if kind == "utf8":
        return body[:-1] + b',"x":"\xff\xfe"}'
    return body[: len(body) * 9 // 10]
