"""Downloads an image that came as a link: at once, without the key, with retries.

The image is paid for, so fetching it again is free: a download that was cut is resumed there, and a
failed one is tried again for half an hour. The link comes from outside, so it may only lead where
an image store can be: https, and no private address (`_transports/private_addresses.py` checks the
address that is really dialled).
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbp_async._base.errors import (
    BodyTooLargeError,
    ConfigError,
    DownloadError,
    MalformedReplyError,
    NbpError,
    NoReplyError,
    NotAnImageError,
    NotSentError,
)
from nbp_async._images.collector import KeptImage
from nbp_async._images.transfer import StoreError, Transfer
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport
from nbp_async._transports.stage_timer import StageTimer

TRIES = 8


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
        """Say why this link must not be followed, or None."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "it is not a valid link"
        host = (parts.hostname or "").rstrip(".")
        if not host or any(ord(c) <= 32 or ord(c) == 127 for c in url):
            return "it is not a valid link"
        if parts.username is not None or parts.password is not None:
            return "it contains a user name"
        if self.hosts is not None and not any(
            host == allowed or host.endswith("." + allowed) for allowed in self.hosts
        ):
            return f"{host} is not among the allowed hosts"
        if self.private:
            return None if parts.scheme in ("http", "https") else f"{parts.scheme}:// is not http"
        if parts.scheme != "https":
            return f"it is {parts.scheme}://, not https://"
        return None if port in (None, 443) else f"it names port {port}"


def link_policy(hosts: Collection[str] | None, *, private: bool) -> LinkPolicy:
    """The policy for these options.

    Raises:
        ConfigError: The hosts are one str instead of a list.
    """
    if isinstance(hosts, str):
        raise ConfigError("must be a list of hosts.", option="link_hosts", value=hosts)
    names = None if hosts is None else frozenset(host.lower() for host in hosts)
    return LinkPolicy(hosts=names, private=private)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTimeouts:
    """Time-outs of one try, in seconds; see `_transports.stage_timer.StageTimeouts`."""

    connect: float = 10.0
    upload: float = 15.0
    read: float = 60.0
    body: float = 30.0
    silence: float = 4.0


class Downloader:
    """Fetches images by link into a sink. Belongs to one event loop; holds no slot of the gate."""

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

    async def fetch(
        self, url: str, sink: Sink, stem: str, kept: list[KeptImage] | None = None
    ) -> KeptImage:
        """Download the image at `url` into `sink`.

        It is added to `kept` as well, if that is given: the caller finds it there although it was
        cancelled while the image was committed.

        Raises:
            LinkExpiredError: The link answers 403, 404 or 410.
            DownloadError: It must not be followed, or every try failed; with the last reason.
            StorageError: The image came and could not be stored.
        """
        reason = self._policy.refusal_of(url)
        if reason is not None:
            raise DownloadError(f"The image's link was not followed: {reason}.", url=url)
        kept = [] if kept is None else kept
        transfer = Transfer(url, sink, self._max_body)
        try:
            problem = await self._tries(transfer, stem, kept)
        finally:
            transfer.discard()
        if problem is None:
            return kept[-1]
        raise DownloadError(
            f"The image was made, but could not be downloaded in {transfer.tries} tries: "
            f"{str(problem).rstrip('.')}.",
            url=url,
            hint="Its link is in this error: download it before it expires.",
        )

    async def aclose(self) -> None:
        """Close the connections to image stores."""
        await self._transport.aclose()

    async def _tries(self, transfer: Transfer, stem: str, kept: list[KeptImage]) -> NbpError | None:
        """Try until it is kept; returns the problem of the last try, if it never is.

        Between two tries the place is free for others. The patience counts from the first try, not
        from the wait for a place.
        """
        loop = asyncio.get_running_loop()
        give_up: float | None = None
        while True:
            async with self._places:
                give_up = loop.time() + self._patience if give_up is None else give_up
                problem = await self._try(transfer, stem, kept)
            wait = self._rng() * min(60.0, 2.0**transfer.tries)
            if problem is None or transfer.tries == TRIES or loop.time() + wait > give_up:
                return problem
            await asyncio.sleep(wait)

    async def _try(self, transfer: Transfer, stem: str, kept: list[KeptImage]) -> NbpError | None:
        """Try once: returns a problem that may pass, raises one that does not."""
        try:
            timer = StageTimer(
                DownloadTimeouts(read=min(60.0, self._patience)),
                vendor=urlsplit(transfer.url).netloc,
                queued_at=asyncio.get_running_loop().time(),
            )
            async with timer, self._transport.send(transfer.request(), timer) as reply:
                await transfer.receive(reply, timer)
            await transfer.keep(stem, kept)
        except NotAnImageError as exc:
            # It may be a page that asks to wait: only the same bytes twice are final.
            if not transfer.came_again():
                return exc
            problem = DownloadError(f"The link is not an image: {exc}", url=transfer.url)
        except BodyTooLargeError as exc:
            problem = DownloadError(f"The link is not an image: {exc}", url=transfer.url)
        except (NotSentError, NoReplyError, MalformedReplyError, StoreError) as exc:
            return exc
        else:
            return None
        raise problem
