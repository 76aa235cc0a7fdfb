"""Google's files and batches.

POST /v1beta/models/{model}:batchGenerateContent   make a job, inline or of a file; not idempotent
GET /v1beta/batches, /v1beta/batches/{id}          all of them by page, or one
POST /v1beta/batches/{id}:cancel                   what is not rendered yet is not rendered
DELETE /v1beta/batches/{id}
GET, DELETE /v1beta/files/{id}                     what it is; GET /v1beta/files lists them
GET /v1beta/files/{id}:download                    its bytes; also below /download

See `google_uploads` for how files arrive. A job that is cancelled or expires has no results.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial

import msgspec
from aiohttp import web

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
from nbp_async.fake.faults import Disconnect, MixedResults, NoAnswer, UploadCut, precedes_work
from nbp_async.fake.google_request import decode_google
from nbp_async.fake.google_uploads import UploadStore, display_name
from nbp_async.fake.image_spec import ImageSpec, check_count, decode
from nbp_async.fake.json_fields import either, first_text, table
from nbp_async.fake.paging import google_page
from nbp_async.fake.payloads import Payload
from nbp_async.fake.render_queue import split_lines
from nbp_async.fake.request_reader import read_body, read_document, require_signing
from nbp_async.fake.responder import RequestContext, Serve
from nbp_async.fake.signing import OutgoingWebhook, Scheme
from nbp_async.fake.timestamps import iso_time
from nbp_async.fake.vendor_parts import VendorParts

MOST_INLINE = 20_000_000  # bytes of a request with inline requests, and of an answer with results

_TWO_DAYS = 48 * 3600.0
_CREATE = re.compile(r"/v1(?:beta)?/models/([^/:]+):batchGenerateContent")
_BATCH = re.compile(r"/v1(?:beta)?/batches(?:/([\w\-]+))?(?::(cancel|delete))?")
_UPLOAD = re.compile(r"/upload/v1(?:beta)?/files(?:/([0-9a-f]{32}))?")
_FILE = re.compile(r"(?:/download)?/v1(?:beta)?/files(?:/([\w\-]+?))?(:download)?")
_JSONL = "application/jsonl"
_STATES: dict[JobState, str] = {
    "waiting": "PENDING",
    "running": "RUNNING",
    "finishing": "RUNNING",
    "done": "SUCCEEDED",
    "failed": "FAILED",
    "expired": "EXPIRED",
    "cancelled": "CANCELLED",
}
_ERROR_CODES: dict[JobState, int] = {"cancelled": 1, "expired": 4, "failed": 13}


class GoogleBatches(BatchApi):
    """Google's batch API."""

    style: ApiStyle = "google"
    rules = BatchRules(window=_TWO_DAYS, rendered_at=1.0, cancel_takes=0, keeps_partial=False)
    signs: Scheme = "google"
    label = "batch"

    def __init__(self, parts: VendorParts) -> None:
        super().__init__(parts)
        self._files = FileStore(parts.settings.clock, _file_id, _TWO_DAYS)
        self._uploads = UploadStore(self._files)
        self.engine = BatchEngine(parts, self, self._files)

    def find(self, method: str, path: str) -> Serve | None:
        """What serves this request; None if the address is not one of these."""
        if not path.startswith(("/v1", "/upload/", "/download/")):
            return None
        if (create := _CREATE.fullmatch(path)) and method == "POST":
            return partial(self._create, model=create[1])
        if (upload := _UPLOAD.fullmatch(path)) and method in ("POST", "PUT"):
            return partial(self._upload, id_=upload[1]) if upload[1] else self._begin_upload
        if batch := _BATCH.fullmatch(path):
            return partial(self._job, name=batch[1] or "", verb=batch[2] or method)
        if file := _FILE.fullmatch(path):
            name = f"files/{file[1]}" if file[1] else ""
            return partial(self._content if file[2] else self._file, name=name)
        return None

    def shut_down(self) -> None:
        """Stop all work: the vendor goes down."""
        self.engine.shut_down()
        self._uploads.close()

    async def _begin_upload(self, ctx: RequestContext) -> web.StreamResponse:
        account = self.authenticate(ctx)
        document = decode(await read_body(ctx.request) or b"{}")
        about = table(document.get("file"))
        fault = self._parts.script.take(f"upload {display_name(about)}")
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        id_ = self._uploads.begin(account, about, ctx.request.headers)
        headers = {
            "X-Goog-Upload-Status": "active",
            "X-Goog-Upload-URL": f"{self._parts.root}/upload/v1beta/files/{id_}",
            "X-Goog-Upload-Chunk-Granularity": "262144",
        }
        return await self.reply(ctx, {}, headers)

    async def _upload(self, ctx: RequestContext, id_: str) -> web.StreamResponse:
        uploads, script, responder = self._uploads, self._parts.script, self._responder
        upload = uploads.find(id_)
        command = ctx.request.headers.get("X-Goog-Upload-Command", "")
        if command == "query":
            fault = script.take(f"query of {upload.name}")
            if isinstance(fault, NoAnswer):
                return await responder.send_fault(ctx, fault)
            return await self.reply(ctx, {}, upload.headers())
        fault = script.take(f"piece of {upload.name}") if "upload" in command else None
        if precedes_work(fault):
            await uploads.receive(ctx, None)
            return await responder.send_fault(ctx, fault)
        if "upload" in command:
            await uploads.receive(ctx, upload, fault.at if isinstance(fault, UploadCut) else 1.0)
        if isinstance(fault, UploadCut):
            return await responder.send_fault(ctx, Disconnect("reset"))
        file = uploads.finalize(upload) if "finalize" in command else None
        if isinstance(fault, NoAnswer):
            return await responder.send_fault(ctx, fault)
        if file is None:
            return await self.reply(ctx, {}, {"X-Goog-Upload-Status": "active"})
        document = {"file": self._file_document(file)}
        return await self.reply(ctx, document, {"X-Goog-Upload-Status": "final"})

    async def _file(self, ctx: RequestContext, name: str) -> web.StreamResponse:
        account = self.authenticate(ctx)
        if not name:
            files, next_page = google_page(self._files.of(account.key), ctx.request.query)
            listed = {"files": [self._file_document(file) for file in files]} if files else {}
            return await self.reply(ctx, {**listed, **next_page})
        file = self.find_file(name, account)
        if ctx.request.method == "DELETE":
            self._files.delete(file)
            return await self.reply(ctx, {})
        return await self.reply(ctx, self._file_document(file))

    async def _content(self, ctx: RequestContext, name: str) -> web.StreamResponse:
        file = self.find_file(name, self.authenticate(ctx))
        return await self.download(ctx, file, file.kind)

    def find_file(self, name: str, account: BankAccount) -> StoredFile:
        """The file of this name.

        Raises:
            ApiError: This account has none.
        """
        file = self._files.find(name, account)
        if file is None:
            words = (
                f"You do not have permission to access the File {name.removeprefix('files/')} or "
                "it may not exist."
            )
            raise ApiError(403, words)
        return file

    async def _create(self, ctx: RequestContext, model: str) -> web.StreamResponse:
        account = self.authenticate(ctx)
        document, kept = await read_document(ctx.request)
        self._parts.counters.record(ctx.request.path, ctx.request.headers, kept, 0.0)
        batch = table(document.get("batch"))
        fault = self._parts.script.take(f"create {display_name(batch)}")
        if precedes_work(fault):
            return await self._responder.send_fault(ctx, fault)
        callback = first_text(table(either(batch, "webhookConfig", "webhook_config")).get("uris"))
        if callback:
            await require_signing(self._parts.keys, "google")
        job = await self._read_job(ctx, account, model, batch)
        job.callback, job.mixed = callback, fault if isinstance(fault, MixedResults) else None
        self._check_limits(account, len(job.lines))
        self.engine.start(job)
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        payload = Payload(self._document(job, inline=False))
        return (await self._responder.send(ctx, 200, payload, fault)).response

    async def _read_job(
        self, ctx: RequestContext, account: BankAccount, model: str, batch: Mapping[str, object]
    ) -> FakeJob:
        config = table(either(batch, "inputConfig", "input_config"))
        name = either(config, "fileName", "file_name")
        file = None if name is None else self.find_file(str(name), account)
        job = FakeJob(account, file, model)
        job.name = display_name(batch)
        if file is not None:
            job.lines = [line async for line in self._lines_of_file(job, file)]
            return job
        if (ctx.request.content_length or 0) > MOST_INLINE:
            words = f"Inline requests have at most {MOST_INLINE} bytes: upload a file."
            raise ApiError(400, words)
        entries = table(config.get("requests")).get("requests")
        if not isinstance(entries, list) or not entries:
            raise ApiError(400, "inputConfig needs requests or a fileName.")
        for entry in map(table, entries):
            await asyncio.sleep(0)  # its references may be megabytes
            decode = partial(self._decode, job, table(entry.get("request")))
            job.lines.append(self.engine.read_line(entry.get("metadata"), decode))
        return job

    def _decode(self, job: FakeJob, request: Mapping[str, object]) -> ImageSpec:
        spec = decode_google(job.target, request)
        check_count(spec)
        for name in spec.files:
            self.find_file(name, job.account)
        return spec

    async def _lines_of_file(self, job: FakeJob, file: StoredFile) -> AsyncIterator[BatchLine]:
        number = 0
        async for text in split_lines(file.content()):
            number += 1
            if not text.strip():
                continue
            try:
                entry = table(msgspec.json.decode(text))
            except msgspec.DecodeError as exc:
                raise ApiError(400, f"Line {number} is no JSON: {exc}") from None
            if "request" not in entry:
                raise ApiError(400, f"Line {number} has no request.")
            decode = partial(self._decode, job, table(entry["request"]))
            yield self.engine.read_line(entry.get("key"), decode)

    def _check_limits(self, account: BankAccount, count: int) -> None:
        settings = self._parts.settings
        jobs = [job for job in self.engine.of(account) if not job.is_over]
        if len(jobs) >= settings.batch_jobs:
            words = f"You have {len(jobs)} batch jobs; {settings.batch_jobs} are allowed."
            raise ApiError(429, words)
        waiting, most = sum(len(job.lines) for job in jobs) + count, settings.batch_enqueued
        if most is not None and waiting > most:
            raise ApiError(429, f"Your enqueued requests would be {waiting}; {most} are allowed.")

    async def _job(self, ctx: RequestContext, name: str, verb: str) -> web.StreamResponse:
        account = self.authenticate(ctx)
        self._parts.counters.record_poll(0.0)
        if not name:
            return await self._list(ctx, account)
        job = self.engine.find(name, account)
        if job is None:
            raise ApiError(404, f"Batch {name} was not found.")
        if verb == "cancel":
            self.engine.cancel(job)
            return await self.reply(ctx, {})
        if verb in ("delete", "DELETE"):
            self.engine.delete(job)
            return await self.reply(ctx, {})
        fault = self._parts.script.take(f"look at {job.name}")
        if isinstance(fault, NoAnswer):
            return await self._responder.send_fault(ctx, fault)
        sent = await self._responder.send(
            ctx, 200, Payload(self._document(job, inline=True)), fault
        )
        if job.state == "done" and job.results is None:
            self.engine.mark_delivered(job, delivered=sent.delivered)
        return sent.response

    async def _list(self, ctx: RequestContext, account: BankAccount) -> web.StreamResponse:
        jobs, next_page = google_page(self.engine.of(account), ctx.request.query)
        page = [msgspec.Raw(b"".join(self._document(job, inline=False))) for job in jobs]
        return await self.reply(ctx, {**({"operations": page} if page else {}), **next_page})

    def id_of(self, digest: str) -> str:
        return digest

    def publish(self, job: FakeJob, state: JobState) -> JobState:
        """Write the results into a file, unless they are answered inline."""
        if state != "done":
            return state
        if job.lines and all(line.refused for line in job.lines):
            job.failure = "All requests of the batch failed."
            return "failed"
        if job.source is not None:
            lines, inline = self.engine.shuffled(job), self._parts.settings.batch_inline
            if not inline or self.engine.size_of(job, lines) > MOST_INLINE:
                job.results = self.engine.keep_results(job, lines, job.name, _JSONL)
        return state

    def webhooks(self, job: FakeJob) -> list[OutgoingWebhook]:
        """The event only says that the job is over."""
        if not job.callback:
            return []
        event = {
            "type": f"batch.{_STATES[job.state].lower()}",
            "version": "v1",
            "timestamp": iso_time(job.times[job.state], "microseconds"),
            "data": {"id": job.id, "output_file_uri": job.results.id if job.results else ""},
        }
        body = msgspec.json.encode(event)
        return [OutgoingWebhook(f"evt_{job.id}", job.id, job.callback, body)]

    def result_line(self, job: FakeJob, line: BatchLine) -> Pieces:
        return [b'{"key":', msgspec.json.encode(line.key), b",", *self._outcome(job, line), b"\n"]

    def _outcome(self, job: FakeJob, line: BatchLine) -> list[bytes]:
        if line.refused is None:
            pieces = [b'"response":', *self.engine.payload(job, line).pieces, b"}"]
            text = b"".join(pieces) if line.is_broken else b""
            return [text[: len(text) // 2]] if line.is_broken else pieces
        error = table(msgspec.json.decode(error_body("google", line.refused))).get("error")
        return [b'"error":' + msgspec.json.encode(error), b"}"]

    def _document(self, job: FakeJob, *, inline: bool) -> list[bytes]:
        """The job as an Operation, in pieces; with its results if they are answered inline."""
        metadata = self._metadata(job)
        operation: dict[str, object] = {"name": f"batches/{job.id}", "metadata": metadata}
        if job.is_over:
            operation["done"] = True
        if job.state in _ERROR_CODES:
            words = job.failure or f"The batch was {job.state}."
            operation["error"] = {"code": _ERROR_CODES[job.state], "message": words}
        elif job.results is not None:
            metadata["output"] = {"responsesFile": job.results.id}
            operation["response"] = {"responsesFile": job.results.id}
        elif job.state == "done" and inline:
            return self._with_results(job, operation, metadata)
        return [msgspec.json.encode(operation)]

    def _metadata(self, job: FakeJob) -> dict[str, object]:
        created = iso_time(job.created, "microseconds")
        pending = 0 if job.is_over else len(job.lines) - job.rendered
        counts = {
            "requestCount": len(job.lines),
            "successfulRequestCount": job.rendered,
            "failedRequestCount": job.refused,
            "pendingRequestCount": pending,
        }
        metadata: dict[str, object] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.GenerateContentBatch",
            "model": f"models/{job.target}",
            "displayName": job.name,
            "name": f"batches/{job.id}",
            "state": f"{self._parts.settings.batch_prefix}{_STATES[job.state]}",
            "createTime": created,
            "updateTime": created,
            "batchStats": {name: str(count) for name, count in counts.items() if count},
            "priority": "0",
        }
        if job.source is not None:
            metadata["inputConfig"] = {"fileName": job.source.id}
        if job.is_over:
            metadata["endTime"] = iso_time(job.times[job.state], "microseconds")
        return metadata

    def _with_results(
        self, job: FakeJob, operation: Mapping[str, object], metadata: Mapping[str, object]
    ) -> list[bytes]:
        """The operation with its results, where Google's SDK reads them and in `response`."""
        results: list[bytes] = [b'{"inlinedResponses":{"inlinedResponses":[']
        for number, line in enumerate(self.engine.shuffled(job)):
            results.append(b",{" if number else b"{")
            if line.key is not None:
                # The request's own, whatever is in it; a line that nobody asked for has a name.
                note = {"key": line.key} if isinstance(line.key, str) else line.key
                results += [b'"metadata":', msgspec.json.encode(note), b","]
            results += self._outcome(job, line)
        results.append(b"]}}")
        rest = {name: value for name, value in operation.items() if name != "metadata"}
        return [
            b'{"metadata":',
            msgspec.json.encode(metadata)[:-1],
            b',"output":',
            *results,
            b'},"response":',
            *results,
            b",",
            msgspec.json.encode(rest)[1:],
        ]

    def _file_document(self, file: StoredFile) -> dict[str, object]:
        created = iso_time(file.created, "microseconds")
        return {
            "name": file.id,
            "displayName": file.name,
            "mimeType": file.kind,
            "sizeBytes": str(file.size),
            "createTime": created,
            "updateTime": created,
            "expirationTime": iso_time(file.created + _TWO_DAYS, "microseconds"),
            "sha256Hash": file.sha256.hex(),
            "uri": f"{self._parts.root}/v1beta/{file.id}",
            "state": "ACTIVE",
            "source": "GENERATED" if file.spool is None else "UPLOADED",
        }


def _file_id(digest: str, results: bool) -> str:
    return f"files/{'batch-' if results else ''}{digest[:12]}"
