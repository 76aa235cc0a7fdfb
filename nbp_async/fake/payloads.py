"""The body of the images API's success, and what damages a body of any API.

Bodies are lists of pieces: answers share an image's base64, and it must not be copied.
"""

import base64
from collections.abc import Callable, Sequence

import msgspec

from nbp_async.fake.faults import BadPayload
from nbp_async.fake.model_table import TokenCount
from nbp_async.fake.pictures import MIME, DrawnImage, draw

Pieces = list[bytes]

_DEEP = b'{"data":' + b"[" * 200_000


class Payload(msgspec.Struct, frozen=True):
    """A body in pieces, and its content type."""

    pieces: Pieces
    type: str = "application/json"

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))


def image_payload(
    request: str,
    pictures: Sequence[DrawnImage],
    links: Sequence[str],
    *,
    tokens: TokenCount | None,
    fault: BadPayload | None,
    created: int,
) -> Payload:
    """The body of the images API's success.

    Args:
        request: The request's id.
        pictures: The images; none for an answer without.
        links: Their links, if the answer does not hold the images themselves.
        tokens: What it reports.
        fault: What is wrong with its images; `corrupt_payload` does the rest.
        created: Seconds since 1970.
    """
    if fault is not None and fault.what == "foreign":
        return _as_google(pictures, links)
    pieces = [b'{"created":%d,"id":"%b","data":[' % (created, request.encode())]
    if fault is not None and fault.what == "thought":
        pictures = links = ()
    for number, picture in enumerate(pictures):
        comma = b"," if number else b""
        if links:
            pieces.append(comma + msgspec.json.encode({"url": links[number]}))
        else:
            pieces += [comma + b'{"b64_json":"', *base64_pieces(picture, fault), b'"}']
    end = b"]"
    if fault is not None and fault.text:
        end += b',"message":' + msgspec.json.encode(fault.text)
    if tokens is not None:
        end += b',"usage":' + msgspec.json.encode(openai_usage(tokens))
    pieces.append(end + b"}")
    return Payload(pieces)


def _as_google(pictures: Sequence[DrawnImage], links: Sequence[str]) -> Payload:
    """The same images as Google's API would send them."""
    parts: list[Pieces] = [
        [b'{"fileData":{"fileUri":', msgspec.json.encode(u), b"}}"] for u in links
    ]
    for picture in () if links else pictures:
        head = b'{"inlineData":{"mimeType":"%b","data":"' % MIME[picture.kind].encode()
        parts.append([head, *picture.base64(), b'"}}'])
    pieces = [b'{"candidates":[{"content":{"role":"model","parts":[']
    for number, part in enumerate(parts):
        pieces += [b"," * bool(number), *part]
    return Payload([*pieces, b']},"finishReason":"STOP"}]}'])


def corrupt_payload(body: Payload, fault: BadPayload | None) -> Payload:
    """The same body; or a web page or broken JSON, if the fault says so."""
    if fault is not None and fault.what == "html":
        page = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
        return Payload([page], "text/html; charset=utf-8")
    if fault is not None and fault.what == "json":
        return Payload([_broken(b"".join(body.pieces), fault.kind)])
    return body


def openai_usage(tokens: TokenCount) -> dict[str, object]:
    """Tokens as OpenAI writes them."""
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"text_tokens": tokens.prompt, "image_tokens": tokens.references},
        "output_tokens": tokens.output,
        "output_tokens_details": {"image_tokens": tokens.image, "text_tokens": tokens.text},
        "total_tokens": tokens.total,
    }


def base64_pieces(picture: DrawnImage, fault: BadPayload | None) -> Sequence[bytes]:
    """An image as base64, in pieces; damaged if the fault says so."""
    if fault is not None and fault.what == "image":
        return [base64.b64encode(corrupt_image(picture, fault.kind))]
    if fault is not None and fault.what == "base64":
        return [_DAMAGED_TEXT[fault.kind](b"".join(picture.base64()), picture)]
    return picture.base64()


def corrupt_image(picture: DrawnImage, kind: str) -> bytes:
    """The bytes of a bad image, by the kinds of `faults.bad_image`."""
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


_DAMAGED_TEXT: dict[str, Callable[[bytes, DrawnImage], bytes]] = {
    "junk": lambda text, _: text[: len(text) // 2] + b"!*" + text[len(text) // 2 + 2 :],
    "nopad": lambda text, _: text.rstrip(b"="),
    "overpad": lambda text, _: text.rstrip(b"=") + b"====",
    "newlines": lambda text, _: b"\\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
    "data-uri": lambda text, picture: f"data:{MIME[picture.kind]};base64,".encode() + text,
    "urlsafe": lambda text, _: text.replace(b"+", b"-").replace(b"/", b"_"),
}


def _broken(body: bytes, kind: str) -> bytes:
    """A body that is not JSON, or JSON that breaks a careless reader."""
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
