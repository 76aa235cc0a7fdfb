"""How a batch API spells its requests and responses. Synchronous, no I/O, no clock.

A job is a file of requests, one a line. Its results come in any order: see `result_lines`.
"""

from typing import Literal, Protocol

import msgspec

from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._batch_api.result_lines import (
    InlineResultDecoder,
    KeptLineDecoder,
    ResultFileDecoder,
)
from nbp_async._dialects.json_scan import Keys
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import Profile

Source = str | list[bytes]
"""What a job is made of: the name of an uploaded file, or its lines themselves."""

JobState = Literal["open", "done", "failed", "cancelled", "expired"]


class JobStatus(msgspec.Struct, frozen=True):
    """How a job stands.

    Attributes:
        id: The vendor's name for it.
        name: Our name for it.
        state: "open" until nothing more can come of it.
        files: Where its results are.
        error: Why it failed, in the vendor's words, or "".
        counts: Requests in all, done, and failed, as far as the vendor says.
        expires: When it is given up if it is not done, in seconds since 1970; 0 if unknown.
    """

    id: str
    name: str = ""
    state: JobState = "open"
    files: tuple[str, ...] = ()
    error: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)
    expires: float = 0.0


class JobListing(msgspec.Struct, frozen=True):
    """A page of jobs; `next` asks for the next page, or is ""."""

    jobs: tuple[JobStatus, ...]
    next: str = ""


class ResumableDialect(Protocol):
    """How a file is uploaded in chunks, and continued where it was cut off."""

    def chunk(self, url: str, data: bytes, offset: int, *, last: bool) -> HttpRequest:
        """More of a file that is uploaded to `url`; no bytes if it only has to be ended."""
        ...

    def query(self, url: str) -> HttpRequest:
        """Ask how much of the file that is uploaded to `url` has arrived."""
        ...

    def received_bytes(self, head: ReplyHead) -> int | None:
        """Bytes that have arrived, by the response to a query; None if no more are accepted."""
        ...

    def upload_url(self, head: ReplyHead, profile: Profile) -> str:
        """Where the file goes, by the response to the request that began its upload.

        Raises:
            MalformedReplyError: It is at another host than the vendor's.
        """
        ...


class BatchDialect(Protocol):
    """One vendor's batch API. Holds no state."""

    @property
    def signature_schemes(self) -> tuple[str, ...]:
        """How it signs its webhooks; with "google", each job says where they go."""
        ...

    @property
    def resumable(self) -> ResumableDialect | None:
        """How its files are uploaded in chunks; None if they are uploaded whole."""
        ...

    @property
    def keys(self) -> Keys:
        """The strings in its responses that are images."""
        ...

    def address(self, job: Job, profile: Profile, references: tuple[Reference, ...]) -> str:
        """Where the request of a line goes. All lines of a job go to one address."""
        ...

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        """The request of one image as a line, with its line break; `key` finds its result.

        Raises:
            ConfigError: The image cannot be requested from this API.
        """
        ...

    def upload(self, profile: Profile, secret: str, name: str, lines: list[bytes]) -> HttpRequest:
        """Upload a file of these lines whole; or begin to, if it is uploaded in chunks."""
        ...

    def fits_inline(self, lines: list[bytes]) -> bool:
        """These lines can be sent within the creation of their job, without a file."""
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
        """Create a job of lines to this address; it calls `callback`, if any, when it ends.

        Sent twice, it is two paid jobs.
        """
        ...

    def poll(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        """Ask how a job stands."""
        ...

    def list_jobs(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        """Ask for a page of all jobs."""
        ...

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        """Ask that nothing more of a job be begun."""
        ...

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        """Ask for a file of results."""
        ...

    def read_file_name(self, document: object) -> str:
        """The name of a file that was uploaded, or ""."""
        ...

    def read_status(self, document: object) -> JobStatus:
        """Read how a job stands."""
        ...

    def read_listing(self, document: object) -> JobListing:
        """Read a page of jobs."""
        ...

    def result_decoder(self, profile: Profile) -> ResultFileDecoder:
        """A fresh decoder for a file of results."""
        ...

    def poll_decoder(self, profile: Profile, *, salvage: bool = False) -> InlineResultDecoder:
        """A fresh decoder for the response to a poll; there may be results in it.

        `salvage`: it is broken, and its results are to be read as far as they are whole.
        """
        ...

    def line_decoder(self, profile: Profile) -> KeptLineDecoder:
        """A fresh decoder for one result that was kept."""
        ...
