"""An image that came as a link: fetched at once, without the key, and as often as it takes.

The image is paid for, so fetching it again is free: a cut is resumed where it happened, a failure
is tried again for half an hour. The link comes from outside, so it may only lead where an image
store can be: https, and no address of a private network (see `_transports/addresses.py`, which is
asked about the address that is really dialled).
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbp_async._errors import (
    BodyTooLargeError,
    DownloadError,
    LinkExpiredError,
    MalformedReplyError,
    NbpError,
    NoReplyError,
    NotAnImageError,
    NotSentError,
    StorageError,
)
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._images.collect import ByteIntake, Kept
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Reply, Transport, Watch

TRIES = 8
_GONE = (403, 404, 410)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPolicy:
    """Where links may lead.

    Attributes:
        hosts: Hosts that are allowed, with their subdomains; None for any public one.
        private: Plain http, any port and addresses of private networks are allowed too.
    """

    hosts: frozenset[str] | None = None
    private: bool = False

    def refusal_of(self, url: str) -> str | None:
        """Why this link must not be followed, or None."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "it is no valid link"
        host = (parts.hostname or "").rstrip(".")
        if not host or any(ord(c) <= 32 or ord(c) == 127 for c in url):
            return "it is no valid link"
        if parts.username is not None or parts.password is not None:
            return "it carries a user name"
        if self.hosts is not None and not any(
            host == allowed or host.endswith("." + allowed) for allowed in self.hosts
        ):
            return f"{host} is not among the allowed hosts"
        if self.private:
            return None if parts.scheme in ("http", "https") else f"{parts.scheme}:// is not http"
        if parts.scheme != "https":
            return f"it is {parts.scheme}://, not https://"
        return None if port in (None, 443) else f"it names port {port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadSpans:
    """Time-outs of one try, in seconds; see `_transports.base.Spans`."""

    connect: float = 10.0
    upload: float = 15.0
    read: float = 60.0
    body: float = 30.0
    silence: float = 4.0


class Downloader:
    """Fetch images by link into a sink. Belongs to one event loop; holds no slot of the gate."""

    def __init__(
        self,
        transport: Transport,
        *,
        policy: LinkPolicy,
        at_once: int,
        patience: float,
        max_body: int,
        rng: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._places = asyncio.Semaphore(at_once)
        self._patience = patience
        self._max_body = max_body
        self._rng = rng

    async def fetch(self, url: str, sink: Sink, stem: str) -> Kept:
        """Bring the image behind `url` into `sink`.

        Raises:
            LinkExpiredError: The link answers 403, 404 or 410.
            DownloadError: It must not be followed, or every try failed; the last one's reason.
            StorageError: The image came and could not be kept.
        """
        reason = self._policy.refusal_of(url)
        if reason is not None:
            raise DownloadError(f"The image's link was not followed: {reason}.", url=url)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        async with self._places:
            transfer = _Transfer(url, sink, self._max_body)
            try:
                for number in range(1, TRIES + 1):
                    problem = await self._try(transfer, stem)
                    if isinstance(problem, Kept):
                        return problem
                    wait = self._rng() * min(60.0, 2.0**number)
                    if number == TRIES or loop.time() + wait > give_up:
                        break
                    await asyncio.sleep(wait)
            finally:
                transfer.discard()
        raise DownloadError(
            f"The image was made, and could not be fetched in {number} tries: {problem}",
            url=url,
            hint="Its link is in this error; fetch it before it expires.",
        )

    async def aclose(self) -> None:
        """Close the connections to image stores."""
        await self._transport.aclose()

    async def _try(self, transfer: "_Transfer", stem: str) -> Kept | NbpError:
        """One try; what can be tried again comes back, what can't is raised."""
        try:
            watch = Watch(
                DownloadSpans(read=min(60.0, self._patience)),
                vendor=urlsplit(transfer.url).netloc,
                queued_at=asyncio.get_running_loop().time(),
            )
            async with watch, self._transport.send(transfer.request(), watch) as reply:
                await transfer.receive(reply, watch)
            return await transfer.keep(stem)
        except (StorageError, LinkExpiredError, DownloadError):
            raise
        except (BodyTooLargeError, NotAnImageError) as exc:
            problem: NbpError = DownloadError(f"The link is no image: {exc}", url=transfer.url)
        except (NotSentError, NoReplyError, MalformedReplyError, _StoreError) as exc:
            return exc
        raise problem


class _StoreError(NbpError):
    """The image store answered something that may pass."""


class _Transfer:
    """How much of one image is here, and how to ask for the rest."""

    def __init__(self, url: str, sink: Sink, max_body: int) -> None:
        self.url = url
        self._sink = sink
        self._max_body = max_body
        self._intake: ByteIntake | None = None
        self._received = 0
        self._validator = ""

    def request(self) -> HttpRequest:
        headers = {"Accept": "image/*"}
        if self._received and self._validator:
            headers |= {"Range": f"bytes={self._received}-", "If-Range": self._validator}
        return HttpRequest("GET", self.url, headers)

    async def receive(self, reply: Reply, watch: Watch) -> None:
        head = reply.head
        await self._begin(head)
        assert self._intake is not None
        if head.length is not None and self._received + head.length > self._max_body:
            raise BodyTooLargeError(f"The image has more than {self._max_body} bytes.")
        while data := await reply.read():
            watch.received(len(data))
            self._received += len(data)
            if self._received > self._max_body:
                raise BodyTooLargeError(f"The image has more than {self._max_body} bytes.")
            watch.rest()
            await self._intake.take(data)
            watch.resume()

    async def _begin(self, head: ReplyHead) -> None:
        """Go on where the last try stopped, or start afresh."""
        if head.status in _GONE:
            raise LinkExpiredError(
                f"The image's link no longer answers (HTTP {head.status}).", url=self.url
            )
        if head.status == 206 and self._intake is not None and self._continues(head):
            return
        self.discard()
        if head.status != 200:
            raise _StoreError(f"the image store answered HTTP {head.status}")
        etag = head.headers.get("etag", "")
        strong = etag if etag.startswith('"') else ""
        self._validator = strong or head.headers.get("last-modified", "")
        self._intake = ByteIntake(await self._sink.open())

    def _continues(self, head: ReplyHead) -> bool:
        match = re.match(r"bytes (\d{1,12})-", head.headers.get("content-range", ""))
        return match is not None and int(match[1]) == self._received

    async def keep(self, stem: str) -> Kept:
        """Commit it; a body that is no whole image is forgotten, to be fetched from its start."""
        assert self._intake is not None
        try:
            kept = await self._intake.keep(stem)
        except MalformedReplyError as exc:
            self.discard()
            problem = _StoreError(str(exc))
        else:
            self._intake = None
            return kept
        raise problem

    def discard(self) -> None:
        if self._intake is not None:
            self._intake.discard()
        self._intake, self._received, self._validator = None, 0, ""
