"""Users of httpx test with respx; what it answers passes through our transport."""

import asyncio

import httpx
import pytest
import respx

from nbp_async._base.errors import (
    ConnectError,
    DisconnectedError,
    NbpError,
)
from nbp_async._transports.httpx import HttpxTransport
from tests.contracts.transport.kit import BODY, KEY, Kind, Line

URL = "https://api.example/v1/images"


@pytest.fixture
def line(authority: object, ca_file: str) -> Line:
    line = Line.__new__(Line)
    line.kind = Kind("httpx")
    line.transport = HttpxTransport(vendor="shop")
    return line


async def test_respx_sees_the_request_and_gives_the_answer(line: Line) -> None:
    with respx.mock() as mock:
        route = mock.post(URL).mock(return_value=httpx.Response(200, json={"data": 1}))
        got = await line.post(URL)
    assert got.head is not None
    assert (got.head.status, got.body, got.timer.sent) == (200, b'{"data":1}', True)
    sent = route.calls.last.request
    assert (sent.content, sent.headers["authorization"]) == (BODY, f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError, ConnectError),
        (httpx.ConnectTimeout, ConnectError),
        (httpx.ReadError, DisconnectedError),
        (httpx.ReadTimeout, DisconnectedError),
        (httpx.RemoteProtocolError, DisconnectedError),
    ],
)
async def test_where_nothing_tells_what_left_it_may_have_left(
    line: Line, raised: type[httpx.RequestError], kind: type[NbpError]
) -> None:
    with respx.mock() as mock:
        mock.post(URL).mock(side_effect=raised)
        got = await line.post(URL)
    got.failed_with(kind)
    assert got.timer.sent is (kind is DisconnectedError)


async def test_another_transport_of_httpx_can_be_given(line: Line) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, content=request.content)

    given = HttpxTransport(vendor="shop", through=httpx.MockTransport(handler))
    got = await line.post(URL, transport=given)
    await given.aclose()
    assert got.head is not None
    assert (got.head.status, got.body) == (429, BODY)


async def test_a_proxy_that_refuses_to_connect_proves_that_nothing_was_sent(line: Line) -> None:
    methods: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods.append((await reader.readuntil(b"\r\n\r\n")).partition(b" ")[0])
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(proxy, "127.0.0.1", 0)
    proxied = httpx.Proxy(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    given = HttpxTransport(vendor="shop", through=httpx.AsyncHTTPTransport(proxy=proxied))
    got = await line.post(URL, transport=given)
    await given.aclose()
    listener.close()
    got.failed_with(ConnectError)
    assert not got.timer.sent
    assert methods == [b"CONNECT"]
