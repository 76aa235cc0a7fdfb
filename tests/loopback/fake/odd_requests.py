"""Requests that no client would send, to every address of the fake server."""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from nbp_async.fake import FakeServer
from nbp_async.fake.tasks.service_table import service_tables
from tests.loopback.fake.service_clients import SERVICES

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_MODEL = "gemini-3-pro-image"
_OPENAI_BODY = {"model": "nano-banana-pro", "prompt": "a cat", "size": "1K", "n": 1}
_GOOGLE_BODY = {
    "contents": [{"role": "user", "parts": [{"text": "a cat"}]}],
    "generationConfig": {
        "imageConfig": {"imageSize": "1K", "aspectRatio": "1:1"},
        "responseModalities": ["IMAGE"],
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    },
    "serviceTier": "flex",
}
_EDIT_BODY = _OPENAI_BODY | {"images": [{"image_url": "data:image/png;base64,AAAA"}]}
_CHAT_BODY = {
    "model": "nano-banana-pro",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "a cat"}]}],
    "modalities": ["image"],
    "image_config": {"image_size": "1K"},
}
_RESPONSE_BODY = {
    "model": "gpt-5.4",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "a cat"}]}],
    "tools": [{"type": "image_generation", "size": "1024x1024", "quality": "low"}],
    "background": True,
}
_BATCH_BODY = {
    "batch": {
        "displayName": "x",
        "inputConfig": {
            "requests": {"requests": [{"request": _GOOGLE_BODY, "metadata": {"key": "k"}}]}
        },
        "webhookConfig": {"uris": []},
    }
}
_JOB_BODY = {
    "input_file_id": "file-x",
    "endpoint": "/v1/images/generations",
    "completion_window": "24h",
    "metadata": {},
}

HELD: dict[str, object] = {
    "/v1/images/generations": _OPENAI_BODY,
    "/v1/images/edits": _EDIT_BODY,
    "/v1/images/generations/async": _OPENAI_BODY,
    "/v1/images/edits/async": _EDIT_BODY,
    "/comfly/v1/images/edits?async=true": _EDIT_BODY,
    "/v1/chat/completions": _CHAT_BODY,
    "/v1/responses": _RESPONSE_BODY,
    "/v1/webhook_endpoints": {"name": "x", "url": "http://x", "event_types": ["response.failed"]},
    f"/v1beta/models/{_MODEL}:generateContent": _GOOGLE_BODY,
    f"/v1/models/{_MODEL}:streamGenerateContent": _GOOGLE_BODY,
    f"/v1beta/models/{_MODEL}:countTokens": _GOOGLE_BODY,
    f"/v1/publishers/google/models/{_MODEL}:generateContent": _GOOGLE_BODY,
    f"/v1beta/models/{_MODEL}:batchGenerateContent": _BATCH_BODY,
    "/v1/batches": _JOB_BODY,
    "/v1/files": {},
    "/replicate/v1/files": {},
    "/upload/v1beta/files": {"file": {"displayName": "x", "mimeType": "jsonl"}},
    "/__faults__": {"faults": [], "match": "x"},
}
"""Addresses with a body that is taken there."""

PLAIN = (
    *("/v1/webhook_endpoints/x", "/replicate/v1/account", "/replicate/v1/files/x"),
    *("/replicate/v1/models/google/nano-banana-pro/versions/x", "/replicate/v1/models/google"),
    *("/", "/stats", "/v1/models", "/v1beta/models", f"/v1/models/{_MODEL}"),
    *("/v1/files/x", "/v1/files/x/content", "/v1/batches/x", "/v1/batches/x/cancel"),
    *("/v1beta/batches", "/v1beta/batches/x:cancel", "/v1beta/batches/x", "/v1beta/files"),
    *("/v1beta/files/x", "/v1beta/files/x:download", "/download/v1beta/files/x:download"),
    *(f"/upload/v1beta/files/{'0' * 32}", "/images/x.png", "/v1beta/models?pageSize=1"),
    f"/images/{'0' * 32}-1x1-0-1--{'0' * 16}.png",
)
"""Addresses without one."""


def _services() -> dict[str, object]:
    """The addresses of all task services, with a body for those that take one."""
    found: dict[str, object] = {}
    for name, table in service_tables().items():
        body = SERVICES[name].submit[1]("a cat", "") if name in SERVICES else _OPENAI_BODY
        for verb, texts in table.routes.items():
            for text in [texts] if isinstance(texts, str) else texts:
                path = text.partition(" ")[2].replace("(", "").replace(")", "")
                path = path.replace("{owner}", "google").replace("{model}", "nano-banana-pro")
                found[re.sub(r"\{\w+\}", "t-7", path)] = body if verb == "submit" else None
    return found


ADDRESSES: dict[str, object] = {**dict.fromkeys(PLAIN), **_services(), **HELD}
_ORDER = sorted(ADDRESSES) + 2 * [at for at, good in ADDRESSES.items() if good]

