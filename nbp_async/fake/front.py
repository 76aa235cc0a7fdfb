"""The vendor's front: how a request is answered, whoever does the work behind it.

All that is served goes out through here: short words, whole answers, and what was ordered instead
of one. It also knows when the ledger is final.
"""

import asyncio
from collections.abc import Iterable, Iterator
from email.utils import formatdate

from aiohttp import web

from nbp_async.fake import wire
from nbp_async.fake.answers import Body
from nbp_async.fake.bank import Account
from nbp_async.fake.counters import Counters
from nbp_async.fake.faults import Break, Fault, Raw, Refuse, Travel
from nbp_async.fake.quotas import Meter
from nbp_async.fake.refusals import Voice, allowance_headers, scripted
from nbp_async.fake.settings import Settings
from nbp_async.fake.wire import Gone, Sent

JSON = "application/json"
Headers = dict[str, str]
_DATE_IN = 5.0  # seconds until the date of a Retry-After that names none


class Visit:
    """One request that is being served; `status` is 0 until it is answered, and `settled` says that
    the ledger has nothing more to expect of it.
    """

    __slots__ = ("account", "id", "request", "settled", "status", "task", "voice")

    def __init__(self, request: web.BaseRequest, voice: Voice, number: int) -> None:
        self.request = request
        self.voice: Voice = voice
        self.id = f"req_{number:012x}"
        self.account: Account | None = None
        self.status = 0
        self.settled = True
        self.task = asyncio.current_task()


class Unsettled:
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

    async def none(self) -> None:
        """Return when nothing is left."""
        while self._count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter


class Front:
    """Answers visits.

    Args:
        settings: How the vendor works.
        counters: Count what goes out.
        gone: Waits until a client has hung up.
    """

    def __init__(self, settings: Settings, counters: Counters, gone: Gone) -> None:
        self.unsettled = Unsettled()
        self._settings = settings
        self._counters = counters
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._meters: dict[str, Meter] = {}
        self._number = 0

    def visit(self, request: web.BaseRequest, voice: Voice) -> Visit:
        """A request has come in."""
        self._number += 1
        return Visit(request, voice, self._number)

    def pays(self, visit: Visit) -> None:
        """The ledger waits for what comes of this visit, until `settle`."""
        visit.settled = False
        self.unsettled.begin()

    def settle(self, visit: Visit) -> None:
        """Nothing that this visit does from here on changes the ledger."""
        if not visit.settled:
            visit.settled = True
            self.unsettled.end()

    async def say(
        self, visit: Visit, status: int, body: bytes, headers: Headers | None = None
    ) -> web.StreamResponse:
        """Send a short answer."""
        heads = headers or {}
        kind = heads.pop("content-type", None) or JSON
        return (await self.send(visit, status, Body([body], kind), None, heads)).response

    async def send(
        self, visit: Visit, status: int, body: Body, fault: Fault | None = None,
        headers: Headers | None = None,
    ) -> Sent:  # fmt: skip
        """Send an answer; what `fault` says happens to it on the way."""
        visit.status = status
        heads = self._headers(visit) | (headers or {})
        if isinstance(fault, Travel):
            sent = await wire.send_badly(
                visit.request, fault, status, body.type, body.pieces, heads,
                speed=self._settings.speed, gone=self._gone,
            )  # fmt: skip
        else:
            sent = await wire.send(
                visit.request, status, body.type, body.pieces, heads, self._settings.pace
            )
        self._counters.bytes_out += sent.body_bytes
        return sent

    async def stream(
        self, visit: Visit, kind: str, size: int, content: Iterator[Iterable[bytes | memoryview]]
    ) -> Sent:
        """Send a body that is made as it goes."""
        visit.status = 200
        sent = await wire.send_stream(
            visit.request, 200, kind, size, content, self._headers(visit), self._settings.pace
        )
        self._counters.bytes_out += sent.body_bytes
        return sent

    async def instead(self, visit: Visit, fault: Fault) -> web.StreamResponse:
        """Do what was ordered instead of an answer."""
        if isinstance(fault, Refuse):
            wait = fault.retry_after
            seconds = float(wait) if isinstance(wait, int | float) else None
            body, headers = scripted(visit.voice, fault.code, seconds)
            if isinstance(wait, str):
                headers |= self._worded(wait)
            body = body if fault.body is None else fault.body
            return await self.say(visit, fault.code, body, headers | dict(fault.headers))
        assert isinstance(fault, Break | Raw)
        self.settle(visit)
        return await wire.break_off(visit.request, fault, self._gone)

    def meter(self, account: Account) -> Meter:
        """What counts this account's requests against its quotas."""
        meter = self._meters.get(account.key)
        if meter is None:
            meter = self._meters[account.key] = Meter(self._settings.quotas, self._settings.speed)
        return meter

    def _worded(self, wait: str) -> Headers:
        """A Retry-After of words: a date (with ours beside it, to be measured by), or as it is."""
        name, _, ahead = wait.partition(":")
        if name != "http-date":
            return {"retry-after": wait}
        now = self._settings.clock()
        until = now + (float(ahead) if ahead else _DATE_IN)
        return {
            "retry-after": formatdate(until, usegmt=True),
            "Date": formatdate(now, usegmt=True),
        }

    def _headers(self, visit: Visit) -> Headers:
        headers = {"x-request-id": visit.id}
        if visit.voice == "openai" and visit.account is not None:
            left = self.meter(visit.account).allowance(self._loop.time())
            if left is not None:
                headers |= allowance_headers(left)
        return headers
