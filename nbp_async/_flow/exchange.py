"""One request and its response: send, receive, decode, collect the images."""

import asyncio
from contextlib import suppress

import msgspec

from nbp_async._base.errors import (
    AuthError,
    BodyTooLargeError,
    MalformedReplyError,
    NbpError,
    QuotaError,
    RefusedError,
)
from nbp_async._base.http import CleanHeaders, HttpRequest, ReplyHead
from nbp_async._base.secret import HIDDEN, Secret
from nbp_async._dialects.base import Answer, Decoder, Dialect
from nbp_async._dialects.image_text import with_full_links
from nbp_async._flow.endpoint import Endpoint
from nbp_async._images.body_reader import read_piece
from nbp_async._images.collector import Collector
from nbp_async._pacing.announced_rate import announced_per_minute
from nbp_async._pacing.daily_quota import describe_renewal, next_pacific_midnight
from nbp_async._pacing.decode_turns import DecodeTurn
from nbp_async._pacing.retry_after import parse_retry_after
from nbp_async._sinks.base import Sink
from nbp_async._sinks.reply_spool import ReplySpool
from nbp_async._transports.base import Reply, Transport
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._vendors.api_keys import shown
from nbp_async._vendors.price_options import Given

_MOST_OF_A_REFUSAL = 64 * 1024  # bytes
_RAISE_LIMIT = "Raise Limits(max_body=...) for images of that size."
_NO_BALANCE = 402  # is about the account, whichever key asks
_LARGE_PIECE = 16 * 1024  # bytes that take long enough to let others run in between


