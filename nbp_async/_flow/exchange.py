"""One request and its answer as far as it got: sent, received, decoded, its images collected."""

import asyncio

from nbp_async._dialects.base import Answer, Decoder, Dialect
from nbp_async._errors import (
    AuthError,
    BodyTooLargeError,
    MalformedReplyError,
    NbpError,
    RefusedError,
)
from nbp_async._flow.wiring import Wiring
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._images.collect import Collector
from nbp_async._keys import shown
from nbp_async._pacing.retry_after import parse_retry_after
from nbp_async._pacing.turns import Turn
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Reply, Transport, Watch

_MOST_OF_A_REFUSAL = 64 * 1024  # bytes
_LARGER = "Raise Limits(max_body=...) for images of that size."
_LARGE_PIECE = 16 * 1024  # bytes that take long enough to let others run in between


class Exchange:
    """Filled in while it goes, so that it can be cut off anywhere.

    Attributes:
        dialect: Reads the answer.
        collector: The images of the answer, not yet committed.
        head: Status and headers, once they are here.
        answer: What a whole good answer said.
        most: Bytes that a good answer may have; None for `Limits.max_body`.
    """

    __slots__ = ("_refused", "answer", "collector", "dialect", "head", "most")

    def __init__(self, dialect: Dialect, sink: Sink) -> None:
        self.dialect = dialect
        self.collector = Collector(sink)
        self.head: ReplyHead | None = None
        self.answer: Answer | None = None
        self.most: int | None = None
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

    async def exchange(
        self,
        wiring: Wiring,
        transport: Transport,
        request: HttpRequest,
        watch: Watch,
        decoder: Decoder | None = None,
    ) -> None:
        """Send it, and read the answer to its end; `decoder` is the dialect's unless given.

        Raises:
            NbpError: What went wrong, without the key in it.
        """
        try:
            await self._exchange(wiring, transport, request, watch, decoder)
        except NbpError as exc:
            # Frames would keep the request, and the key in it, alive and in every report.
            exc.__traceback__ = exc.__context__ = exc.__cause__ = None
            _hide(exc, wiring.key.reveal())
            raise

    async def _exchange(
        self,
        wiring: Wiring,
        transport: Transport,
        request: HttpRequest,
        watch: Watch,
        decoder: Decoder | None,
    ) -> None:
        decoder = decoder or self.dialect.decoder()
        try:
            async with watch, transport.send(request, watch) as reply:
                self.head = head = reply.head
                if head.status in self.dialect.statuses:
                    await self._receive(wiring, reply, watch, decoder)
                else:
                    await self._read_refusal(reply, watch)
        except MalformedReplyError:
            # A refusal is one whether or not its text came whole.
            if self.head is None or self.head.status in self.dialect.statuses:
                raise
        if self.head is not None and self.head.status not in self.dialect.statuses:
            raise self._refusal(self.head, wiring)
        self.answer = decoder.close()

    async def _receive(self, wiring: Wiring, reply: Reply, watch: Watch, decoder: Decoder) -> None:
        length, max_body = reply.head.length, self.most or wiring.limits.max_body
        if length is not None and length > max_body:
            raise BodyTooLargeError(
                f"An answer of {length} bytes is over max_body={max_body}.", hint=_LARGER
            )
        size = 0
        turn = Turn(wiring.turns)
        try:
            while data := await reply.read():
                size += len(data)
                if size > max_body:
                    raise BodyTooLargeError(
                        f"The answer is over max_body={max_body} bytes.", hint=_LARGER
                    )
                watch.received(len(data))
                watch.rest()
                await turn.begin()
                await self._take(decoder, data)
                turn.pause(len(data))
                watch.resume()
                if length is None and decoder.complete:
                    watch.whole()
        finally:
            turn.end()

    async def _take(self, decoder: Decoder, data: bytes) -> None:
        """Decode and store a piece."""
        parts = decoder.feed(data)
        if parts:
            await self.collector.take(parts)
        if len(data) > _LARGE_PIECE:
            await asyncio.sleep(0)

    async def _read_refusal(self, reply: Reply, watch: Watch) -> None:
        while len(self._refused) < _MOST_OF_A_REFUSAL and (data := await reply.read()):
            watch.received(len(data))
            self._refused += data

    def _refusal(self, head: ReplyHead, wiring: Wiring) -> RefusedError:
        # A vendor may repeat the key that it refuses, in whatever shape keys have there.
        said = self._refused.replace(wiring.key.reveal().encode(), b"[hidden]")
        error = self.dialect.refusal(head, said, wiring.profile)
        if isinstance(error, AuthError):
            error.hint = f"{shown(wiring.key, wiring.profile)} {error.hint}"
        asked = parse_retry_after(head.headers, now=wiring.wall_clock)
        if asked is not None:
            error.retry_after = max(asked, error.retry_after or 0.0)
        return error


def _hide(error: NbpError, key: str) -> None:
    """Take the key out of a vendor's words, whatever shape keys have there."""
    error.args = tuple(str(part).replace(key, "[hidden]") for part in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str) and key in value:
            setattr(error, name, value.replace(key, "[hidden]"))
