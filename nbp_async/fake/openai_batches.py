"""OpenAI's files and batches.

POST, GET /v1/files             upload a form with purpose=batch; list all files
GET, DELETE /v1/files/{id}      what it is; /content for its bytes
POST, GET /v1/batches           make a job (not idempotent); list all jobs by page
GET /v1/batches/{id}            what it is; POST /cancel stops what is not rendered yet

A job that expires or is cancelled has results for what was rendered by then, unlike at Google. How
it ended is told to the endpoints of its account: batch.completed, batch.failed, batch.expired or
batch.cancelled (`openai_webhooks.py`).
"""

import re
from collections.abc import Mapping
from functools import partial

import msgspec
from aiohttp import BodyPartReader, web

from nbp_async.fake import image_spec
from nbp_async.fake.api_errors import ApiError, ApiStyle, error_body
from nbp_async.fake.bank import BankAccount
from nbp_async.fake.batch_api import BatchApi
from nbp_async.fake.batch_engine import (
    BatchEngine,
    BatchLine,
    BatchRules,
    FakeJob,
    JobState,
)
from nbp_async.fake.batch_files import FileStore, Pieces, StoredFile
from nbp_async.fake.faults import NoAnswer, precedes_work
from nbp_async.fake.openai_webhooks import OpenAIWebhooks
from nbp_async.fake.paging import openai_page
from nbp_async.fake.render_queue import split_lines
from nbp_async.fake.request_reader import read_document, refusing_bad_forms
from nbp_async.fake.responder import RequestContext, Serve
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.signing import OutgoingWebhook, Scheme
from nbp_async.fake.spool import Spool
from nbp_async.fake.vendor_parts import VendorParts

_ENDPOINTS = ("/v1/images/generations", "/v1/images/edits")
_ADDRESS = re.compile(r"/v1/(files|batches)(?:/([\w\-]+))?(?:/(content|cancel))?")
_DAY = 24 * 3600
_MOST_FILE = 200_000_000  # bytes of a file of requests
_CHUNK = 64 * 1024  # bytes
_STATES: dict[JobState, str] = {
    "waiting": "validating",
    "running": "in_progress",
    "finishing": "finalizing",
    "done": "completed",
    "failed": "failed",
    "expired": "expired",
    "cancelling": "cancelling",
    "cancelled": "cancelled",
}
_LATE = {"code": "batch_expired", "message": "This request was not done within 24h."}
_STOPPED = {"code": "batch_cancelled", "message": "This request was not done when cancelled."}