_TEXTS = ("", "a cat", "4K", "1:1", "auto", "\ud800", "²", "9" * 5000, "-1", "1e999", "🦊", "\0")
_ADDRESSES = ("http://[", "data:image/png;base64,x", "2048x2048", "nano-banana-pro", "x" * 40000)
TEXTS = st.sampled_from([*_TEXTS, *_ADDRESSES]) | st.text(max_size=8)
NUMBERS = st.sampled_from(
    [10**400, -(10**30), 2**63, 2**64, 1e308, float("nan"), float("-inf"), 0.5]
) | st.integers(-3, 300)
JSONS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "data", "uri", "content", "url", "parts", "input"])
            | TEXTS,
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def _places(value: object) -> list[tuple[str | int, ...]]:
    """The paths of all values in a document."""
    found: list[tuple[str | int, ...]] = [()]
    items: Any = value.items() if isinstance(value, dict) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else items:
        found += [(name, *rest) for rest in _places(inner)]
    return found


def _changed(value: Any, place: tuple[str | int, ...], new: object) -> object:
    """The same document with another value at this path."""
    if not place:
        return new
    copied = value.copy()
    copied[place[0]] = _changed(value[place[0]], place[1:], new)
    return copied


@st.composite
def documents(draw: st.DrawFn, good: object) -> bytes:
    """JSON like `good` with odd values, or odd JSON, or no JSON."""
    kind = draw(st.sampled_from(["changed", "changed", "changed", "odd", "deep", "bytes", "cut"]))
    if kind == "bytes":
        return draw(st.binary(max_size=30))
    if kind == "deep":
        depth = draw(st.sampled_from([100, 2000, 100_000]))
        opening, closing = draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
        return (opening * depth + "1" + closing * depth).encode()
    document = good
    for _ in range(draw(st.integers(1, 3)) if kind == "changed" else 0):
        document = _changed(document, draw(st.sampled_from(_places(document))), draw(JSONS))
    if kind == "odd":
        document = draw(JSONS)
    body = json.dumps(document, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    return body[: draw(st.integers(0, len(body)))] if kind == "cut" else body


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A multipart body and its content type, of which much may be wrong."""
    pieces = []
    names = ["image", "image[]", "mask", "prompt", "n", "stream", "purpose", "file", "content", ""]
    for _ in range(draw(st.integers(0, 4))):
        head = b'Content-Disposition: form-data; name="%b"' % draw(st.sampled_from(names)).encode()
        if draw(st.booleans()):
            head += b'; filename="%b"' % draw(
                st.sampled_from([b"a.png", b"", b"\xff", b"\xc2\xb2"])
            )
        head = draw(st.sampled_from([head] * 6 + [b"", b"x", b"Content-Disposition: \xff;;="]))
        extra = [b"", b"\r\nContent-Type: multipart/mixed; boundary=y", b"\r\nContent-Length: -1"]
        extra += [b"\r\nContent-Transfer-Encoding: base64", b"\r\nContent-Type: \xff/;charset=no"]
        extra += [b"\r\nContent-Encoding: gzip", b"\r\nContent-Type: text/plain; charset=rot13"]
        head += draw(st.sampled_from(extra))
        value = draw(st.sampled_from([b"png", b"", b"2", b"\xff\xfe", b"a cat", b"batch", b"\r\n"]))
        pieces.append(b"--x\r\n" + head + b"\r\n\r\n" + value + b"\r\n")
    end = draw(st.sampled_from([b"--x--\r\n", b"--x--\r\n", b"", b"--x", b"--y--\r\n"]))
    kinds = [b"multipart/form-data; boundary=x"] * 6 + [b"multipart/form-data", b"multipart/mixed"]
    kinds += [b"multipart/form-data; boundary=" + b"x" * 99, b"multipart/; boundary=x"]
    return b"".join(pieces) + end, draw(st.sampled_from(kinds))


@dataclass(frozen=True)
class OddRequest:
    """A request as it is written to the socket; `cut` bytes of its body never come."""

    method: str
    address: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = field(default=b"", repr=False)
    cut: int = 0

    def encode(self) -> bytes:
        target = self.address.encode("utf-8", "surrogateescape")
        lines = [self.method.encode() + b" " + target + b" HTTP/1.1", b"Host: x"]
        lines += [name + b": " + value for name, value in self.headers]
        lines += [b"Content-Length: %d" % len(self.body), b"Connection: close", b"", b""]
        return b"\r\n".join(lines) + self.body[: len(self.body) - self.cut]


HEADERS = st.sampled_from(
    [
        *((b"Content-Encoding", value) for value in (b"gzip", b"deflate", b"br", b"odd")),
        *((b"Content-Type", value) for value in (b"", b"text/html", b"\xff", b"a/b; charset=\xff")),
        *(
            (b"x-fake-fault", value)
            for value in (b"", b"odd", b"503x", b"\xff", b"429:x", b"429:-1")
        ),
        *(
            (b"Authorization", value)
            for value in (b"\xff\xfe", b"Bearer", b"Key x", b"Basic \xc2\xb2")
        ),
        *((b"x-goog-api-key", value) for value in (b"", b"\xff")),
        *((b"Range", value) for value in (b"bytes=9-1", b"bytes=-0", b"odd", b"bytes=\xff-")),
        *((b"X-Goog-Upload-Command", value) for value in (b"start", b"upload, finalize", b"query")),
        (b"X-Goog-Upload-Offset", "²".encode()),
        (b"X-Goog-Upload-Header-Content-Length", "²".encode()),
        (b"X-Goog-Upload-Header-Content-Length", b"9" * 5000),
        (b"X-Goog-Upload-Header-Content-Type", b"\xff"),
        *((b"Idempotency-Key", value) for value in (b"", b"\xff")),
        *((b"Prefer", value) for value in (b"wait", b"wait=x", b"wait=-1", b"wait=99999999999")),
        (b"Accept", b"text/event-stream"),
        (b"Expect", b"100-continue"),
        (b"If-None-Match", b"\xff"),
    ]
)
_QUERIES = "pageSize=-1 pageToken=%C2%B2 limit=x after=%FF key=x key=%FF alt=sse async=%FF prompts"
_MORE_QUERIES = "format=odd fal_webhook=odd logs=1 taskId=%00 &&== % max_wait_seconds=x cursor=%FF"
QUERIES = st.sampled_from([*_QUERIES.split(), *_MORE_QUERIES.split()])
TAILS = st.sampled_from(
    ["", "", "", "", "/", "//", "/..", "/%2e%2e", "%00", "%ff", "/x", ":x", "?"]
)


@st.composite
def odd_requests(draw: st.DrawFn, key: str) -> OddRequest:
    address = draw(st.sampled_from(_ORDER))
    good = ADDRESSES[address]
    usual = "GET" if good is None else "POST"
    method = usual if draw(st.integers(0, 9)) else draw(st.sampled_from(METHODS))
    headers = draw(st.lists(HEADERS, max_size=2))
    if draw(st.integers(0, 9)):
        scheme = b"Key " if address.startswith("/fal/") else b"Bearer "
        headers.insert(0, (b"Authorization", scheme + key.encode()))
        headers.insert(0, (b"x-goog-api-key", key.encode()))
        headers = headers if "google" in address or "v1beta" in address else headers[1:]
    if not draw(st.integers(0, 9)):
        address += draw(TAILS)
    query = "" if draw(st.integers(0, 3)) else draw(QUERIES)
    address += query and ("&" if "?" in address else "?") + query
    body, kind = b"", b"application/json"
    if method not in ("GET", "HEAD"):
        takes_form = address.startswith(("/v1/files", "/v1/images/edits", "/replicate/v1/files"))
        if draw(st.integers(0, 9)) > (3 if takes_form else 8):
            body, kind = draw(forms())
        else:
            body = draw(documents(good))
    cut = draw(st.integers(0, len(body))) if not draw(st.integers(0, 9)) else 0
    once = {b"Content-Type": kind} | dict(headers)  # aiohttp refuses some names that come twice
    return OddRequest(method, address, tuple(once.items()), body, cut)


@dataclass(frozen=True)
class RawReply:
    """What came back: nothing at all has status 0."""

    status: int
    headers: dict[str, str]
    body: bytes


def send(server: FakeServer, request: OddRequest) -> RawReply:
    """Send a request, end our side, and read all of the answer."""
    host, _, port = server.base_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        data = b""
        try:
            sock.sendall(request.encode())
            if request.cut:
                sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(1 << 20):
                data += more
        except ConnectionError:
            pass  # what came before it counts
    while data.startswith(b"HTTP/1.1 100"):
        data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return RawReply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    return RawReply(int(first.split()[1]), headers, body)


def _openai(answer: Any, status: int) -> bool:
    error = answer["error"]
    return bool(error.keys() == {"message", "type", "param", "code"} and error["message"])


def _google(answer: Any, status: int) -> bool:
    error = answer["error"]
    return bool(error["code"] == status and error["message"] and error["status"].isupper())


SHAPES: dict[str, Callable[[Any, int], bool]] = {
    "openai": _openai,
    "google": _google,
    "interactions": lambda answer, _: answer["error"].keys() == {"code", "message"},
    "kie": lambda answer, _: answer.keys() == {"code", "msg", "data"},
    "fal": lambda answer, _: answer.keys() == {"detail"},
    "replicate": lambda answer, status: answer["status"] == status and bool(answer["detail"]),
}
"""Whether an error is written as its vendor writes it."""
