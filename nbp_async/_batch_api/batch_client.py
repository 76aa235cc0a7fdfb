"""Requests to a batch API: upload, create, poll, list, cancel, download. Only `create` buys.

All others are free, and are tried again until they work or the patience ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from nbp_async._base.errors import (
    AuthError,
    MalformedReplyError,
    NbpError,
    NoReplyError,
    NotSentError,
    RefusedError,
    StoppedError,
    TaskError,
    TruncatedError,
)
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._batch_api.batch_dialect import BatchDialect, JobStatus, Source
from nbp_async._batch_api.result_lines import (
    DocumentDecoder,
    ResultDecoder,
    ResultLine,
    ResultPiece,
)
from nbp_async._batch_api.upload import Upload
from nbp_async._dialects.base import Answer, Clean, Decoder, Dialect, Part
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.unread_reply import spool_for
from nbp_async._sinks.base import Sink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._transports.stage_timer import StageTimer

MOST_RESULTS = 16 * 1024**3  # bytes of one file of results, which never is in memory
LOOKS = (0.0, 10.0, 60.0)  # seconds before each look at results that cannot be read
_TRIES = 5
_FIRST_REST, _LONGEST_REST = 2.0, 60.0  # seconds
_MOST_PAGES = 100

T = TypeVar("T")
Results = TypeVar("Results", bound=ResultDecoder)
OnLine = Callable[[ResultLine, Exchange], Awaitable[None]]
"""Takes a result, with its images and its bytes as if it were a response of its own."""


class BatchClient:
    """Where a call submits its batch jobs, and takes their results."""

    def __init__(self, endpoint: Endpoint, dialect: BatchDialect, sink: Sink) -> None:
        self.endpoint = endpoint
        self.dialect = dialect
        self._profile = endpoint.profile
        self._sink = sink

    @property
    def _key(self) -> str:
        return self.endpoint.key.reveal()

    async def upload(self, name: str, lines: list[bytes]) -> Source:
        """What a job of these lines is to be made of: they are uploaded, unless they are few.

        An upload that is cut off goes on where it was.
        """
        dialect = self.dialect
        if dialect.fits_inline(lines):
            return lines
        begin = dialect.upload(self._profile, self._key, name, lines)
        if dialect.resumable is None:
            return await self._patiently(lambda: self._upload_whole(begin))
        upload = Upload(dialect, dialect.resumable, self._profile, self._ask, begin, lines)
        while not upload.file:
            await self._patiently(upload.go_on)
        return upload.file

    async def _upload_whole(self, request: HttpRequest) -> str:
        file = self.dialect.read_file_name(await self._document(request))
        if not file:
            raise MalformedReplyError("The answer to an upload does not name the file.")
        return file

    async def create(self, name: str, address: str, source: Source, callback: str) -> JobStatus:
        """Create a job: bought once it is sent.

        Raises:
            NbpError: What went wrong; `in_doubt` tells whether there may be a job all the same.
        """
        request = self.dialect.create(
            self._profile, self._key, name=name, address=address, source=source, callback=callback
        )
        try:
            document = await self._document(request, submit=True)
        except AuthError as exc:
            if not exc.is_transient:
                raise
            return await self.create(name, address, source, callback)  # with the next key
        status = self.dialect.read_status(document)
        if not status.id:
            raise MalformedReplyError("The answer to a batch job's creation does not name it.")
        return status

    async def find(self, name: str) -> JobStatus | None:
        """The job with our name, or None if there is none."""
        page = ""
        for _ in range(_MOST_PAGES):
            request = self.dialect.list_jobs(self._profile, self._key, page)
            document = await self._patiently(partial(self._document, request))
            listing = self.dialect.read_listing(document)
            for job in listing.jobs:
                if job.name == name:
                    return job
            page = listing.next
            if not page:
                return None
        raise MalformedReplyError("The list of batch jobs has no end.")

    async def poll(self, job: str, on_line: OnLine) -> JobStatus:
        """How a job stands. Results that come with it are handed on as those of a file are."""
        results = self.dialect.poll_decoder(self._profile)
        request = self.dialect.poll(self._profile, self._key, job)
        await self._read(self._exchange(results, on_line), request, results)
        return self.dialect.read_status(results.document)

    async def poll_results(
        self, job: str, on_line: OnLine
    ) -> tuple[JobStatus, MalformedReplyError | None]:
        """The same, and why not all of the results that came can be read, or None.

        Raises:
            NbpError: It cannot be polled now. Results that were handed on by then are whole.
        """
        results, problem = await self._read_alike(
            lambda: self.dialect.poll(self._profile, self._key, job),
            lambda salvage: self.dialect.poll_decoder(self._profile, salvage=salvage),
            on_line,
        )
        status = JobStatus(job) if problem else self.dialect.read_status(results.document)
        return status, problem

    async def cancel(self, job: str) -> None:
        """Ask that nothing more of a job be begun. What is rendered by now is charged."""
        request = self.dialect.cancel(self._profile, self._key, job)
        await self._patiently(lambda: self._document(request))

    async def download(self, file: str, on_line: OnLine) -> MalformedReplyError | None:
        """Read a file of results; each line is handed on with its images, not yet committed.

        A download that was cut off begins again: `on_line` must know a line that comes twice.
        Returns why it cannot be read to its end, or None.
        """
        return await self._patiently(lambda: self._download(file, on_line))

    async def _download(self, file: str, on_line: OnLine) -> MalformedReplyError | None:
        _, problem = await self._read_alike(
            lambda: self.dialect.download(self._profile, self._key, file),
            lambda _: self.dialect.result_decoder(self._profile),
            on_line,
        )
        return problem

    async def _read_alike(
        self,
        request: Callable[[], HttpRequest],
        decoder: Callable[[bool], Results],
        on_line: OnLine,
    ) -> tuple[Results, MalformedReplyError | None]:
        """Read results, and return why not all of them can be read, or None.

        To read them is free, and what came may have been damaged on its way. So they are read
        again, and only what is broken three times in the same way is broken at the vendor: of that,
        the results that are whole are handed on, and the bytes of others with an error.

        Raises:
            NbpError: They cannot be read now. Results that were handed on by then are whole.
        """
        first: tuple[str, int] | None = None
        problem: MalformedReplyError | None = None
        for seconds in LOOKS:
            await asyncio.sleep(seconds)
            results = decoder(False)
            exchange = self._exchange(results, on_line)
            try:
                await self._read(exchange, request(), results)
            except MalformedReplyError as exc:
                found = (str(exc), exchange.size)
                if not exchange.has_results or found != (first or found):
                    raise
                first, problem = found, exc
            else:
                return results, None
        results = decoder(True)
        await self._read(self._exchange(results, on_line), request(), results, salvage=True)
        return results, problem

    def _exchange(self, results: ResultDecoder, on_line: OnLine) -> "_ResultsExchange":
        files = self.endpoint.resources.files
        return _ResultsExchange(self.endpoint.dialect, self._sink, results, on_line, files)

    async def _read(
        self,
        exchange: "_ResultsExchange",
        request: HttpRequest,
        results: ResultDecoder,
        *,
        salvage: bool = False,
    ) -> None:
        """Hand on each result; `salvage`: the data may end anywhere."""
        try:
            try:
                await self._send(exchange, request, _EndDecoder(results), self._timer())
            except MalformedReplyError as exc:
                # A download that is whole, of a file that ends within a line.
                is_read = isinstance(exc, TruncatedError) and results.last and exchange.is_framed
                if not (salvage or is_read):
                    raise
                if salvage:
                    with suppress(MalformedReplyError):
                        results.close()
            if results.last is not None:
                await exchange.spool_more(results.tail)
                await exchange.end_line(msgspec.structs.replace(results.last, is_cut=salvage))
        finally:
            exchange.line.discard()

    async def _document(self, request: HttpRequest, *, submit: bool = False) -> object:
        return (await self._ask(request, submit=submit))[1]

    async def _ask(self, request: HttpRequest, *, submit: bool = False) -> tuple[ReplyHead, object]:
        """The head of a response, and the document in it."""
        decoder = DocumentDecoder(self.dialect.keys)
        exchange = Exchange(self.endpoint.dialect, self._sink)
        try:
            timer = self._timer(len(request.body), submit=submit)
            await self._send(exchange, request, decoder, timer)
        finally:
            exchange.collector.discard()
        assert exchange.head is not None, "an exchange without an error has one"
        return exchange.head, decoder.document

    async def _send(
        self, exchange: Exchange, request: HttpRequest, decoder: Decoder, timer: StageTimer
    ) -> None:
        exchange.max_bytes = MOST_RESULTS
        await exchange.exchange(self.endpoint, self.endpoint.transport, request, timer, decoder)

    def _timer(self, size: int = 0, *, submit: bool = False) -> StageTimer:
        chosen = self.endpoint.resources.timeouts
        return StageTimer(
            self.endpoint.timeouts(chosen.submit if submit else chosen.poll),
            vendor=self._profile.name,
            queued_at=asyncio.get_running_loop().time(),
            size=size,
        )

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat a free request until it succeeds, cannot succeed, or has failed five times."""
        rest = _FIRST_REST
        for _ in range(_TRIES - 1):
            try:
                return await attempt()
            except NbpError as exc:
                if not may_succeed_later(exc):
                    raise
                after = exc.retry_after if isinstance(exc, RefusedError) else None
            await asyncio.sleep(max(after or 0.0, rest * (0.5 + self.endpoint.resources.rng())))
            rest = min(_LONGEST_REST, rest * 3)
        return await attempt()


