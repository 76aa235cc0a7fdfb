"""How a batch API spells its jobs. Synchronous, no I/O, no clock.

A job is a file of requests, one a line. Its results are answers in any order: see `batch_lines`.
"""

from typing import Literal, Protocol

import msgspec

from nbp_async._dialects.batch_lines import Inlined, Lines
from nbp_async._dialects.json_scan import Keys
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

Source = str | list[bytes]
"""What a job is made of: the name of an uploaded file, or its lines themselves."""

Standing = Literal["open", "done", "failed", "cancelled", "expired"]


class Standings(msgspec.Struct, frozen=True):
    """How a job stands.

    Attributes:
        id: What the vendor calls it.
        name: What we called it.
        standing: "open" until nothing more can come of it.
        files: Where its results are.
        error: The vendor's words on why it failed, or "".
        counts: Requests in all, done, and failed, as far as the vendor says.
        expires: When it is given up if it is not done, in seconds since 1970; 0 if nobody knows.
    """

    id: str
    name: str = ""
    standing: Standing = "open"
    files: tuple[str, ...] = ()
    error: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)
    expires: float = 0.0


class Listed(msgspec.Struct, frozen=True):
    """A page of jobs; `next` asks for the one after it, or is ""."""

    jobs: tuple[Standings, ...]
    next: str = ""


class Pieces(Protocol):
    """How a file goes up piece by piece, and is gone on with where it was cut off."""

    def piece(self, url: str, data: bytes, offset: int, *, last: bool) -> HttpRequest:
        """More of a file that is uploaded to `url`; no bytes if it only has to be ended."""
        ...

    def query(self, url: str) -> HttpRequest:
        """Ask how much of the file that is uploaded to `url` has arrived."""
        ...

    def arrived(self, head: ReplyHead) -> int | None:
        """The bytes that have arrived, by the answer to a query; None if no more are taken."""
        ...

    def upload_url(self, head: ReplyHead, profile: Profile) -> str:
        """Where the file goes, now that its upload has begun.

        Raises:
            MalformedReplyError: It is none of this vendor's addresses.
        """
        ...


class BatchDialect(Protocol):
    """One vendor's batch API. Holds no state."""

    @property
    def signs(self) -> tuple[str, ...]:
        """How it signs its webhooks; of "google", each job says where they go."""
        ...

    @property
    def pieces(self) -> Pieces | None:
        """How its files go up piece by piece; None where they go whole."""
        ...

    def address(self, job: Job, profile: Profile, references: tuple[Reference, ...]) -> str:
        """Where the request of a line goes. All lines of a job go to one address."""
        ...

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        """The request of one job as a line, with its line break; `key` finds its answer.

        Raises:
            ConfigError: The job asks for something that this API cannot be asked for.
        """
        ...

    def upload(self, profile: Profile, secret: str, name: str, lines: list[bytes]) -> HttpRequest:
        """Upload a file of these lines whole; or begin to, where it goes in pieces."""
        ...

    def inlines(self, lines: list[bytes]) -> bool:
        """These lines go within the creation of their job; a file of them is not needed."""
        ...

    def create(
        self,
        profile: Profile,
        secret: str,
        *,
        name: str,
        address: str,
        source: Source,
        callback: str,
    ) -> HttpRequest:
        """Create a job of lines to this address; at `callback`, if any, it says that it is over.

        Sent twice, it is two paid jobs.
        """
        ...

    def look(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        """Ask how a job stands."""
        ...

    def listing(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        """Ask for a page of all jobs."""
        ...

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        """Ask that nothing more of a job be begun."""
        ...

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        """Ask for a file of results."""
        ...

    def file_of(self, document: object) -> str:
        """The name of a file that was uploaded, or ""."""
        ...

    def standings(self, document: object) -> Standings:
        """Read how a job stands."""
        ...

    def listed(self, document: object) -> Listed:
        """Read a page of jobs."""
        ...

    def lines(self, profile: Profile) -> Lines:
        """A fresh decoder for a file of results."""
        ...

    def looked(self, profile: Profile) -> Inlined:
        """A fresh decoder for the answer to a look; there may be results in it."""
        ...

    @property
    def keys(self) -> Keys:
        """The strings of its answers that are images."""
        ...
