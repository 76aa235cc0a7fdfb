"""How a batch API spells its jobs. Synchronous, no I/O, no clock.

A job is a file of requests, one a line. Its results are a file of answers, in any order; a line
may be 30 MB long, so the images in it are led past us as in any other answer.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from nbp_async._dialects.base import Answer, Decoder, Part
from nbp_async._dialects.json_scan import JsonScan, Keys
from nbp_async._errors import MalformedReplyError, NbpError, TruncatedError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

Standing = Literal["open", "done", "failed", "cancelled", "expired"]


class Line(msgspec.Struct, frozen=True):
    """One line of the results: an answer, or what went wrong with it.

    Attributes:
        key: Ours, as the request's line had it, or "" if it cannot be read.
        answer: What came, or None.
        error: Why nothing came, or None.
    """

    key: str
    answer: Answer | None = None
    error: NbpError | None = None


class Standings(msgspec.Struct, frozen=True):
    """How a job stands.

    Attributes:
        id: What the vendor calls it.
        name: What we called it.
        standing: "open" until nothing more can come of it.
        files: Where its results are.
        lines: Results that came with this answer.
        error: The vendor's words on why it failed, or "".
        counts: Requests in all, done, and failed, as far as the vendor says.
    """

    id: str
    name: str = ""
    standing: Standing = "open"
    files: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    error: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)


class Listed(msgspec.Struct, frozen=True):
    """A page of jobs; `next` asks for the one after it, or is ""."""

    jobs: tuple[Standings, ...]
    next: str = ""


class BatchDialect(Protocol):
    """One vendor's batch API. Holds no state."""

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        """The request of one job as a line, with its line break; `key` finds its answer.

        Raises:
            ConfigError: The job asks for something that this API cannot be asked for.
        """
        ...

    def upload(self, profile: Profile, secret: str, name: str, data: bytes) -> HttpRequest:
        """Begin to upload a file, or upload it whole."""
        ...

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
        """Where the file goes, once its upload has begun; "" if it went whole.

        Raises:
            MalformedReplyError: It is none of this vendor's addresses.
        """
        ...

    def create(
        self, profile: Profile, secret: str, *, name: str, model: str, file: str
    ) -> HttpRequest:
        """Create a job of an uploaded file. Sent twice, it is two paid jobs."""
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

    def standings(self, document: object, profile: Profile) -> Standings:
        """Read how a job stands."""
        ...

    def listed(self, document: object, profile: Profile) -> Listed:
        """Read a page of jobs."""
        ...

    def lines(self, profile: Profile) -> "Lines":
        """A fresh decoder for a file of results."""
        ...

    @property
    def keys(self) -> Keys:
        """The strings of its answers that are images."""
        ...


class Whole(Decoder):
    """One JSON document whose images are led past; at the end it is in `document`."""

    def __init__(self, keys: Keys) -> None:
        self._scan = JsonScan(keys)
        self._begun = False
        self.document: object = None

    @property
    def complete(self) -> bool:
        return self._scan.complete

    def feed(self, data: bytes) -> list[Part]:
        self._begun |= bool(data.strip())
        return self._scan.feed(data)

    def close(self) -> Answer:
        if self._begun:
            self.document = self._scan.close()
        return Answer()


class Lines:
    """A file of JSON documents, one a line, in pieces of any length.

    A line that makes no sense is a Line with an error; those after it are read all the same. Image
    numbers begin anew with every line.

    Attributes:
        last: The line that the file ended with, if no line break followed it.
    """

    complete = False  # another line may always follow

    def __init__(self, keys: Keys, read: Callable[[object], Line]) -> None:
        self._keys = keys
        self._read = read
        self._scan = JsonScan(keys)
        self._begun = False
        self._broken: MalformedReplyError | None = None
        self.last: Line | None = None

    def feed(self, data: bytes) -> list[tuple[list[Part], Line | None]]:
        """What is in a piece: parts of the line that is under way, and the line where it ends."""
        found: list[tuple[list[Part], Line | None]] = []
        at = 0
        while True:
            end = data.find(b"\n", at)
            parts = self._more(data[at:] if end < 0 else data[at:end])
            line = self._end() if end >= 0 and self._begun else None
            if parts or line is not None:
                found.append((parts, line))
            if end < 0:
                return found
            at = end + 1

    def close(self) -> Answer:
        """The file ended.

        Raises:
            TruncatedError: It ended within a line: what came before it was whole.
        """
        if self._begun:
            line = self._end()
            if isinstance(line.error, TruncatedError) and not line.key:
                raise line.error
            self.last = line
        return Answer()

    def _more(self, data: bytes) -> list[Part]:
        if not self._begun and not data.strip():
            return []
        self._begun = True
        if self._broken is not None:
            return []
        try:
            return self._scan.feed(data)
        except MalformedReplyError as exc:
            self._broken = exc.with_traceback(None)  # whose frames hold what was being read
            return []

    def _end(self) -> Line:
        problem = self._broken
        if problem is None:
            try:
                return self._read(self._scan.close())
            except MalformedReplyError as exc:
                problem = exc.with_traceback(None)
            finally:
                self._anew()
        self._anew()
        return Line("", error=problem)

    def _anew(self) -> None:
        self._scan, self._begun, self._broken = JsonScan(self._keys), False, None