class Exchange:
    """A request and its response, filled in as they come, so that it can be cut off anywhere.

    Attributes:
        dialect: Reads the response.
        collector: The images of the response, not yet committed.
        head: Status and headers, once they are here.
        answer: What a complete successful response says.
        max_bytes: Bytes that a successful response may have; None for `Limits.max_body`.
        spool: The response as it came, if it is to be kept should it prove unreadable; else None.
        url: Where the request went, once it was sent.
    """

    __slots__ = ("_refused", "answer", "collector", "dialect", "head", "max_bytes", "spool", "url")

    def __init__(self, dialect: Dialect, sink: Sink) -> None:
        self.dialect = dialect
        self.collector = Collector(sink)
        self.head: ReplyHead | None = None
        self.answer: Answer | None = None
        self.max_bytes: int | None = None
        self.spool: ReplySpool | None = None
        self.url = ""
        self._refused = b""

    @property
    def request_id(self) -> str:
        """The vendor's id of the request, or ""."""
        from_head = self.head.request_id if self.head is not None else ""
        return from_head or (self.answer.request_id if self.answer is not None else "")

    @property
    def model(self) -> str:
        """The version of the model that answered, or ""."""
        return self.answer.model if self.answer is not None else ""

    @property
    def given(self) -> Given:
        """What the vendor says that it gave: that is billed, whatever was asked for."""
        head, answer = self.head, self.answer
        tier = head.service_tier if head is not None else ""
        if answer is None:
            return Given(tier)
        return Given(tier or answer.tier, answer.quality)

    async def exchange(
        self,
        endpoint: Endpoint,
        transport: Transport,
        request: HttpRequest,
        timer: StageTimer,
        decoder: Decoder | None = None,
    ) -> None:
        """Send it, and read the response to its end; `decoder` is the dialect's unless given.

        Raises:
            NbpError: What went wrong, without the key in it.
        """
        try:
            await self._exchange(endpoint, transport, request, timer, decoder)
        except NbpError as exc:
            # Its frames would keep the request and its key alive, and show the key in reports.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
            endpoint.key.hide_from(exc)
            raise

    async def _exchange(
        self,
        endpoint: Endpoint,
        transport: Transport,
        request: HttpRequest,
        timer: StageTimer,
        decoder: Decoder | None,
    ) -> None:
        decoder = decoder or self.dialect.decoder()
        decoder.read_through(endpoint.key.hide_bytes)
        self.url = request.url
        turn = endpoint.sign(request)
        try:
            async with timer, transport.send(request, timer) as reply:
                self.head = head = _without_key(reply.head, endpoint.key)
                if head.status in self.dialect.statuses:
                    await self._receive(endpoint, reply, timer, decoder)
                else:
                    await self._read_refusal(reply, timer, endpoint.resources.limits.max_body)
        except MalformedReplyError:
            # A refusal counts even if its body is cut off: its status says all that matters.
            if self.head is None or self.head.status in self.dialect.statuses:
                raise
        if self.head is not None and self.head.status not in self.dialect.statuses:
            raise self._refusal(self.head, endpoint, turn)
        answer = _without_key_in_addresses(endpoint.key.hide_from(decoder.close()))
        self.answer = answer = with_full_links(answer, request.url)
        if answer.handle is not None and answer.eta is None and self.head is not None:
            # A task that is not done: some servers say in its head when to look again.
            clock = endpoint.resources.wall_clock
            wait = parse_retry_after(self.head.headers, now=clock) or None
            self.answer = msgspec.structs.replace(answer, eta=wait)

    async def _receive(
        self, endpoint: Endpoint, reply: Reply, timer: StageTimer, decoder: Decoder
    ) -> None:
        length, max_body = reply.head.length, self.max_bytes or endpoint.resources.limits.max_body
        if length is not None and length > max_body:
            raise BodyTooLargeError(
                f"An answer of {length} bytes is over max_body={max_body}.", hint=_RAISE_LIMIT
            )
        size = 0
        turn = DecodeTurn(endpoint.resources.decode_turns)
        try:
            while data := await self._read(reply, timer, max_body, decoder):
                size += len(data)
                if size > max_body:
                    raise BodyTooLargeError(
                        f"The answer is over max_body={max_body} bytes.", hint=_RAISE_LIMIT
                    )
                timer.add_received(len(data))
                # A slow disk or a queue of decoders is not the server's fault: its clock stands.
                timer.pause()
                try:
                    await turn.begin()
                    await self._take(decoder, data)
                finally:
                    timer.resume()
                turn.pause(len(data))
                if size != length and decoder.complete:
                    timer.expect_end()
        except MalformedReplyError:
            turn.end()
            await self._keep_rest(reply, timer, max_body)
            raise
        finally:
            turn.end()

    async def _read(
        self, reply: Reply, timer: StageTimer, max_body: int, decoder: Decoder | None = None
    ) -> bytes:
        """The next piece of the body. What came is spooled, also if it cannot be inflated."""
        problem: MalformedReplyError | None = None
        data = b""
        try:
            data = await (reply.read() if decoder is None else read_piece(reply, decoder))
        except MalformedReplyError as exc:
            problem = exc
        await self._spool(reply.sent, timer, max_body)
        if problem is not None:
            raise problem
        return data

    async def _keep_rest(self, reply: Reply, timer: StageTimer, max_body: int) -> None:
        """It cannot be read on: spool what follows, as it is sent."""
        spool = self.spool
        if spool is None:
            return
        with suppress(NbpError):
            while spool.size < max_body and (data := await reply.read_sent()):
                timer.add_received(len(data))
                await self._spool(data, timer, max_body)

    async def _spool(self, data: bytes, timer: StageTimer, max_body: int) -> None:
        spool = self.spool
        if spool is not None and data and spool.size < max_body:
            if spool.write_nowait(data[: max_body - spool.size]):
                return
            timer.pause()
            await spool.flush()
            timer.resume()

    async def _take(self, decoder: Decoder, data: bytes) -> None:
        """Decode and store a piece."""
        parts = decoder.feed(data)
        if parts:
            await self.collector.take(parts)
        if len(data) > _LARGE_PIECE:
            await asyncio.sleep(0)

    async def _read_refusal(self, reply: Reply, timer: StageTimer, max_body: int) -> None:
        """Read its beginning; of a success that is none of this API's, all that may be kept."""
        if reply.head.status >= 300:
            self.spool = None
        most = _MOST_OF_A_REFUSAL if self.spool is None else max_body
        size = 0
        try:
            while size < most and (data := await self._read(reply, timer, max_body)):
                timer.add_received(len(data))
                size += len(data)
                self._refused += data[: max(0, _MOST_OF_A_REFUSAL - len(self._refused))]
        except MalformedReplyError:
            await self._keep_rest(reply, timer, max_body)
            raise

    def discard(self) -> None:
        """Leave no trace of images that were not committed, nor of the response."""
        self.collector.discard()
        if self.spool is not None:
            self.spool.discard()

    def _refusal(self, head: ReplyHead, endpoint: Endpoint, turn: int) -> RefusedError:
        # Some vendors repeat the key that they refuse; it is hidden before anything is cut off.
        body = endpoint.key.hide_bytes(self._refused)
        error = self.dialect.refusal(head, body, endpoint.profile)
        if isinstance(error, AuthError):
            error.hint = f"{shown(endpoint.key, endpoint.profile)} {error.hint}"
            if head.status != _NO_BALANCE:
                error.is_transient = endpoint.key.replace(turn)
        retry_after = parse_retry_after(head.headers, now=endpoint.resources.wall_clock)
        if retry_after is not None:
            error.retry_after = max(retry_after, error.retry_after or 0.0)
        error.per_minute = announced_per_minute(head.headers)
        if isinstance(error, QuotaError) and error.is_daily:
            now = endpoint.resources.wall_clock()
            error.resets_at = next_pacific_midnight(now)
            renewed = describe_renewal(error.resets_at, now)
            error.hint = f"{error.hint} It is renewed at midnight Pacific time, {renewed}."
        return error


def _without_key(head: ReplyHead, key: Secret) -> ReplyHead:
    return ReplyHead(head.status, CleanHeaders(head.headers, key.hide))


def _without_key_in_addresses(answer: Answer) -> Answer:
    """A task's addresses with the key in them are not used: the service's table has others."""
    handle = answer.handle
    if handle is None:
        return answer
    addresses = {"look": handle.look, "cancel": handle.cancel, "result": handle.result}
    spoiled = {name: "" for name, address in addresses.items() if HIDDEN in address}
    handle = msgspec.structs.replace(handle, **spoiled)
    return msgspec.structs.replace(answer, handle=handle)
