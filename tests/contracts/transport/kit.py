"""Shared by the transports' contract tests: a transport under test, and one exchange through it."""

import asyncio
import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import pytest
import trustme

from nbp_async._base.errors import NbpError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._transports.aiohttp import AiohttpTransport
from nbp_async._transports.base import Transport
from nbp_async._transports.httpx import HttpxTransport
from nbp_async._transports.network import Network, network_of
from nbp_async._transports.proxies import ProxyAddress
from nbp_async._transports.stage_timer import StageTimer
from tests.raw_server import Handler, RawServer, serving

KEY = "sk-very-secret"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
BODY = b'{"prompt": "a cat"}'


@dataclass(frozen=True)
class Kind:
    """A way to make a transport."""

    library: str
    tls: bool = False
    reuse: bool = False

    def __str__(self) -> str:
        return self.library + "-tls" * self.tls + "-reuse" * self.reuse

    def transport(self, network: Network) -> Transport:
        """A transport of this kind; without its package, the test is skipped."""
        if self.library == "httpx":
            return HttpxTransport(vendor="shop", network=network)
        if self.library == "direct":
            pytest.importorskip("httptools")
            from nbp_async._transports.direct import DirectTransport

            return DirectTransport(vendor="shop", reuse=self.reuse, network=network)
        return AiohttpTransport(vendor="shop", reuse=self.reuse, network=network)


@dataclass(frozen=True)
class Timeouts:
    """The time-outs of the tests, in virtual seconds."""

    connect: float = 10.0
    upload: float = 15.0
    read: float = 300.0
    body: float = 30.0
    silence: float = 4.0


@dataclass
class Got:
    """How an exchange ended, and after how many seconds."""

    timer: StageTimer
    head: ReplyHead | None = None
    pieces: list[bytes] = field(default_factory=list)
    error: BaseException | None = None
    took: float = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def failed_with(self, kind: type[NbpError]) -> NbpError:
        """The error, which must be of this class exactly, and must not give the key away."""
        if self.error is not None and not isinstance(self.error, NbpError):
            raise self.error
        assert type(self.error) is kind, repr(self.error)
        assert isinstance(self.error, NbpError)
        assert_tells_no_secret(self.error)
        return self.error


def assert_tells_no_secret(error: BaseException) -> None:
    """Neither it nor what stands behind it prints the key; no library's error stands behind it."""
    behind = error.__cause__ or error.__context__
    assert behind is None or isinstance(behind, asyncio.CancelledError)
    assert KEY not in repr(error) + str(error) + repr(behind)


class Line:
    """A transport under test, and servers of its kind."""

    def __init__(self, kind: Kind, authority: trustme.CA, ca_file: str) -> None:
        self.kind = kind
        self.authority = authority
        self.ca_file = ca_file
        self.transport = self.make(ca_file)

    def make(self, ca: str | None, proxy: ProxyAddress | None = None) -> Transport:
        """A further transport of this kind, which trusts other authorities, or goes by a proxy."""
        network = network_of(proxy, ca, None, trust_env=False)
        return self.kind.transport(network)

    def serving(
        self, handler: Handler, name: str = "127.0.0.1"
    ) -> AbstractAsyncContextManager[RawServer]:
        """A server whose certificate, where it has one, is for `name`."""
        return serving(handler, self.tls(name) if self.kind.tls else None)

    def tls(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context

    def timer(self, request: HttpRequest, timeouts: Timeouts | None = None) -> StageTimer:
        return StageTimer(
            timeouts or Timeouts(),
            vendor="shop",
            queued_at=asyncio.get_running_loop().time(),
            size=len(request.body),
        )

    async def post(
        self,
        url: str,
        body: bytes = BODY,
        *,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> Got:
        """Send a request and read its answer to the end, or to the error."""
        return await self.exchange(HttpRequest("POST", url, HEADERS, body), timeouts, transport)

    async def exchange(
        self,
        request: HttpRequest,
        timeouts: Timeouts | None = None,
        transport: Transport | None = None,
    ) -> Got:
        loop = asyncio.get_running_loop()
        start = loop.time()
        timer = self.timer(request, timeouts)
        got = Got(timer)
        sender = transport or self.transport
        try:
            async with timer, sender.send(request, timer) as reply:
                got.head = reply.head
                while data := await reply.read():
                    timer.add_received(len(data))
                    got.pieces.append(data)
        except NbpError as exc:
            got.error = exc
        got.took = loop.time() - start
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return got

    async def aclose(self) -> None:
        await self.transport.aclose()


def near(seconds: float) -> object:
    """Equal in virtual time, where a few steps of the loop may count as well."""
    return pytest.approx(seconds, abs=0.01)
