"""Google's Batch API: many requests in one job, at half price, within a day.

POST /v1beta/models/{model}:batchGenerateContent   make a job, inline or of a file; not idempotent
GET /v1beta/batches, /v1beta/batches/{id}          all of them by page, or one
POST /v1beta/batches/{id}:cancel                   what is not made yet is not made
DELETE /v1beta/batches/{id}

A job waits for a tenth of its time, and then its images are rendered one after the other, each with
a row in the ledger. Its results come in an order of their own.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from functools import partial

import msgspec

from nbp_async.fake import asks
from nbp_async.fake.answers import Body
from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.batch_job import Job, Line, State
from nbp_async.fake.belt import Belt, lines_of
from nbp_async.fake.chance import chance, digest
from nbp_async.fake.faults import Mixed, Refuse, Spoil
from nbp_async.fake.files import Files, Pieces, when
from nbp_async.fake.front import Unsettled
from nbp_async.fake.odds import Script
from nbp_async.fake.refusals import RefusalError, said
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Letter
from nbp_async.fake.studio import Studio
from nbp_async.fake.task_faults import Hook
from nbp_async.fake.webhooks import Post

HALF = Decimal("0.5")
EXPIRES = 48 * 3600.0  # simulated seconds; a job that is not done by then has no results at all
QUEUED = 0.1  # of a job's time, until the first of it is worked on
MOST_INLINE = 20_000_000  # bytes of a request with inline requests, and of an answer with results


class Batches:
    """All jobs of a server.

    Args:
        settings: How the vendor works.
        bank: Where rows are written, at half price.
        studio: Draws.
        files: Where requests come from and results go.
        unsettled: Waits for what is in work.
        script: Faults that were ordered for single lines.
    """

    def __init__(
        self, settings: Settings, *, bank: Bank, studio: Studio, files: Files,
        unsettled: Unsettled, script: Script, post: Post,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._post = post
        self._bank = bank
        self._studio = studio
        self._files = files
        self._unsettled = unsettled
        self._script = script
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, Job] = {}
        self._count = 0

    async def create(
        self, account: Account, model: str, document: Mapping[str, object],
        mixed: Mixed | None, *, size: int,
    ) -> Job:  # fmt: skip
        """Make a job, by a request of so many bytes.

        Raises:
            RefusalError: It would not be taken.
        """
        batch = _table(document.get("batch"))
        config = _table(_either(batch, "inputConfig", "input_config"))
        display = str(_either(batch, "displayName", "display_name") or "")
        name = _either(config, "fileName", "file_name")
        inline = name is None
        if inline:
            outer = _table(config.get("requests"))
            entries = outer.get("requests")
            if size > MOST_INLINE:
                words = f"Inline requests have at most {MOST_INLINE} bytes: upload a file."
                raise RefusalError(400, words)
            if not isinstance(entries, list) or not entries:
                raise RefusalError(400, "inputConfig needs requests or a fileName.")
            found = []
            for entry in entries:
                await asyncio.sleep(0)  # its references may be megabytes
                found.append(self._inline(model, _table(entry)))
        else:
            found = [line async for line in self._of_file(account, model, str(name))]
        self._check(account, len(found))
        job = self._begin(account, model, display, found, inline=inline, file=str(name or ""))
        job.mixed = mixed
        job.hook = hook_of(document)
        return job

    def find(self, name: str, account: Account) -> Job:
        """The job of this id.

        Raises:
            RefusalError: Nobody knows it.
        """
        job = self._jobs.get(name)
        if job is None or job.account is not account:
            raise RefusalError(404, f"Batch {name} was not found.")
        return job

    def of(self, account: Account) -> list[Job]:
        """All jobs of an account, the newest first."""
        return [job for job in self._jobs.values() if job.account is account][::-1]

    def cancel(self, job: Job) -> None:
        """Stop what is not rendered yet; what is was billed, and has no results."""
        if not job.over:
            self._end(job, "CANCELLED")

    def delete(self, job: Job) -> None:
        """Forget it, and stop it."""
        self.cancel(job)
        self._jobs.pop(job.id, None)

    def abandon(self) -> None:
        """Stop all work: the vendor goes down."""
        for job in self._jobs.values():
            self.cancel(job)

    def pieces(self, job: Job) -> Iterator[Pieces]:
        """The lines of its results, in their own order, with what was ordered to be wrong."""
        for line in self._shuffled(job):
            yield self._line(job, line)

    def handed(self, job: Job, *, delivered: bool) -> None:
        """Its results were given to somebody."""
        for line in job.lines:
            if line.row is not None and not line.row.delivered:
                self._bank.settle(line.row, delivered=delivered)

    def document(self, job: Job, *, results: bool) -> list[bytes]:
        """The job as an Operation, in pieces; with inline results where it has such."""
        settings = self._settings
        prefix = settings.batch_prefix
        state = "RUNNING" if job.state == "PENDING" and self._begun(job) else job.state
        done = sum(line.row is not None and not line.error for line in job.lines)
        failed = sum(bool(line.error) for line in job.lines) if job.over else 0
        stats = {
            "requestCount": str(len(job.lines)), "successfulRequestCount": str(done),
            "failedRequestCount": str(failed),
            "pendingRequestCount": str(0 if job.over else len(job.lines) - done),
        }  # fmt: skip
        metadata: dict[str, object] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta."
            "GenerateContentBatch",
            "model": f"models/{job.model}", "displayName": job.display, "name": f"batches/{job.id}",
            "state": f"{prefix}{state}", "createTime": when(job.created),
            "updateTime": when(job.created), "batchStats": stats, "priority": "0",
        }  # fmt: skip
        if job.file:
            metadata["inputConfig"] = {"fileName": job.file}
        if job.ended is not None:
            metadata["endTime"] = when(job.ended)
        operation: dict[str, object] = {"name": f"batches/{job.id}", "metadata": metadata}
        if not job.over:
            return [msgspec.json.encode(operation)]
        operation["done"] = True
        if job.state in ("FAILED", "CANCELLED", "EXPIRED"):
            words = job.failure or f"The batch was {job.state.lower()}."
            code = {"CANCELLED": 1, "EXPIRED": 4}.get(job.state, 13)
            operation["error"] = {"code": code, "message": words}
            return [msgspec.json.encode(operation)]
        if job.results:
            metadata["output"] = {"responsesFile": job.results}
            operation["response"] = {"responsesFile": job.results}
            return [msgspec.json.encode(operation)]
        if results:
            return self._with_inline(job, operation, metadata)
        return [msgspec.json.encode(operation)]

    def _with_inline(
        self, job: Job, operation: dict[str, object], metadata: dict[str, object]
    ) -> list[bytes]:
        """The operation with its results, where Google's SDK reads them and in `response`."""
        results: list[bytes] = [b'{"inlinedResponses":{"inlinedResponses":[']
        for number, line in enumerate(self._shuffled(job)):
            about = b"" if line.key is None else msgspec.json.encode({"key": line.key})
            results += [
                b"," if number else b"",
                b"{",
                b'"metadata":' + about + b"," if about else b"",
            ]
            results += [*self._outcome(job, line), b"}"]
        results.append(b"]}}")
        rest = {name: value for name, value in operation.items() if name != "metadata"}
        return [
            b'{"metadata":', msgspec.json.encode(metadata)[:-1], b',"output":', *results,
            b'},"response":', *results, b",", msgspec.json.encode(rest)[1:],
        ]  # fmt: skip

    def _shuffled(self, job: Job) -> list[Line]:
        lines = list(job.lines)
        random.Random(f"{self._settings.seed} {job.id}").shuffle(lines)
        mixed = job.mixed
        if mixed is None:
            return lines
        words = _error(said("google", RefusalError(500, "Nobody asked this.")))
        strange = [Line(f"nobody-{n}", None, words, None) for n in range(mixed.unknown)]
        kept = lines[mixed.missing :]
        return [*kept, *strange, *kept[: mixed.twice]]

    def _line(self, job: Job, line: Line) -> Pieces:
        return [
            b'{"key":', msgspec.json.encode(line.key), b",", *self._outcome(job, line), b"}\n"
        ]  # fmt: skip

    def _outcome(self, job: Job, line: Line) -> list[bytes]:
        if line.error or line.ask is None:
            return [b'"error":' + line.error]
        body = self._answer(job, line)
        return [b'"response":', *body.pieces]

    def _answer(self, job: Job, line: Line) -> Body:
        assert line.ask is not None
        return self._studio.answer(line.ask, job.id, line.fault, created=int(job.created))

    def _inline(self, model: str, entry: Mapping[str, object]) -> Line:
        key = _table(entry.get("metadata")).get("key")
        return self._read(model, key, _table(entry.get("request")))

    async def _of_file(self, account: Account, model: str, name: str) -> AsyncIterator[Line]:
        file, number = self._files.find(name, account), 0
        async for text in lines_of(file.content()):
            number += 1
            if not text.strip():
                continue
            try:
                entry = _table(msgspec.json.decode(text))
            except msgspec.DecodeError as exc:
                raise RefusalError(400, f"Line {number} is no JSON: {exc}") from None
            if "request" not in entry:
                raise RefusalError(400, f"Line {number} has no request.")
            yield self._read(model, entry.get("key"), _table(entry["request"]))

    def _read(self, model: str, key: object, request: Mapping[str, object]) -> Line:
        """A request, or what is wrong with it: that is an answer of its own, later."""
        try:
            ask = asks.read_google(model, request)
        except RefusalError as no:
            return Line(key, None, _error(said("google", no)), None)
        fault = self._script.take_matching(ask.prompt) or self._studio.fault(ask)
        error = b""
        if isinstance(fault, Refuse):
            failed = RefusalError(fault.code, "The request failed.")
            error = _error(said("google", failed))
        return Line(key, ask, error, fault if isinstance(fault, Spoil) else None)

    def _check(self, account: Account, count: int) -> None:
        settings, open_jobs = self._settings, [j for j in self.of(account) if not j.over]
        if len(open_jobs) >= settings.batch_jobs:
            words = f"You have {len(open_jobs)} batch jobs; {settings.batch_jobs} are allowed."
            raise RefusalError(429, words)
        waiting = sum(len(job.lines) for job in open_jobs)
        most = settings.batch_enqueued
        if most is not None and waiting + count > most:
            words = f"Your enqueued requests would be {waiting + count}; {most} are allowed."
            raise RefusalError(429, words)

    def _begin(
        self, account: Account, model: str, display: str, lines: list[Line], *, inline: bool,
        file: str,
    ) -> Job:  # fmt: skip
        self._count += 1
        settings, now = self._settings, self._loop.time()
        seed = (settings.seed, "batch", self._count)  # a client's name for it may be drawn
        name = digest(*seed).hex()[:24]
        span = settings.batch_latency.seconds(chance(*seed), "1K")
        due = now + min(span, EXPIRES) / settings.speed
        job = Job(
            name, account, model, display, lines, inline=inline, file=file, made=now, due=due,
            created=settings.clock(),
        )  # fmt: skip
        self._jobs[name] = job
        self._unsettled.begin()
        if span > EXPIRES:
            job.timer = self._loop.call_at(due, self._end, job, "EXPIRED")
            return job
        begins = now + (due - now) * QUEUED
        asked = [line for line in lines if line.ask is not None and not line.error]
        job.belt = Belt(asked, begins, due, partial(self._render, job))
        job.timer = self._loop.call_at(due, self._finish, job)
        return job

    def _begun(self, job: Job) -> bool:
        return self._loop.time() >= job.made + (job.due - job.made) * QUEUED

    def _render(self, job: Job, line: Line) -> None:
        """One image is there: half its price is written down."""
        ask = line.ask
        assert ask is not None
        images, usage = self._studio.images(ask, line.fault)
        line.row = self._bank.charge(
            job.id, job.account, ask.prompt, ask.tier, images, usage, self._loop.time(), share=HALF
        )
        if not job.inline:  # now, as to draw all of them at the end would take long
            line.size = sum(map(len, self._line(job, line)))

    def _finish(self, job: Job) -> None:
        if job.belt is not None:
            job.belt.finish()
        if job.lines and all(line.error for line in job.lines):
            job.failure = "All requests of the batch failed."
            self._end(job, "FAILED")
            return
        if not job.inline:
            lines = self._shuffled(job)
            size = sum(line.size or sum(map(len, self._line(job, line))) for line in lines)
            if size > MOST_INLINE or not self._settings.batch_inline:
                file = self._files.keep(
                    job.account.key, size, lambda: self.pieces(job), display=job.display,
                    generated=True,
                )  # fmt: skip
                job.results = file.name
        self._end(job, "SUCCEEDED")

    def _end(self, job: Job, state: State) -> None:
        if job.timer is not None:
            job.timer.cancel()
        if job.belt is not None:
            job.belt.stop()
        job.state = state
        job.ended = self._settings.clock()
        if state != "SUCCEEDED":
            self.handed(job, delivered=False)
        self._unsettled.end()
        if job.hook:
            self._post.send([_letter(job)], "google", Hook(), lambda: None)


def hook_of(document: Mapping[str, object]) -> str:
    """Where a job is to call back, or ""."""
    hook = _table(_either(_table(document.get("batch")), "webhookConfig", "webhook_config"))
    uris = hook.get("uris")
    return str(uris[0]) if isinstance(uris, list) and uris else ""


def _letter(job: Job) -> Letter:
    """What a job's webhook says: not more than that it is over."""
    event = {
        "type": f"batch.{job.state.lower()}", "version": "v1", "timestamp": when(job.ended or 0.0),
        "data": {"id": job.id, "output_file_uri": job.results},
    }  # fmt: skip
    return Letter(f"evt_{job.id}", job.id, job.hook, msgspec.json.encode(event))


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _either(values: Mapping[str, object], *names: str) -> object:
    return next((values[name] for name in names if name in values), None)


def _error(body: bytes) -> bytes:
    """The inside of a refusal, as a line of results has it."""
    return msgspec.json.encode(_table(msgspec.json.decode(body)).get("error"))