class OpenAIBatches(BatchApi):
    """OpenAI's batch API."""

    style: ApiStyle = "openai"
    rules = BatchRules(window=_DAY, rendered_at=0.9, cancel_takes=60, keeps_partial=True)
    signs: Scheme = "standard"
    label = "openai batch"

    def __init__(self, parts: VendorParts, endpoints: OpenAIWebhooks) -> None:
        super().__init__(parts)
        self._endpoints = endpoints
        self._files = FileStore(parts.settings.clock, lambda name, _: f"file-{name[:22]}")
        self.engine = BatchEngine(parts, self, self._files)

    def find(self, method: str, path: str) -> Serve | None:
        """What serves this request; None if the address is not one of these."""
        known = _ADDRESS.fullmatch(path)
        if known is None:
            return None
        kind, name, verb = known[1], known[2] or "", known[3] or ""
        creates = method == "POST" and not name
        if kind == "files":
            if creates:
                return self._upload
            return partial(self._content if verb else self._file, name=name)
        return self._create if creates else partial(self._job, name=name, verb=verb)

    async def _upload(self, ctx: RequestContext) -> web.StreamResponse:
        account = self.authenticate(ctx)
        spool = Spool()
        try:
            purpose, name = await self._read_form(ctx, spool)
        except BaseException:
            spool.close()
            raise
        fault = self._parts.script.take(f"upload {name}")
        if isinstance(fault, NoAnswer):
            spool.close()
            return await self._responder.send_fault(ctx, fault)
        file = self._files.keep_upload(account.key, name, purpose, spool)
        return await self.reply(ctx, _file_document(file))

    async def _read_form(self, ctx: RequestContext, spool: Spool) -> tuple[str, str]:
        """Purpose and name of an uploaded file; its bytes go into `spool`."""
        purpose = name = ""
        with refusing_bad_forms():
            async for part in await ctx.request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise ApiError(400, "The form cannot be read.")
                if part.name == "purpose":
                    purpose = await part.text()
                elif part.name == "file":
                    name = part.filename or ""
                    while data := await part.read_chunk(_CHUNK):
                        spool.append(bytes(data))
                        if spool.size > _MOST_FILE:
                            raise ApiError(
                                413, f"A file of requests has at most {_MOST_FILE} bytes."
                            )
        if purpose != "batch" or not spool.size:
            raise ApiError(400, "A file needs bytes and purpose=batch.")
        return purpose, name

    async def _file(self, ctx: RequestContext, name: str) -> web.StreamResponse:
        account = self.authenticate(ctx)
        if not name:
            data = [_file_document(file) for file in self._files.of(account.key)]
            return await self.reply(ctx, {"object": "list", "data": data, "has_more": False})
        file = self.find_file(name, account)
        if ctx.request.method == "DELETE":
            self._files.delete(file)
            return await self.reply(ctx, {"id": name, "object": "file", "deleted": True})
        return await self.reply(ctx, _file_document(file))

    async def _content(self, ctx: RequestContext, name: str) -> web.StreamResponse:
        file = self.find_file(name, self.authenticate(ctx))
        return await self.download(ctx, file, "application/octet-stream")

    def find_file(self, name: str, account: BankAccount) -> StoredFile:
        """The file of this id.

        Raises:
            ApiError: This account has none.
        """
        file = self._files.find(name, account)
        if file is None:
            raise ApiError(404, f"No such File object: {name}")
        return file

    async def _create(self, ctx: RequestContext) -> web.StreamResponse:
        account = self.authenticate(ctx)
        document, _ = await read_document(ctx.request)
        if document.get("endpoint") not in _ENDPOINTS:
            raise ApiError(400, f"endpoint is one of {', '.join(_ENDPOINTS)}.")
        if document.get("completion_window") != "24h":
            raise ApiError(400, "completion_window is 24h.")
        file = self.find_file(str(document.get("input_file_id")), account)
        fault = self._parts.script.take(f"create {file.name}")
        if precedes_work(fault):
            return await self._responder.send_fault(ctx, fault)
        job = FakeJob(account, file, str(document["endpoint"]))
        job.name, job.note = file.name, document.get("metadata")
        await self._read_lines(job, file)
        self.engine.start(job)
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        return await self.reply(ctx, _job_document(job))

    async def _read_lines(self, job: FakeJob, file: StoredFile) -> None:
        """Read the requests; what is wrong with them fails the job a moment later."""
        names: set[str] = set()
        number = 0
        async for text in split_lines(file.content()):
            number += 1
            try:
                job.lines.append(self._read_line(job, text, names))
            except ApiError as exc:
                job.errors.append(
                    {"code": exc.code, "line": number, "message": str(exc), "param": None}
                )
        if not job.lines and not job.errors:
            job.errors.append(
                {"code": "empty_file", "line": None, "message": "No requests.", "param": None}
            )

    def _read_line(self, job: FakeJob, text: bytes, names: set[str]) -> BatchLine:
        try:
            entry = msgspec.json.decode(text, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ApiError(400, "This line is no JSON.", code="invalid_json_line") from None
        name, body = entry.get("custom_id"), entry.get("body")
        if not isinstance(name, str) or not isinstance(body, dict):
            words = "Each line needs a custom_id and a body."
            raise ApiError(400, words, code="missing_required_parameter")
        if name in names:
            raise ApiError(400, f"custom_id {name} was used.", code="duplicate_custom_id")
        if entry.get("url") != job.target or entry.get("method") != "POST":
            words = f"Each line is a POST to {job.target}."
            raise ApiError(400, words, code="mismatched_endpoint")
        names.add(name)
        return self.engine.read_line(name, partial(_decode, body, edit="edits" in job.target))

    async def _job(self, ctx: RequestContext, name: str, verb: str) -> web.StreamResponse:
        account = self.authenticate(ctx)
        if not name:
            return await self._list(ctx, account)
        job = self.engine.find(name, account)
        if job is None:
            raise ApiError(404, f"No batch found with id '{name}'.")
        if verb != "cancel":
            return await self.reply_unless(ctx, f"look at {job.name}", lambda: _job_document(job))
        if job.is_over:
            raise ApiError(409, f"Cannot cancel a batch with status '{_STATES[job.state]}'.")
        self.engine.cancel(job)
        return await self.reply(ctx, _job_document(job))

    async def _list(self, ctx: RequestContext, account: BankAccount) -> web.StreamResponse:
        jobs = self.engine.of(account)
        place = openai_page([job.id for job in jobs], ctx.request.query)
        page = jobs[place]
        answer = {
            "object": "list",
            "data": [_job_document(job) for job in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": place.stop < len(jobs),
        }
        return await self.reply(ctx, answer)

    def id_of(self, digest: str) -> str:
        return f"batch_{digest}"

    def publish(self, job: FakeJob, state: JobState) -> JobState:
        """Write images into one file and errors into another."""
        if state == "failed":
            return state
        lines = self.engine.shuffled(job)
        images = [line for line in lines if line.entry is not None]
        errors = [line for line in lines if line.entry is None]
        name = f"{job.id}.jsonl"
        job.results = self.engine.keep_results(job, images, name, "batch_output")
        job.problems = self.engine.keep_results(job, errors, name, "batch_output")
        return state

    def webhooks(self, job: FakeJob) -> list[OutgoingWebhook]:
        """One event for each endpoint of the account that is told of it; it says the id alone."""
        kind = f"batch.{_STATES[job.state]}"
        event = {
            "id": f"evt_{digest(job.id, kind).hex()[:24]}",
            "object": "event",
            "created_at": int(job.times[job.state]),
            "type": kind,
            "data": {"id": job.id},
        }
        body = msgspec.json.encode(event)
        return [
            OutgoingWebhook(f"wh_{digest(job.id, one.id).hex()[:24]}", job.id, one.url, body)
            for one in self._endpoints.told(job.account.key, kind)
        ]

    def result_line(self, job: FakeJob, line: BatchLine) -> Pieces:
        name = digest(job.id, line.key).hex()[:24]
        about = msgspec.json.encode({"id": f"batch_req_{name}", "custom_id": line.key})[:-1]
        if line.entry is None and line.refused is None:
            why = _STOPPED if "cancelling" in job.times else _LATE
            return [about, b',"response":null,"error":', msgspec.json.encode(why), b"}\n"]
        if line.refused is not None:
            status, body = line.refused.status, [error_body("openai", line.refused)]
        else:
            status, body = 200, self.engine.payload(job, line).pieces
        head = b',"response":{"status_code":%d,"request_id":"req_%s","body":'
        return [about, head % (status, name.encode()), *body, b'},"error":null}\n']


def _decode(body: Mapping[str, object], *, edit: bool) -> image_spec.ImageSpec:
    return image_spec.decode_openai(body, image_spec.count_references(body) if edit else 0)


def _file_document(file: StoredFile) -> dict[str, object]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created),
        "filename": file.name,
        "purpose": file.kind,
        "status": "processed",
    }


def _job_document(job: FakeJob) -> dict[str, object]:
    times = {state: int(seconds) for state, seconds in job.times.items()}
    counts = {"total": len(job.lines), "completed": job.rendered, "failed": job.refused}
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.target,
        "errors": {"object": "list", "data": job.errors} if job.errors else None,
        "input_file_id": job.source.id if job.source else None,
        "completion_window": "24h",
        "status": _STATES[job.state],
        "output_file_id": job.results.id if job.results else None,
        "error_file_id": job.problems.id if job.problems else None,
        "created_at": times["waiting"],
        "expires_at": times["waiting"] + _DAY,
        "in_progress_at": times.get("running"),
        "finalizing_at": times.get("finishing"),
        "completed_at": times.get("done"),
        "failed_at": times.get("failed"),
        "expired_at": times.get("expired"),
        "cancelling_at": times.get("cancelling"),
        "cancelled_at": times.get("cancelled"),
        "metadata": job.note,
        "request_counts": counts,
    }
