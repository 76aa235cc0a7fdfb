"""OpenAI's files and batches: many requests in one job, at half price, within a day.

POST, GET /v1/files                 a form with purpose=batch; all of them
GET, DELETE /v1/files/{id}          what it is; /content its bytes
POST, GET /v1/batches               make a job, which is not idempotent; all of them by page
GET /v1/batches/{id}                POST .../cancel stops what is not rendered yet

What is rendered when a job expires or is cancelled has its results, unlike at Google.
"""

import asyncio
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial

import msgspec

from nbp_async.fake import asks
from nbp_async.fake.bank import Account, Bank
from nbp_async.fake.belt import Belt, lines_of
from nbp_async.fake.chance import chance, digest
from nbp_async.fake.faults import Refuse, Spoil
from nbp_async.fake.front import Unsettled
from nbp_async.fake.odds import Script
from nbp_async.fake.openai_job import File, Job, Line, Pieces
from nbp_async.fake.refusals import RefusalError, moderated, said
from nbp_async.fake.settings import Settings
from nbp_async.fake.spool import Spool
from nbp_async.fake.studio import Studio

ENDPOINTS = ("/v1/images/generations", "/v1/images/edits")
WINDOW = 24 * 3600.0  # simulated seconds; what is not rendered by then is not rendered
_HALF = Decimal("0.5")
_BEGINS, _ENDS = 0.1, 0.9  # of a job's time, when its first line begins and its last is done
_CANCELS = 60.0  # simulated seconds from cancelling to cancelled
Content = Callable[[], Iterator[Pieces]]
_ADDRESS = re.compile(r"/v1/(files|batches)(?:/([\w\-]+))?(?:/(content|cancel))?")
_LATE = {"code": "batch_expired", "message": "This request was not done within 24h."}
_STOPPED = {"code": "batch_cancelled", "message": "This request was not done when cancelled."}


def address_of(path: str) -> tuple[str, str, str] | None:
    """ "files" or "batches", which one ("" for all), and "content" or "cancel"."""
    found = _ADDRESS.fullmatch(path)
    return None if found is None else (found[1], found[2] or "", found[3] or "")