class _ResultsExchange(Exchange):
    """Results on their way in: each is an exchange of its own, as if it had come alone.

    Attributes:
        line: The result that is arriving.
        size: Bytes that came so far.
        has_results: There is a result among them, or the beginning of one.
    """

    def __init__(
        self,
        dialect: Dialect,
        sink: Sink,
        results: ResultDecoder,
        on_line: OnLine,
        files: FileThreads,
    ) -> None:
        super().__init__(dialect, sink)
        self._results = results
        self._on_line = on_line
        self._sink = sink
        self._files = files
        self.size = 0
        self.has_results = False
        self.line = self._next()

    @property
    def is_framed(self) -> bool:
        """The head says how the body ends, so that the transport knows one that is cut off."""
        head = self.head
        return head is not None and (head.length is not None or "transfer-encoding" in head.headers)

    async def end_line(self, result: ResultLine) -> None:
        """A result is complete: hand it on."""
        line = self.line
        line.head, line.url, line.answer = self.head, self.url, result.answer
        await self._on_line(result, line)
        line.discard()
        self.line = self._next()

    async def spool_more(self, data: bytes) -> None:
        """These bytes are of the result that is arriving."""
        assert self.line.spool is not None, "each result has one"
        await self.line.spool.write(data)

    def _next(self) -> Exchange:
        line = Exchange(self.dialect, self._sink)
        line.spool = spool_for(self._sink, self._files)
        return line

    async def _take(self, decoder: Decoder, data: bytes) -> None:  # noqa: ARG002
        self.size += len(data)
        for piece in self._results.feed(data):
            await self._take_piece(piece)
        await asyncio.sleep(0)

    async def _take_piece(self, piece: ResultPiece) -> None:
        self.has_results = True
        await self.spool_more(piece.data)
        await self.line.collector.take(piece.parts)
        if piece.line is not None:
            await self.end_line(piece.line)


class _EndDecoder(Decoder):
    """Knows where results end; `_ResultsExchange` reads them."""

    def __init__(self, results: ResultDecoder) -> None:
        self._results = results

    def read_through(self, clean: Clean) -> None:
        self._results.read_through(clean)

    @property
    def complete(self) -> bool:
        return self._results.complete

    def feed(self, data: bytes) -> list[Part]:  # noqa: ARG002
        return []

    def close(self) -> Answer:
        return self._results.close()


def may_succeed_later(error: NbpError) -> bool:
    """The same request may succeed if it is sent again; it does not say what was billed."""
    if isinstance(error, TaskError | RefusedError):
        return error.is_transient
    return isinstance(error, NoReplyError | NotSentError | MalformedReplyError)


def in_doubt(error: NbpError) -> bool:
    """There may be a job, though its creation ended in this error."""
    if isinstance(error, RefusedError):
        return error.status >= 500 or error.status in (408, 409) or error.status < 400
    return not isinstance(error, NotSentError | StoppedError)
