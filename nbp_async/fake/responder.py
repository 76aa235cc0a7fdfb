"""How requests are answered, whoever does the work behind it.

All answers leave through here: short ones, images, and faults in place of either. The responder
also knows when the ledger is final.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from email.utils import formatdate

from aiohttp import web

from nbp_async.fake import wire
from nbp_async.fake.api_errors import ApiStyle, allowance_headers, scripted_error
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.counters import Counters
from nbp_async.fake.fake_settings import FakeSettings
from nbp_async.fake.faults import BadTransfer, ErrorReply, Fault, NoAnswer
from nbp_async.fake.payloads import Payload
from nbp_async.fake.quotas import Meter
from nbp_async.fake.wire import SendResult, WaitForDisconnect

JSON = "application/json"
Headers = dict[str, str]
_DATE_IN = 5.0  # seconds until the date of a Retry-After that names none


class RequestContext:
    """One request that is being served.

    Attributes:
        id: What x-request-id says.
        account: Who pays, once the key is checked.
        status: HTTP status of the answer; 0 until there is one.
        settled: Nothing that this request does can change the ledger any more.
        task: Serves it.
    """

    __slots__ = ("account", "id", "request", "settled", "status", "style", "task")

    def __init__(self, request: web.BaseRequest, style: ApiStyle, number: int) -> None:
        self.request = request
        self.style: ApiStyle = style
        self.id = f"req_{number:012x}"
        self.account: BankAccount | None = None
        self.status = 0
        self.settled = True
        self.task = asyncio.current_task()


Serve = Callable[[RequestContext], Awaitable[web.StreamResponse]]


class PendingCharges:
    """Counts what may still add to the ledger, or change it."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        self._count += 1

    def end(self) -> None:
        self._count -= 1
        if not self._count:
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait_for_none(self) -> None:
        """Return when nothing is left."""
        while self._count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter


class Responder:
    """Answers requests.

    Args:
        settings: How the vendor works.
        counters: Count what leaves.
        wait_for_disconnect: Waits until a client has closed its connection.
    """

    def __init__(
        self,
        settings: FakeSettings,
        counters: Counters,
        wait_for_disconnect: WaitForDisconnect,
    ) -> None:
        self.pending_charges = PendingCharges()
        self._settings = settings
        self._counters = counters
        self._wait_for_disconnect = wait_for_disconnect
        self._loop = asyncio.get_running_loop()
        self._meters: dict[str, Meter] = {}
        self._number = 0

    def open(self, request: web.BaseRequest, style: ApiStyle) -> RequestContext:
        """The context of a request that has come in."""
        self._number += 1
        return RequestContext(request, style, self._number)

    def begin_charge(self, ctx: RequestContext) -> None:
        """Hold the ledger open for this request, until `settle`."""
        ctx.settled = False
        self.pending_charges.begin()

    def settle(self, ctx: RequestContext) -> None:
        """Nothing that this request does from here on changes the ledger."""
        if not ctx.settled:
            ctx.settled = True
            self.pending_charges.end()

    async def reply(
        self, ctx: RequestContext, status: int, body: bytes, headers: Headers | None = None
    ) -> web.StreamResponse:
        """Send a short answer."""
        headers = headers or {}
        kind = headers.pop("content-type", None) or JSON
        return (await self.send(ctx, status, Payload([body], kind), None, headers)).response

    async def send(
        self,
        ctx: RequestContext,
        status: int,
        payload: Payload,
        fault: Fault | None = None,
        headers: Headers | None = None,
    ) -> SendResult:
        """Send an answer; `fault` may spoil the transfer."""
        ctx.status = status
        headers = self._headers(ctx) | (headers or {})
        if isinstance(fault, BadTransfer):
            sent = await wire.send_badly(
                ctx.request,
                fault,
                status,
                payload,
                headers,
                speed=self._settings.speed,
                wait_for_disconnect=self._wait_for_disconnect,
            )
        else:
            sent = await wire.send(ctx.request, status, payload, headers, self._settings.pace)
        self._counters.bytes_out += sent.body_bytes
        return sent

    async def stream(
        self,
        ctx: RequestContext,
        kind: str,
        size: int,
        content: Iterator[Iterable[bytes | memoryview]],
    ) -> SendResult:
        """Send a body of this size that is made while it is sent."""
        ctx.status = 200
        sent = await wire.send_stream(
            ctx.request, kind, size, content, self._headers(ctx), self._settings.pace
        )
        self._counters.bytes_out += sent.body_bytes
        return sent

    async def send_events(
        self, ctx: RequestContext, events: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Send each event as soon as there is one; the stream ends with the last."""
        ctx.status = 200
        return await wire.send_events(ctx.request, events, self._headers(ctx))

    async def send_fault(self, ctx: RequestContext, fault: NoAnswer) -> web.StreamResponse:
        """Do what the fault says in place of an answer."""
        if not isinstance(fault, ErrorReply):
            self.settle(ctx)
            return await wire.break_off(ctx.request, fault, self._wait_for_disconnect)
        wait = fault.retry_after
        seconds = float(wait) if isinstance(wait, int | float) else None
        body, headers = scripted_error(ctx.style, fault.code, seconds)
        if isinstance(wait, str):
            headers |= self._retry_after(wait)
        body = body if fault.body is None else fault.body
        return await self.reply(ctx, fault.code, body, headers | dict(fault.headers))

    def meter(self, account: BankAccount) -> Meter:
        """Counts this account's requests against its quotas."""
        meter = self._meters.get(account.key)
        if meter is None:
            meter = self._meters[account.key] = Meter(self._settings.quotas, self._settings.speed)
        return meter

    def _retry_after(self, text: str) -> Headers:
        """A Retry-After that is a text: a date, with our own date to measure it by, or as it is."""
        name, _, ahead = text.partition(":")
        if name != "http-date":
            return {"retry-after": text}
        now = self._settings.clock()
        until = now + (float(ahead) if ahead else _DATE_IN)
        return {
            "retry-after": formatdate(until, usegmt=True),
            "Date": formatdate(now, usegmt=True),
        }

    def _headers(self, ctx: RequestContext) -> Headers:
        headers = {"x-request-id": ctx.id}
        if ctx.style == "openai" and ctx.account is not None:
            left = self.meter(ctx.account).allowance(self._loop.time())
            if left is not None:
                headers |= allowance_headers(left)
        return headers
