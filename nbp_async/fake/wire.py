"""How an answer goes over the wire, well or badly.

What goes well is left to aiohttp. What goes badly is written to the transport byte by byte: no HTTP
library agrees to send half an answer.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from nbp_async.fake.faults import Break, Raw, Travel

Headers = Mapping[str, str]
Gone = Callable[[web.BaseRequest], Awaitable[None]]
"""Waits until the client has hung up."""

_AT_ONCE = 64 * 1024  # bytes; larger bodies go out slice by slice, so that none stalls the loop
_SLICE = 256 * 1024


class Sent(msgspec.Struct, frozen=True):
    """What became of an answer: what aiohttp wants to have, and whether all of it went out."""

    response: web.StreamResponse
    delivered: bool
    body_bytes: int


async def send(
    request: web.BaseRequest,
    status: int,
    kind: str,
    pieces: list[bytes],
    headers: Headers,
    pace: float | None = None,
) -> Sent:
    """Send a whole answer; at most `pace` bytes a second, if it is given."""
    size = sum(map(len, pieces))
    try:
        if size <= _AT_ONCE and pace is None:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            plain = web.Response(body=body, status=status, headers=headers, content_type=None)
            plain.headers["Content-Type"] = kind
            await plain.prepare(request)
            await plain.write_eof()
            return Sent(plain, not _closing(request), size)
        large = web.StreamResponse(status=status, headers=headers)
        large.headers["Content-Type"] = kind
        large.content_length = size
        await large.prepare(request)
        for part in _slices(pieces):
            if pace is not None:
                await asyncio.sleep(len(part) / pace)
            await large.write(part)
        await large.write_eof()
        return Sent(large, not _closing(request), size)
    except ConnectionError:
        return Sent(web.Response(), delivered=False, body_bytes=0)


async def send_stream(
    request: web.BaseRequest,
    status: int,
    kind: str,
    size: int,
    content: Iterator[Iterable[bytes | memoryview]],
    headers: Headers,
    pace: float | None = None,
) -> Sent:
    """Send a body that is made as it goes; `size` bytes."""
    response = web.StreamResponse(status=status, headers=headers)
    response.headers["Content-Type"] = kind
    response.content_length = size
    sent = 0
    try:
        await response.prepare(request)
        for pieces in content:
            for part in _slices([bytes(piece) for piece in pieces]):
                if pace is not None:
                    await asyncio.sleep(len(part) / pace)
                await response.write(part)
                sent += len(part)
            await asyncio.sleep(0)  # to make it takes time, and a socket may take much at once
        await response.write_eof()
    except ConnectionError:
        return Sent(web.Response(), delivered=False, body_bytes=sent)
    return Sent(response, not _closing(request), sent)


async def send_badly(
    request: web.BaseRequest,
    fault: Travel,
    status: int,
    kind: str,
    pieces: list[bytes],
    headers: Headers,
    *,
    speed: float,
    gone: Gone,
) -> Sent:
    """Send an answer in such a way as `fault` says."""
    body = b"".join(pieces)
    heads = dict(headers)
    if fault.gzip:
        body = gzip.compress(body, 6, mtime=0)
        body = body[: int(len(body) * fault.at)]
        whole = fault.at >= 1
        sent = await send(request, status, kind, [body], heads | {"Content-Encoding": "gzip"})
        return Sent(sent.response, sent.delivered and whole, sent.body_bytes)
    if fault.pace is not None:
        return await _slowly(request, fault, status, kind, body, heads, speed=speed)
    shown = body[: int(len(body) * fault.at)]
    if fault.framing == "length":
        heads["Content-Length"] = str(len(body))
    elif fault.framing == "chunked":
        heads["Transfer-Encoding"] = "chunked"
        shown = b"".join(b"%x\r\n%b\r\n" % (len(p), bytes(p)) for p in _slices([shown]))
    else:
        heads["Connection"] = "close"
    written = write(request, _head(status, kind, heads) + shown)
    if fault.silent:
        await gone(request)
    else:
        close(request)
    return Sent(web.Response(), written and fault.at >= 1, len(shown) if written else 0)


async def break_off(request: web.BaseRequest, fault: Break | Raw, gone: Gone) -> web.StreamResponse:
    """Say nothing, or exactly what `fault` has to say, and end or keep the connection."""
    if isinstance(fault, Raw):
        write(request, fault.data)
        if fault.keep_open:
            await gone(request)
        else:
            close(request)
    elif fault.how == "hang":
        await gone(request)
    elif fault.how == "reset":
        reset(request)
    else:
        close(request)
    return web.Response()


def write(request: web.BaseRequest, data: bytes) -> bool:
    """Write bytes past aiohttp; False if nobody is there any more."""
    if _closing(request):
        return False
    assert request.transport is not None
    request.transport.write(data)
    return True


def close(request: web.BaseRequest) -> None:
    """End the connection once what was written is out."""
    if request.transport is not None:
        request.transport.close()


def reset(request: web.BaseRequest) -> None:
    """End the connection at once, with a reset."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def _slowly(
    request: web.BaseRequest, fault: Travel, status: int, kind: str, body: bytes,
    headers: Headers, *, speed: float,
) -> Sent:  # fmt: skip
    assert fault.pace is not None
    response = web.StreamResponse(status=status, headers=headers)
    response.headers["Content-Type"] = kind
    response.content_length = len(body)
    sent = 0
    try:
        await response.prepare(request)
        for at in range(0, len(body), fault.chunk):
            if at:
                await asyncio.sleep(fault.chunk / fault.pace / speed)
            piece = body[at : at + fault.chunk]
            await response.write(piece)
            sent += len(piece)
        await response.write_eof()
    except ConnectionError:
        return Sent(web.Response(), delivered=False, body_bytes=sent)
    return Sent(response, not _closing(request), sent)


def _head(status: int, kind: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {_reason(status)}", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _slices(pieces: list[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), _SLICE):
            yield view[at : at + _SLICE]


def _closing(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()
