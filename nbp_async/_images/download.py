"""Downloads an image that came as a link: at once, without the key, with retries.

The image is paid for, so fetching it again is free: a download that was cut is resumed there, and a
failed one is tried again for half an hour. The link comes from outside, so it may only lead where
an image store can be: https, and no private address (`_transports/private_addresses.py` checks the
address that is really dialled). The same holds for each place that it redirects to.

A store that has just been given an image may deny it for a second or two (403, 404). So a link is
given up only after several tries over some seconds.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
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
from nbp_async._images.redirects import MOST_REDIRECTS, redirect_target
from nbp_async._images.transfer import StoreError, Transfer
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport
from nbp_async._transports.stage_timer import StageTimer
from nbp_async._transports.transport_errors import RefusedAddressError

TRIES = 8
MISSING_TRIES = 5  # over 4 to 8 seconds
_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the store asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPolicy:
    """Where links may lead.

    Attributes:
        hosts: Hosts that are allowed, with their subdomains; None for any public one.
        private: Plain http, any port and addresses of private networks are allowed too.
        http: Plain http is allowed too, at any port.
    """

    hosts: frozenset[str] | None = None
    private: bool = False
    http: bool = False

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
        if parts.scheme == "http" and self.http:
            return None
        if parts.scheme != "https":
            return f"it is {parts.scheme}://, not https://"
        return None if port in (None, 443) else f"it names port {port}"

    def check(self, url: str, link: str) -> None:
        """Check an image's link, or the place `url` that it redirects to.

        Raises:
            DownloadError: It must not be followed.
        """
        reason = self.refusal_of(url)
        if reason is not None:
            would_help = replace(self, http=True).refusal_of(url) is None
            error = not_followed(url, link, reason)
            error.remedy = {"allow_http": True} if would_help else {}
            raise error


def not_followed(url: str, link: str, reason: str) -> DownloadError:
    """The error of an image's link, or of the place `url` that it redirects to."""
    what = "The image's link" if url == link else "The redirect of the image's link"
    return DownloadError(f"{what} was not followed: {reason}.", url=link)


def link_policy(hosts: Collection[str] | None, *, private: bool, http: bool) -> LinkPolicy:
    """The policy for these options.

    Raises:
        ConfigError: The hosts are one str instead of a list.
    """
    if isinstance(hosts, str):
        raise ConfigError("must be a list of hosts.", option="link_hosts", value=hosts)
    names = None if hosts is None else frozenset(host.lower() for host in hosts)
    return LinkPolicy(hosts=names, private=private, http=http)


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
        wall_clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._policy = policy
        self._places = asyncio.Semaphore(at_once)
        self._patience = patience
        self._max_body = max_body
        self._rng = rng
        self._wall_clock = wall_clock

    async def fetch(
        self, url: str, sink: Sink, stem: str, kept: list[KeptImage] | None = None
    ) -> KeptImage:
        """Download the image at `url` into `sink`.

        It is added to `kept` as well, if that is given: the caller finds it there although it was
        cancelled while the image was committed.

        Raises:
            LinkExpiredError: The link answers 410, or 403 or 404 for some seconds.
            DownloadError: It must not be followed, or every try failed; with the last reason.
            StorageError: The image came and could not be stored.
        """
        self._policy.check(url, url)
        kept = [] if kept is None else kept
        transfer = Transfer(url, sink, self._max_body, self._wall_clock)
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
            if problem is None or transfer.tries == TRIES:
                return problem
            wait = self._wait_after(problem, transfer)
            if loop.time() + wait > give_up:
                return problem
            await asyncio.sleep(wait)

    def _wait_after(self, problem: NbpError, transfer: Transfer) -> float:
        """Seconds until the next try."""
        wait = self._rng() * min(_LONGEST_WAIT, 2.0**transfer.tries)
        if not isinstance(problem, StoreError):
            return wait
        if problem.is_missing:
            wait = (0.6 + 0.4 * self._rng()) * 2.0 ** (transfer.missing - 2)
        return max(wait, min(_LONGEST_WAIT, problem.retry_after or 0.0))

    async def _try(self, transfer: Transfer, stem: str, kept: list[KeptImage]) -> NbpError | None:
        """Try once: returns a problem that may pass, raises one that does not."""
        transfer.tries += 1
        try:
            await self._receive(transfer)
            await transfer.keep(stem, kept)
        except StoreError as exc:
            transfer.missing += exc.is_missing
            if transfer.missing < MISSING_TRIES:
                return exc
            problem: DownloadError = transfer.expired(exc.status)
        except NotAnImageError as exc:
            # It may be a page that asks to wait: only the same bytes twice are final.
            if not transfer.came_again():
                return exc
            problem = DownloadError(f"The link is not an image: {exc}", url=transfer.url)
        except BodyTooLargeError as exc:
            problem = DownloadError(f"The link is not an image: {exc}", url=transfer.url)
        except (NotSentError, NoReplyError, MalformedReplyError) as exc:
            return exc
        else:
            return None
        raise problem

    async def _receive(self, transfer: Transfer) -> None:
        """Receive what is missing of the image, from where its link leads."""
        url = link = transfer.url
        for _ in range(1 + MOST_REDIRECTS):
            target = await self._receive_from(url, transfer)
            if target is None:
                return
            self._policy.check(target, link)
            url = target
        raise not_followed(link, link, f"it redirects more than {MOST_REDIRECTS} times")

    async def _receive_from(self, url: str, transfer: Transfer) -> str | None:
        """Receive it from this place; returns where that redirects to instead, or None."""
        timer = StageTimer(
            DownloadTimeouts(read=min(60.0, self._patience)),
            vendor=urlsplit(url).netloc,
            queued_at=asyncio.get_running_loop().time(),
        )
        try:
            async with timer, self._transport.send(transfer.request(url), timer) as reply:
                target = redirect_target(url, reply.head)
                if target is None:
                    await transfer.receive(reply, timer)
                return target
        except RefusedAddressError as exc:
            refused = not_followed(url, transfer.url, exc.reason)
        raise refused