class OpenAIBatches:
    """All files and jobs of a server that came in OpenAI's words."""

    def __init__(
        self, settings: Settings, *, bank: Bank, studio: Studio, unsettled: Unsettled,
        script: Script,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._bank = bank
        self._studio = studio
        self._unsettled = unsettled
        self._script = script
        self._loop = asyncio.get_running_loop()
        self.files: dict[str, File] = {}
        self.jobs: dict[str, Job] = {}
        self._count = 0

    def keep(self, account: str, name: str, purpose: str, spool: Spool) -> File:
        """A file that was handed in."""
        file = self._file(account, name, purpose, spool.size, spool.content)
        file.spool = spool
        return file

    def delete(self, file: File) -> None:
        """Forget it."""
        del self.files[file.id]
        if file.spool is not None:
            file.spool.close()

    def file(self, name: str, account: Account) -> File:
        """The file of this id.

        Raises:
            RefusalError: Nobody has it.
        """
        file = self.files.get(name)
        if file is None or file.account != account.key:
            raise RefusalError(404, f"No such File object: {name}")
        return file

    def job(self, name: str, account: Account) -> Job:
        """The job of this id.

        Raises:
            RefusalError: Nobody knows it.
        """
        job = self.jobs.get(name)
        if job is None or job.account is not account:
            raise RefusalError(404, f"No batch found with id '{name}'.")
        return job

    async def create(self, account: Account, file: File, endpoint: str, metadata: object) -> Job:
        """Make a job. What is wrong with the file fails it, a moment later."""
        self._count += 1
        settings = self._settings
        seed = (settings.seed, "openai batch", self._count)
        job = Job(f"batch_{digest(*seed).hex()[:24]}", account, endpoint, file, metadata)
        await self._read(job)
        now = self._loop.time()
        self.jobs[job.id] = job
        self._unsettled.begin()
        self._become(job, "validating")
        span = settings.batch_latency.seconds(chance(*seed), "1K")
        length, window = span / settings.speed, WINDOW / settings.speed
        begins = now + length * _BEGINS
        if job.errors:
            self._at(job, begins, self._end, "failed")
            return job
        self._at(job, begins, self._become, "in_progress")
        asked = [line for line in job.lines if line.ask is not None]
        job.belt = Belt(asked, begins, now + length * _ENDS, partial(self._render, job))
        if length > window:
            self._at(job, now + window, self._end, "expired")
            return job
        self._at(job, now + length * _ENDS, self._become, "finalizing")
        self._at(job, now + length, self._end, "completed")
        return job

    def cancel(self, job: Job) -> None:
        """Stop what is not rendered yet.

        Raises:
            RefusalError: It is over.
        """
        if job.over:
            raise RefusalError(409, f"Cannot cancel a batch with status '{job.state}'.")
        if job.state != "cancelling":
            self._stop(job)
            self._become(job, "cancelling")
            at = self._loop.time() + _CANCELS / self._settings.speed
            self._at(job, at, self._end, "cancelled")

    def abandon(self) -> None:
        """Stop all work: the vendor goes down."""
        for job in self.jobs.values():
            if not job.over:
                self._end(job, "cancelled")
        for file in list(self.files.values()):
            self.delete(file)

    def handed(self, job: Job, *, delivered: bool) -> None:
        """Its results were given to somebody."""
        for line in job.lines:
            if line.row is not None and not line.row.delivered:
                self._bank.settle(line.row, delivered=delivered)

    async def _read(self, job: Job) -> None:
        seen: set[str] = set()
        number = 0
        async for text in lines_of(job.file.content()):
            number += 1
            try:
                job.lines.append(self._line(job, text, seen))
            except RefusalError as no:
                wrong = {"code": no.code, "line": number, "message": str(no), "param": None}
                job.errors.append(wrong)
        if not job.lines and not job.errors:
            job.errors.append({"code": "empty_file", "line": None, "message": "No requests.",
                               "param": None})  # fmt: skip

    def _line(self, job: Job, text: bytes, seen: set[str]) -> Line:
        try:
            entry = msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RefusalError(400, "This line is no JSON.", code="invalid_json_line") from None
        name, body = entry.get("custom_id"), entry.get("body")
        if not isinstance(name, str) or not isinstance(body, dict):
            words = "Each line needs a custom_id and a body."
            raise RefusalError(400, words, code="missing_required_parameter")
        if name in seen:
            raise RefusalError(400, f"custom_id {name} was used.", code="duplicate_custom_id")
        if entry.get("url") != job.endpoint or entry.get("method") != "POST":
            words = f"Each line is a POST to {job.endpoint}."
            raise RefusalError(400, words, code="mismatched_endpoint")
        seen.add(name)
        try:
            edit = job.endpoint.endswith("/edits")
            ask = asks.read_openai(body, asks.read_references(body) if edit else 0)
        except RefusalError as no:
            return Line(name, None, None, no.status, said("openai", no))
        fault = self._script.take_matching(ask.prompt) or self._studio.fault(ask)
        failed: RefusalError | None = None
        if isinstance(fault, Refuse):
            failed = RefusalError(fault.code, "The request failed.")
        elif isinstance(fault, Spoil) and fault.what == "blocked":
            failed = moderated()
        if failed is not None:
            return Line(name, None, None, failed.status, said("openai", failed))
        return Line(name, ask, fault if isinstance(fault, Spoil) else None)

    def _render(self, job: Job, line: Line) -> None:
        """One image is there: half its price is written down."""
        ask = line.ask
        assert ask is not None
        images, usage = self._studio.images(ask, line.fault)
        line.row = self._bank.charge(
            job.id, job.account, ask.prompt, ask.tier, images, usage, self._loop.time(), share=_HALF
        )
        line.size = sum(map(len, self._result(job, line)))

    def _end(self, job: Job, state: str) -> None:
        self._stop(job)
        if state == "completed" and job.belt is not None:
            job.belt.finish()
        if state != "failed":
            lines = list(job.lines)
            random.Random(f"{self._settings.seed} {job.id}").shuffle(lines)
            job.output = self._results(job, [line for line in lines if line.row is not None])
            job.problems = self._results(job, [line for line in lines if line.row is None])
        self._become(job, state)
        self._unsettled.end()

    def _results(self, job: Job, lines: list[Line]) -> str | None:
        if not lines:
            return None

        def content() -> Iterator[Pieces]:
            return (self._result(job, line) for line in lines)

        size = sum(line.size or sum(map(len, self._result(job, line))) for line in lines)
        file = self._file(job.account.key, f"{job.id}.jsonl", "batch_output", size, content)
        file.job = job
        return file.id

    def _result(self, job: Job, line: Line) -> Pieces:
        name = digest(job.id, line.id).hex()[:24]
        about = {"id": f"batch_req_{name}", "custom_id": line.id}
        begin = msgspec.json.encode(about)[:-1]
        if line.row is None and not line.refused:
            why = _STOPPED if "cancelling" in job.times else _LATE
            return [begin, b',"response":null,"error":', msgspec.json.encode(why), b"}\n"]
        body = [line.refused]
        if line.ask is not None:
            answer = self._studio.answer(
                line.ask, job.id, line.fault, created=job.times["validating"]
            )
            body = [bytes(piece) for piece in answer.pieces]
        head = b',"response":{"status_code":%d,"request_id":"req_%s","body":'
        return [begin, head % (line.status, name.encode()), *body, b'},"error":null}\n']

    def _file(self, account: str, name: str, purpose: str, size: int, content: Content) -> File:
        self._count += 1
        short = digest("openai file", account, self._count).hex()[:22]
        now = int(self._settings.clock())
        file = File(f"file-{short}", account, size, now, name, purpose, content)
        self.files[file.id] = file
        return file

    def _become(self, job: Job, state: str) -> None:
        job.state = state
        job.times[state] = int(self._settings.clock())

    def _at(self, job: Job, at: float, then: Callable[[Job, str], None], state: str) -> None:
        job.timers.append(self._loop.call_at(at, then, job, state))

    def _stop(self, job: Job) -> None:
        if job.belt is not None:
            job.belt.stop()
        for timer in job.timers:
            timer.cancel()
        job.timers.clear()
