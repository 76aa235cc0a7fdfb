"""How an answer is written to the socket, well or badly.

aiohttp sends what goes well. What goes badly is written to the transport byte by byte: no HTTP
library agrees to send half an answer.
"""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from nbp_async.fake.faults import BadTransfer, Disconnect, RawReply
from nbp_async.fake.payloads import Payload

Headers = Mapping[str, str]
WaitForDisconnect = Callable[[web.BaseRequest], Awaitable[None]]

_AT_ONCE = 64 * 1024  # bytes; larger bodies leave slice by slice, so that none stalls the loop
_SLICE = 256 * 1024


class SendResult(msgspec.Struct, frozen=True):
    """What became of an answer.

    Attributes:
        response: What aiohttp's handler must return.
        delivered: All of it was written to an open connection.
        body_bytes: Bytes of the body that were written.
    """

    response: web.StreamResponse
    delivered: bool
    body_bytes: int


async def send(
    request: web.BaseRequest,
    status: int,
    payload: Payload,
    headers: Headers,
    pace: float | None = None,
) -> SendResult:
    """Send a whole answer, at most `pace` bytes a second."""
    size = payload.size
    try:
        if size <= _AT_ONCE and pace is None:
            body = b"".join(payload.pieces)
            small = web.Response(body=body, status=status, headers=headers, content_type=None)
            small.headers["Content-Type"] = payload.type
            await small.prepare(request)
            await small.write_eof()
            return SendResult(small, not _is_closing(request), size)
        large = await _start(request, status, payload.type, size, headers)
        for part in _slices(payload.pieces):
            if pace is not None:
                await asyncio.sleep(len(part) / pace)
            await large.write(part)
        await large.write_eof()
        return SendResult(large, not _is_closing(request), size)
    except ConnectionError:
        return SendResult(web.Response(), delivered=False, body_bytes=0)


async def send_stream(
    request: web.BaseRequest,
    kind: str,
    size: int,
    content: Iterator[Iterable[bytes | memoryview]],
    headers: Headers,
    pace: float | None = None,
) -> SendResult:
    """Send a body of this size while it is made."""
    sent = 0
    try:
        response = await _start(request, 200, kind, size, headers)
        for pieces in content:
            for part in _slices([bytes(piece) for piece in pieces]):
                if pace is not None:
                    await asyncio.sleep(len(part) / pace)
                await response.write(part)
                sent += len(part)
            # To make a piece takes time, and a fast socket never blocks: let others run.
            await asyncio.sleep(0)
        await response.write_eof()
    except ConnectionError:
        return SendResult(web.Response(), delivered=False, body_bytes=sent)
    return SendResult(response, not _is_closing(request), sent)


async def send_events(
    request: web.BaseRequest, events: AsyncIterator[bytes], headers: Headers
) -> web.StreamResponse:
    """Send server-sent events as they come."""
    response = web.StreamResponse(headers=headers)
    response.headers["Content-Type"] = "text/event-stream"
    response.headers["Cache-Control"] = "no-cache"
    await response.prepare(request)
    async for event in events:
        await response.write(b"data: %b\n\n" % event)
    await response.write_eof()
    return response


async def send_badly(
    request: web.BaseRequest,
    fault: BadTransfer,
    status: int,
    payload: Payload,
    headers: Headers,
    *,
    speed: float,
    wait_for_disconnect: WaitForDisconnect,
) -> SendResult:
    """Send an answer as `fault` says."""
    body, headers = b"".join(payload.pieces), dict(headers)
    if fault.gzip:
        body = gzip.compress(body, 6, mtime=0)
        body = body[: int(len(body) * fault.at)]
        packed = Payload([body], payload.type)
        sent = await send(request, status, packed, headers | {"Content-Encoding": "gzip"})
        return SendResult(sent.response, sent.delivered and fault.at >= 1, sent.body_bytes)
    if fault.pace is not None:
        return await _send_slowly(request, fault, status, payload.type, body, headers, speed)
    shown = body[: int(len(body) * fault.at)]
    if fault.framing == "length":
        headers["Content-Length"] = str(len(body))
    elif fault.framing == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        shown = b"".join(b"%x\r\n%b\r\n" % (len(p), bytes(p)) for p in _slices([shown]))
    else:
        headers["Connection"] = "close"
    written = _write(request, _head(status, payload.type, headers) + shown)
    if fault.silent:
        await wait_for_disconnect(request)
    else:
        _close(request)
    return SendResult(web.Response(), written and fault.at >= 1, len(shown) if written else 0)


async def break_off(
    request: web.BaseRequest, fault: Disconnect | RawReply, wait_for_disconnect: WaitForDisconnect
) -> web.StreamResponse:
    """Send nothing, or exactly the fault's bytes, and end or keep the connection."""
    if isinstance(fault, RawReply):
        _write(request, fault.data)
        if fault.keep_open:
            await wait_for_disconnect(request)
        else:
            _close(request)
    elif fault.how == "hang":
        await wait_for_disconnect(request)
    elif fault.how == "reset":
        _reset(request)
    else:
        _close(request)
    return web.Response()


async def _start(
    request: web.BaseRequest, status: int, kind: str, size: int, headers: Headers
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.headers["Content-Type"] = kind
    response.content_length = size
    await response.prepare(request)
    return response


async def _send_slowly(
    request: web.BaseRequest,
    fault: BadTransfer,
    status: int,
    kind: str,
    body: bytes,
    headers: Headers,
    speed: float,
) -> SendResult:
    assert fault.pace is not None
    sent = 0
    try:
        response = await _start(request, status, kind, len(body), headers)
        for at in range(0, len(body), fault.chunk):
            if at:
                await asyncio.sleep(fault.chunk / fault.pace / speed)
            piece = body[at : at + fault.chunk]
            await response.write(piece)
            sent += len(piece)
        await response.write_eof()
    except ConnectionError:
        return SendResult(web.Response(), delivered=False, body_bytes=sent)
    return SendResult(response, not _is_closing(request), sent)


def _write(request: web.BaseRequest, data: bytes) -> bool:
    """Write bytes past aiohttp; False if the connection is gone."""
    if _is_closing(request):
        return False
    assert request.transport is not None
    request.transport.write(data)
    return True


def _close(request: web.BaseRequest) -> None:
    """End the connection when what was written has left."""
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.BaseRequest) -> None:
    """End the connection at once, with a TCP reset."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Lingering for 0 s makes the kernel send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _head(status: int, kind: str, headers: Headers) -> bytes:
    lines = [f"HTTP/1.1 {status} {_reason(status)}", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _slices(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), _SLICE):
            yield view[at : at + _SLICE]


def _is_closing(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()
