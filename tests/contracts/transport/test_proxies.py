"""By a proxy a request arrives as without one, and a proxy that refuses has sent nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from nbp_async._base.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    DisconnectedError,
    NbpError,
    ProxyRefusedError,
)
from nbp_async._transports.aiohttp import AiohttpTransport
from nbp_async._transports.network import Network
from nbp_async._transports.private_addresses import refusal_of
from nbp_async._transports.proxies import Proxies, ProxyAddress
from nbp_async._transports.sockets import KEEPALIVE
from nbp_async._transports.transport_errors import RefusedAddressError
from tests.contracts.transport.kit import BODY, KEY, Got, Line, near
from tests.forward_proxy import ForwardProxy, forward_proxy
from tests.own_sockets import own_socket
from tests.raw_server import Peer, answering, framed, lingering, serving

pytestmark = pytest.mark.looptime

LARGE = bytes(range(256)) * 4 * 1024  # 1 MiB


@asynccontextmanager
async def by_proxy(
    line: Line, rules: ForwardProxy, user: str = "", *, tls: bool = False
) -> AsyncIterator[Line]:
    """The line, with a transport that goes by such a proxy."""
    async with forward_proxy(rules, line.tls("127.0.0.1") if tls else None):
        address = rules.with_user(user) if user else rules.url
        direct, line.transport = (
            line.transport,
            line.make(line.ca_file, ProxyAddress(address, "proxy")),
        )
        yield line
        await line.transport.aclose()
        line.transport = direct


def refused(got: Got) -> ProxyRefusedError:
    error = got.failed_with(ProxyRefusedError)
    assert isinstance(error, ProxyRefusedError)
    assert error.billing == "no"
    return error


@pytest.mark.parametrize("tls", [False, True], ids=["http proxy", "https proxy"])
async def test_an_answer_comes_by_a_proxy(line: Line, tls: bool) -> None:
    rules = ForwardProxy(user="anna:p@ss:w")
    async with (
        line.serving(answering(framed(LARGE))) as server,
        by_proxy(line, rules, "anna:p%40ss%3Aw", tls=tls),
    ):
        got = await line.post(server.url, BODY * 10_000)
    assert got.error is None
    assert got.body == LARGE
    assert rules.lines[0].startswith("CONNECT " if line.kind.tls else f"POST {server.url} ")
    assert server.requests[0].endswith(BODY * 10_000)
    assert server.requests[0].startswith(b"POST /v1/images HTTP/1.1")
    assert b"roxy-" not in server.requests[0]
    if line.kind.tls:
        assert KEY not in str(rules.heads)


async def test_the_proxy_alone_resolves_the_name(line: Line) -> None:
    async with line.serving(answering(framed(b"{}")), "images.invalid") as server:
        rules = ForwardProxy(leads_to=server.port)
        async with by_proxy(line, rules):
            got = await line.post(f"{urlsplit(server.url).scheme}://images.invalid/v1?a=%2F")
    assert got.body == b"{}"
    assert server.requests[0].startswith(b"POST /v1?a=%2F HTTP/1.1")
    assert "Host: images.invalid" in rules.heads[0] or "Host: images.invalid:443" in rules.heads[0]


@pytest.mark.parametrize(
    ("status", "passes", "says"),
    [
        (403, False, "Its rules do not allow"),
        (405, False, "Is it an HTTP proxy"),
        (502, True, "cannot reach"),
        (503, True, "cannot reach"),
    ],
)
async def test_a_refused_connect_has_sent_nothing(
    line: Line, status: int, passes: bool, says: str
) -> None:
    if not line.kind.tls:
        pytest.skip("a plain request has no CONNECT")
    rules = ForwardProxy(status=status)
    async with line.serving(answering(framed(b"{}"))) as server, by_proxy(line, rules):
        got = await line.post(server.url)
    error = refused(got)
    assert (error.status, error.is_transient, got.timer.sent) == (status, passes, False)
    assert (server.connections, len(rules.heads)) == (0, 1)
    assert f"HTTP {status}" in str(error)
    assert says in str(error)
    assert f"127.0.0.1:{rules.port}" in str(error)


@pytest.mark.parametrize(
    ("user", "challenge", "says"),
    [
        ("", "Basic", "It wants a name and a password"),
        ("anna:wrong-password", "Basic", "It refused the name or the password"),
        ("anna:wrong-password", "NTLM", "NTLM authentication, which is not supported"),
    ],
)
async def test_a_proxy_that_wants_other_credentials(
    line: Line, user: str, challenge: str, says: str
) -> None:
    rules = ForwardProxy(user="anna:right", challenge=challenge)
    async with line.serving(answering(framed(b"{}"))) as server, by_proxy(line, rules, user):
        got = await line.post(server.url)
    error = refused(got)
    assert (error.status, error.is_transient) == (407, False)
    assert says in str(error)
    assert "wrong-password" not in str(error) + repr(error)
    assert (server.connections, len(rules.heads)) == (0, 1)


async def test_a_proxy_that_is_not_there(line: Line) -> None:
    async with forward_proxy(ForwardProxy()) as rules:
        pass
    line.transport = line.make(None, ProxyAddress(rules.url, "proxy"))
    got = await line.post("https://images.invalid/")
    error = got.failed_with(ConnectError)
    assert f"by the proxy 127.0.0.1:{rules.port}: connection refused" in str(error)
    assert not got.timer.sent


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9\r\n\r\n"])
async def test_a_proxy_that_is_none(line: Line, answer: bytes) -> None:
    async def handler(peer: Peer) -> None:
        await peer.any()
        await peer.say(answer)

    async with serving(handler) as server:
        line.transport = line.make(None, ProxyAddress(f"127.0.0.1:{server.port}", "proxy"))
        got = await line.post("https://images.invalid/")
    assert "by the proxy" in str(got.failed_with(ConnectError))
    assert not got.timer.sent


async def test_a_proxy_that_does_not_answer_ends_at_the_connect_time_out(line: Line) -> None:
    async def handler(peer: Peer) -> None:
        await peer.until_gone()

    async with serving(handler) as server:
        line.transport = line.make(None, ProxyAddress(f"127.0.0.1:{server.port}", "proxy"))
        got = await line.post("https://images.invalid/")
        await asyncio.sleep(0.1)
        assert server.gone.is_set()
    assert "by the proxy" in str(got.failed_with(ConnectTimeout))
    assert got.took == near(10)
    assert not got.timer.sent


async def test_the_vendors_certificate_is_checked_behind_a_proxy(line: Line) -> None:
    stranger = serving(answering(framed(b"{}")), line.tls("elsewhere.example"))
    async with stranger as server, by_proxy(line, ForwardProxy()):
        got = await line.post(server.url)
    got.failed_with(CertificateError)
    assert (got.timer.sent, server.requests) == (False, [])


async def test_a_connection_that_ends_behind_a_proxy_may_be_billed(line: Line) -> None:
    async with line.serving(answering(b"")) as server, by_proxy(line, ForwardProxy()):
        got = await line.post(server.url)
    assert got.failed_with(DisconnectedError).billing == "maybe"
    assert len(server.requests) == 1


async def test_a_time_out_hangs_up_behind_a_proxy(line: Line) -> None:
    async with line.serving(lingering()) as server, by_proxy(line, ForwardProxy()):
        got = await line.post(server.url)
        await asyncio.sleep(0.1)
        assert server.gone.is_set()
    assert isinstance(got.error, NbpError)
    assert got.error.billing == "maybe"
    assert got.took == near(300)


async def test_a_connection_to_a_proxy_is_probed_by_the_kernel(line: Line) -> None:
    found: list[int] = []

    async def handler(peer: Peer) -> None:
        await peer.any()
        with own_socket(peer.client_port) as ours:
            found.extend(ours.getsockopt(level, option) for level, option, _ in KEEPALIVE)
        await peer.say(framed(b"{}", status=b"403 Forbidden"))

    async with serving(handler) as server:
        line.transport = line.make(None, ProxyAddress(f"127.0.0.1:{server.port}", "proxy"))
        await line.post("https://images.invalid/")
    assert found == [1, 30, 10, 3, 60_000]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "[::1]", "localhost", "x.localhost", "127.1", "0x7f.1"]
)
async def test_a_link_to_a_private_address_goes_by_no_proxy_either(line: Line, host: str) -> None:
    def guard(address: str) -> None:
        if reason := refusal_of(address):
            raise PermissionError(f"{address} is {reason}")

    async with forward_proxy(ForwardProxy()) as rules:
        proxies = Proxies(https=ProxyAddress(rules.url, "proxy"))
        transport = AiohttpTransport(vendor="shop", guard=guard, network=Network(proxies=proxies))
        got = await line.post(f"https://{host}/x.png", transport=transport)
        assert " is " in str(got.failed_with(RefusedAddressError))
        other = await line.post("https://images.example:1/x.png", transport=transport)
        await transport.aclose()
    assert rules.lines == ["CONNECT images.example:1 HTTP/1.1"]
    assert not other.timer.sent
