"""The image store: links that hold everything about their image, served by ranges.

A link names the image's seed, when it was made, and a signature. So the store keeps nothing,
however many images there are, and a link can expire on a clock that a test sets.
"""

import asyncio
import io
import re
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from hashlib import blake2b

import msgspec
from aiohttp import web

from nbp_async.fake.payloads import corrupt_image
from nbp_async.fake.pictures import MIME, DrawnImage, Kind, draw, other

_NAME = re.compile(
    r"(?P<about>(?P<seed>[0-9a-f]{32})-(?P<width>\d{1,5})x(?P<height>\d{1,5})-(?P<weight>\d{1,9})"
    r"-(?P<made>\d{1,12})-(?P<fault>[a-z]*))-(?P<signature>[0-9a-f]{16})\.(?P<suffix>png|jpg)"
)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_SUFFIX = {"png": "png", "jpeg": "jpg"}
_KIND: dict[str, Kind] = {"png": "png", "jpg": "jpeg"}


class StoreReply(msgspec.Struct, frozen=True):
    """The store's answer to one request.

    Attributes:
        status: 200, 206, 304, 403, 404, 415 or 416.
        kind: Content type.
        body: The requested bytes, in pieces.
        headers: The other headers.
    """

    status: int
    kind: str
    body: list[bytes]
    headers: dict[str, str]


class ImageStore:
    """Makes links and answers requests for them.

    Args:
        secret: What links are signed with.
        lifetime: Seconds until a link expires, on `clock`; the server's speed does not shorten it.
        clock: Seconds since 1970.
    """

    def __init__(self, secret: bytes, lifetime: float, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._lifetime = lifetime
        self._clock = clock

    def link(self, seed: bytes, picture: DrawnImage, weight: int, kind: str = "") -> str:
        """The path of an image that was just made; `kind` is one of `faults.bad_image`, or ""."""
        made = int(self._clock())
        size = f"{picture.width}x{picture.height}"
        about = f"{seed.hex()}-{size}-{weight}-{made}-{kind}"
        return f"/images/{about}-{self._sign(about)}.{_SUFFIX[picture.kind]}"

    async def find(self, request: web.BaseRequest) -> StoreReply:
        """Answer a GET or HEAD for `/images/...`."""
        known = _NAME.fullmatch(request.path.removeprefix("/images/"))
        if known is None or known["signature"] != self._sign(known["about"]):
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        left = int(known["made"]) + self._lifetime - self._clock()
        if left <= 0:
            return _error(403, "AccessDenied", "Request has expired.")
        kind = _KIND[known["suffix"]]
        seed, weight = bytes.fromhex(known["seed"]), int(known["weight"])
        picture = draw(seed, int(known["width"]), int(known["height"]), kind, weight)
        body = [picture.head, picture.pad, picture.tail]
        if known["fault"]:
            body = [corrupt_image(picture, known["fault"])]
            kind = other(kind) if known["fault"] == "mislabelled" else kind
        mime = MIME[kind]
        convert = request.query.get("format", "")
        if convert:
            if convert != "webp":
                message = f"This store converts to webp, not {convert}."
                return _error(415, "UnsupportedFormat", message)
            try:
                body = [await asyncio.to_thread(_webp, b"".join(body))]
            except ImportError:
                message = "Conversion to webp needs Pillow installed."
                return _error(415, "UnsupportedFormat", message)
            mime = "image/webp"
        headers = {
            "ETag": f'"{known["signature"]}{convert}"',
            "Cache-Control": f"private, max-age={int(left)}",
            "Last-Modified": formatdate(int(known["made"]), usegmt=True),
            "Accept-Ranges": "bytes",
        }
        return _part_of(request, body, mime, headers)

    def _sign(self, about: str) -> str:
        return blake2b(about.encode(), key=self._secret, digest_size=8).hexdigest()


def _part_of(
    request: web.BaseRequest, body: list[bytes], mime: str, headers: dict[str, str]
) -> StoreReply:
    """The whole, the requested range, or 304 if the client has it already."""
    headers_in = request.headers
    if headers["ETag"] in (headers_in.get("If-None-Match") or "").replace("W/", "").split(", "):
        return StoreReply(304, mime, [], headers)
    bounds = _RANGE.fullmatch(headers_in.get("Range", "").replace(" ", ""))
    condition = headers_in.get("If-Range")
    same = condition is None or condition in (headers["ETag"], headers["Last-Modified"])
    if bounds is None or not same or bounds[0] == "bytes=-":
        return StoreReply(200, mime, body, headers)
    size = sum(map(len, body))
    if not bounds[1]:
        first, last = max(0, size - int(bounds[2])), size - 1
    else:
        first, last = int(bounds[1]), min(int(bounds[2] or size), size - 1)
    if first >= size or first > last:
        headers["Content-Range"] = f"bytes */{size}"
        return StoreReply(416, mime, [], headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return StoreReply(206, mime, [b"".join(body)[first : last + 1]], headers)


def _error(status: int, code: str, message: str) -> StoreReply:
    """An error as object stores write it."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
    body = f"{text}<Message>{message}</Message></Error>".encode()
    return StoreReply(status, "application/xml", [body], {})


@lru_cache(maxsize=16)
def _webp(data: bytes) -> bytes:
    from PIL import Image

    target = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").save(target, "WEBP", lossless=True, method=0)
    return target.getvalue()
