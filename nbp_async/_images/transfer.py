"""One download: how much of the image is here, and how to ask for the rest."""

import re
import zlib
from collections.abc import Callable

from nbp_async._base.errors import (
    BodyTooLargeError,
    LinkExpiredError,
    NbpError,
    NotAnImageError,
)
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._images.collector import ByteIntake, KeptImage
from nbp_async._pacing.retry_after import parse_retry_after
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Reply
from nbp_async._transports.stage_timer import StageTimer

_MISSING = (403, 404)  # an image that was just made may still be on its way into the store
_GONE = 410
_START_AGAIN = (200, 206, 416)
_BEGINNING = 64 * 1024  # bytes that are compared, with the size, to recognise a body


class StoreError(NbpError):
    """The image store answered with a status that may pass.

    Attributes:
        is_missing: It knows no such image, or denies it (404, 403).
        retry_after: Seconds that it asks us to wait; None if it does not say.
    """

    def __init__(self, status: int, *, retry_after: float | None) -> None:
        super().__init__(f"the image store answered HTTP {status}")
        self.status = status
        self.retry_after = retry_after

    @property
    def is_missing(self) -> bool:
        return self.status in _MISSING


class Transfer:
    """One image on its way from its link into the sink, over one or several replies.

    Attributes:
        tries: How often it was asked for.
        missing: How many of these tries found no such image.
    """

    def __init__(self, url: str, sink: Sink, max_body: int, now: Callable[[], float]) -> None:
        self.url = url
        self.tries = 0
        self.missing = 0
        self._sink = sink
        self._max_body = max_body
        self._now = now
        self._intake: ByteIntake | None = None
        self._received = 0
        self._beginning = 0  # checksum of the first bytes
        self._validator = ""
        self._is_framed = True
        self._refusal: NotAnImageError | None = None
        self._refused_before: tuple[int, int] | None = None

    def request(self, url: str) -> HttpRequest:
        """The request for what is missing: the rest, if the store sent a validator for it.

        `url` is the link, or where it leads on to.
        """
        headers = {"Accept": "image/*"}
        if self._received and self._validator and self._refusal is None:
            headers |= {"Range": f"bytes={self._received}-", "If-Range": self._validator}
        return HttpRequest("GET", url, headers)

    async def receive(self, reply: Reply, timer: StageTimer) -> None:
        """Read the body of a reply.

        Of a body that is not an image the first 64 KiB are read, to know it if it comes again.

        Raises:
            NotAnImageError: The bytes are not an image.
            BodyTooLargeError: It is larger than an image may be.
            LinkExpiredError: The link answers 410.
            StoreError: The store answered another status.
            NbpError: The body ended early; what came of it stays, and can be continued.
        """
        head = reply.head
        await self._begin(head)
        if head.length is not None and self._received + head.length > self._max_body:
            raise BodyTooLargeError(f"The image has more than {self._max_body} bytes.")
        while self._wants_more() and (data := await reply.read()):
            timer.add_received(len(data))
            if self._received < _BEGINNING:
                self._beginning = zlib.crc32(data[: _BEGINNING - self._received], self._beginning)
            self._received += len(data)
            if self._received > self._max_body:
                raise BodyTooLargeError(f"The image has more than {self._max_body} bytes.")
            if self._refusal is None:
                timer.pause()
                await self._take(data)
                timer.resume()
        if self._refusal is not None:
            raise self._refusal

    def _wants_more(self) -> bool:
        return self._refusal is None or self._received < _BEGINNING

    async def _take(self, data: bytes) -> None:
        assert self._intake is not None
        try:
            await self._intake.take(data)
        except NotAnImageError as exc:
            self._refusal = exc.with_traceback(None)  # whose frames hold what was being read
            self._intake.discard()

    async def _begin(self, head: ReplyHead) -> None:
        """Continue where the last try stopped, or start again."""
        if head.status == _GONE:
            raise self.expired(head.status)
        if head.status == 206 and self._continues(head):
            return
        if head.status in _START_AGAIN:
            self.discard()
        if head.status != 200:
            wait = parse_retry_after(head.headers, now=self._now)
            raise StoreError(head.status, retry_after=wait)
        etag = head.headers.get("etag", "")
        strong = etag if etag.startswith('"') else ""
        self._validator = strong or head.headers.get("last-modified", "")
        if head.headers.get("content-encoding", "identity").lower() != "identity":
            self._validator = ""  # a range counts the compressed bytes: it cannot be continued
        # Without either, a connection that breaks looks like the end of the image.
        self._is_framed = head.length is not None or "transfer-encoding" in head.headers
        self._intake = ByteIntake(await self._sink.open())

    def expired(self, status: int) -> LinkExpiredError:
        """The error of a link that has answered this status often enough."""
        tries = f", in {self.missing} tries" if self.missing > 1 else ""
        return LinkExpiredError(
            f"The image's link has expired, or its image is gone (HTTP {status}{tries}).",
            url=self.url,
            hint="It was paid for: only the vendor can restore it.",
        )

    def _continues(self, head: ReplyHead) -> bool:
        """The reply is the rest of what is here: from the right byte, and of the same image."""
        if self._intake is None or self._refusal is not None:
            return False
        match = re.match(r"bytes (\d{1,12})-", head.headers.get("content-range", ""))
        kind = "etag" if self._validator.startswith('"') else "last-modified"
        same = head.headers.get(kind, self._validator) == self._validator
        return same and match is not None and int(match[1]) == self._received

    async def keep(self, stem: str, kept: list[KeptImage]) -> None:
        """Commit it, and add it to `kept`; see `ByteIntake.keep`.

        Raises:
            NotAnImageError: It is no whole image.
        """
        assert self._intake is not None
        await self._intake.keep(stem, kept, is_framed=self._is_framed)

    def came_again(self) -> bool:
        """The body is not an image, and is the same as last time. It is forgotten."""
        size = self._received if self._refusal is None else min(self._received, _BEGINNING)
        before, self._refused_before = self._refused_before, (size, self._beginning)
        self.discard()
        return self._refused_before == before

    def discard(self) -> None:
        """Forget what came; an image that was kept stays."""
        if self._intake is not None:
            self._intake.discard()
        self._intake, self._received, self._beginning = None, 0, 0
        self._validator, self._refusal = "", None
