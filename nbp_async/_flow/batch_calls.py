"""What is said to a batch API: upload, create, look, list, download. Only `create` buys anything.

All else is free, and is tried again until it works or its patience ends.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from nbp_async._dialects.base import Answer, Decoder, Part
from nbp_async._dialects.batch_lines import Line, Results, Whole
from nbp_async._dialects.batches import BatchDialect, Source, Standings
from nbp_async._errors import (
    AuthError,
    InvalidRequestError,
    MalformedReplyError,
    NbpError,
    NoReplyError,
    NotSentError,
    RefusedError,
    StoppedError,
)
from nbp_async._flow.batch_upload import Upload
from nbp_async._flow.exchange import Exchange
from nbp_async._flow.wiring import Wiring
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._images.collect import Collector
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Watch

MOST_RESULTS = 16 * 1024**3  # bytes of one file of results, which never is in memory
_TRIES = 5
_FIRST_REST, _LONGEST_REST = 2.0, 60.0  # seconds
_MOST_PAGES = 100

T = TypeVar("T")
OnLine = Callable[[Line, Collector], Awaitable[None]]


class Office:
    """Where a call hands in its batch jobs, and takes their results."""

    def __init__(self, wiring: Wiring, dialect: BatchDialect, sink: Sink) -> None:
        self.dialect = dialect
        self._w = wiring
        self._sink = sink

    async def hand_in(self, name: str, lines: list[bytes]) -> Source:
        """What a job of these lines is to be made of: they are uploaded, unless they are few.

        An upload that is cut off goes on where it was.
        """
        w, dialect = self._w, self.dialect
        if dialect.inlines(lines):
            return lines
        begin = dialect.upload(w.profile, w.key.reveal(), name, lines)
        if dialect.pieces is None:
            return await self._patiently(lambda: self._whole(begin))
        upload = Upload(dialect, dialect.pieces, w.profile, self._ask, begin, lines)
        while not upload.file:
            await self._patiently(upload.go_on)
        return upload.file

    async def _whole(self, upload: HttpRequest) -> str:
        file = self.dialect.file_of(await self._document(upload))
        if not file:
            raise MalformedReplyError("The answer to an upload does not name the file.")
        return file

    async def create(self, name: str, address: str, source: Source, callback: str) -> Standings:
        """Create a job: bought once it is sent.

        Raises:
            NbpError: What went wrong; `in_doubt` tells whether there may be a job all the same.
        """
        w = self._w
        key = w.key.reveal()
        request = self.dialect.create(
            w.profile, key, name=name, address=address, source=source, callback=callback
        )
        standings = self.dialect.standings(await self._document(request, submit=True))
        if not standings.id:
            raise MalformedReplyError("The answer to a batch job's creation does not name it.")
        return standings

    async def find(self, name: str) -> Standings | None:
        """The job that we called so, whatever the vendor calls it; None if there is none."""
        w, page = self._w, ""
        for _ in range(_MOST_PAGES):
            request = self.dialect.listing(w.profile, w.key.reveal(), page)
            document = await self._patiently(partial(self._document, request))
            listed = self.dialect.listed(document)
            for job in listed.jobs:
                if job.name == name:
                    return job
            page = listed.next
            if not page:
                return None
        raise MalformedReplyError("The list of batch jobs has no end.")

    async def look(self, job: str, on_line: OnLine) -> Standings:
        """How a job stands. Results that come with it are handed on as those of a file are."""
        w, answer = self._w, self.dialect.looked(self._w.profile)
        await self._read(self.dialect.look(w.profile, w.key.reveal(), job), answer, on_line)
        return self.dialect.standings(answer.document)

    async def cancel(self, job: str) -> None:
        """Ask that nothing more of a job be begun. What is rendered by now is charged."""
        w = self._w
        request = self.dialect.cancel(w.profile, w.key.reveal(), job)
        await self._patiently(lambda: self._document(request))

    async def download(self, file: str, on_line: OnLine) -> None:
        """Read a file of results; each line is handed on with its images, not yet committed.

        A download that was cut begins anew: who hears of a line twice must know it.
        """
        await self._patiently(lambda: self._download(file, on_line))

    async def _download(self, file: str, on_line: OnLine) -> None:
        w = self._w
        request = self.dialect.download(w.profile, w.key.reveal(), file)
        await self._read(request, self.dialect.lines(w.profile), on_line)

    async def _read(self, request: HttpRequest, results: Results, on_line: OnLine) -> None:
        w = self._w
        reading = _Reading(w, self._sink, results, on_line)
        try:
            await reading.exchange(w, w.transport, request, self._watch(), _Ending(results))
            if results.last is not None:
                await on_line(results.last, reading.collector)
        finally:
            reading.collector.discard()

    async def _document(self, request: HttpRequest, *, submit: bool = False) -> object:
        return (await self._ask(request, submit=submit))[1]

    async def _ask(self, request: HttpRequest, *, submit: bool = False) -> tuple[ReplyHead, object]:
        """The head of an answer, and the document in it."""
        decoder = Whole(self.dialect.keys)
        found = await self._call(request, decoder, submit=submit)
        found.collector.discard()
        assert found.head is not None, "an exchange without an error has one"
        return found.head, decoder.document

    async def _call(
        self, request: HttpRequest, decoder: Decoder, *, submit: bool = False
    ) -> Exchange:
        w = self._w
        found = Exchange(w.dialect, self._sink)
        found.most = MOST_RESULTS
        try:
            watch = self._watch(len(request.body), submit=submit)
            await found.exchange(w, w.transport, request, watch, decoder)
        except BaseException:
            found.collector.discard()
            raise
        return found

    def _watch(self, size: int = 0, *, submit: bool = False) -> Watch:
        w = self._w
        now = asyncio.get_running_loop().time()
        spans = w.task_spans(submit=submit)
        return Watch(spans, vendor=w.profile.name, queued_at=now, size=size)

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        rest = _FIRST_REST
        for _ in range(_TRIES - 1):
            try:
                return await attempt()
            except NbpError as exc:
                if not passing(exc):
                    raise
                after = exc.retry_after if isinstance(exc, RefusedError) else None
            await asyncio.sleep(max(after or 0.0, rest * (0.5 + self._w.rng())))
            rest = min(_LONGEST_REST, rest * 3)
        return await attempt()


class _Reading(Exchange):
    """Results on their way in: each has its own images."""

    def __init__(self, wiring: Wiring, sink: Sink, results: Results, on_line: OnLine) -> None:
        super().__init__(wiring.dialect, sink)
        self.most = MOST_RESULTS
        self._results = results
        self._on_line = on_line
        self._sink = sink

    async def _take(self, decoder: Decoder, data: bytes) -> None:  # noqa: ARG002
        for parts, line in self._results.feed(data):
            await self.collector.take(parts)
            if line is not None:
                await self._on_line(line, self.collector)
                self.collector.discard()
                self.collector = Collector(self._sink)
        await asyncio.sleep(0)


class _Ending(Decoder):
    """Knows where results end; they are read elsewhere."""

    def __init__(self, results: Results) -> None:
        self._results = results

    @property
    def complete(self) -> bool:
        return self._results.complete

    def feed(self, data: bytes) -> list[Part]:  # noqa: ARG002
        return []

    def close(self) -> Answer:
        return self._results.close()


def passing(error: NbpError) -> bool:
    """It may go well the next time."""
    if isinstance(error, RefusedError):
        return not isinstance(error, AuthError | InvalidRequestError)
    return isinstance(error, NoReplyError | NotSentError | MalformedReplyError)


def in_doubt(error: NbpError) -> bool:
    """There may be a job, though its creation brought this error."""
    if isinstance(error, RefusedError):
        return error.status >= 500 or error.status in (408, 409) or error.status < 400
    return not isinstance(error, NotSentError | StoppedError)
