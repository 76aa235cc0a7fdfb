"""Google's batch API: many `generateContent` requests, at half the price, within a day.

A few lines go within the creation of their job, more in a file. States come as BATCH_STATE_* or
JOB_STATE_*, counts as strings, fields in camel or snake case. The results of a job that was made
of a file may come inline. Results come in any order: `key` joins them.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from nbp_async._base.errors import MalformedReplyError, NbpError, NoImageError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._batch_api.batch_dialect import (
    JobListing,
    JobState,
    JobStatus,
    ResumableDialect,
    Source,
)
from nbp_async._batch_api.job_requests import checked_id, get_request, post_json
from nbp_async._batch_api.result_lines import (
    InlineResultDecoder,
    KeptLineDecoder,
    ResultFileDecoder,
    ResultLine,
)
from nbp_async._batch_api.salvaged_results import SalvagedResultDecoder
from nbp_async._dialects.body_template import encode_json
from nbp_async._dialects.gemini import KEYS, GeminiNative, read_answer
from nbp_async._dialects.reply_fields import (
    as_array,
    as_object,
    as_text,
    first_present,
    read_refusal,
    sanitize,
)
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import Profile

# A request may have 20 MB. Inline requests get inline results, in one document, where an image may
# be 30 MB: so few lines are safe both ways.
MOST_INLINE = 19_000_000  # bytes of lines
MOST_INLINE_LINES = 10
_LIVES = 48 * 3600.0  # seconds from its creation until a job that is not done is given up
_REQUEST = b',"request":'
_INLINED = (b"inlinedResponses", b"inlined_responses")
_STATES: dict[str, JobState] = {
    "SUCCEEDED": "done",
    "PARTIALLY_SUCCEEDED": "done",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
# google.rpc.Code as HTTP status.
_HTTP = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}


class GeminiBatch:
    """See `batch_dialect.BatchDialect`."""

    keys = KEYS
    signature_schemes = ("google", "standard")

    @property
    def resumable(self) -> ResumableDialect:
        return self

    def address(self, job: Job, profile: Profile, references: tuple[Reference, ...]) -> str:  # noqa: ARG002
        return f"/models/{quote(job.model)}:batchGenerateContent"

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        request = GeminiNative().encode(job, profile, references, "").body
        return b'{"key":"%b"%b%b}\n' % (key.encode(), _REQUEST, request)

    def upload(self, profile: Profile, secret: str, name: str, lines: list[bytes]) -> HttpRequest:
        url = urlsplit(profile.base_url)
        headers = profile.key_header(secret) | {
            "Content-Type": "application/json",
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(sum(map(len, lines))),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl",
        }
        body = {"file": {"display_name": name, "mimeType": "application/jsonl"}}
        address = f"{url.scheme}://{url.netloc}/upload{url.path}/files"
        return HttpRequest("POST", address, headers, encode_json(body))

    def chunk(self, url: str, data: bytes, offset: int, *, last: bool) -> HttpRequest:
        commands = ["upload"] * bool(data) + ["finalize"] * last
        headers = {
            "Content-Type": "application/jsonl",
            "X-Goog-Upload-Offset": str(offset),
            "X-Goog-Upload-Command": ", ".join(commands),
        }
        return HttpRequest("POST", url, headers, data)

    def query(self, url: str) -> HttpRequest:
        return HttpRequest("POST", url, {"X-Goog-Upload-Command": "query"}, b"")

    def received_bytes(self, head: ReplyHead) -> int | None:
        size = head.headers.get("x-goog-upload-size-received", "")
        active = head.headers.get("x-goog-upload-status", "") == "active"
        return int(size) if active and re.fullmatch("[0-9]{1,15}", size) else None

    def upload_url(self, head: ReplyHead, profile: Profile) -> str:
        address = head.headers.get("x-goog-upload-url", "")
        if urlsplit(address)[:2] != urlsplit(profile.base_url)[:2]:
            # The key and the prompts are for this vendor alone.
            raise MalformedReplyError("The upload was directed to another host, and not begun.")
        return address

    def fits_inline(self, lines: list[bytes]) -> bool:
        return len(lines) <= MOST_INLINE_LINES and sum(map(len, lines)) <= MOST_INLINE

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
        if isinstance(source, str):
            config: list[bytes | memoryview] = [b'{"fileName":', msgspec.json.encode(source), b"}"]
        else:
            config = _inline_source(source)
        begin = b'{"batch":{"displayName":%b,"inputConfig":' % msgspec.json.encode(name)
        hook = (
            b',"webhookConfig":{"uris":[%b]}' % msgspec.json.encode(callback) if callback else b""
        )
        body = b"".join([begin, *config, hook, b"}}"])
        return post_json(profile, secret, address.removeprefix("/"), body)

    def poll(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return get_request(profile, secret, _path(job, "batches"))

    def list_jobs(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        query = {"pageSize": "100"} | ({"pageToken": page} if page else {})
        return get_request(profile, secret, f"batches?{urlencode(query)}")

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return post_json(profile, secret, f"{_path(job, 'batches')}:cancel")

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        url = urlsplit(profile.base_url)
        address = f"{url.scheme}://{url.netloc}/download{url.path}/{_path(file, 'files')}"
        return HttpRequest("GET", f"{address}:download?alt=media", profile.key_header(secret))

    def read_file_name(self, document: object) -> str:
        return as_text(as_object(as_object(document).get("file")).get("name"))

    def read_status(self, document: object) -> JobStatus:
        operation = as_object(document)
        job = as_object(operation.get("metadata")) or operation
        state = as_text(job.get("state")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
        failed = as_object(operation.get("error"))
        output = as_object(operation.get("response")) or as_object(job.get("output"))
        file = as_text(first_present(output, "responsesFile", "responses_file", "fileName"))
        return JobStatus(
            id=as_text(operation.get("name")) or as_text(job.get("name")),
            name=as_text(first_present(job, "displayName", "display_name")),
            state=_STATES.get(state, "failed" if failed else "open"),
            files=(file,) if file else (),
            error=sanitize(as_text(failed.get("message"))),
            counts=_counts(as_object(first_present(job, "batchStats", "batch_stats"))),
            expires=_expires(as_text(first_present(job, "createTime", "create_time"))),
        )

    def read_listing(self, document: object) -> JobListing:
        found = as_object(document)
        jobs = as_array(first_present(found, "operations", "batches"))
        return JobListing(
            tuple(self.read_status(job) for job in jobs),
            as_text(first_present(found, "nextPageToken", "next_page_token")),
        )

    def result_decoder(self, profile: Profile) -> ResultFileDecoder:
        return ResultFileDecoder(KEYS, lambda document: _read_line(document, profile))

    def poll_decoder(self, profile: Profile, *, salvage: bool = False) -> InlineResultDecoder:
        kind = SalvagedResultDecoder if salvage else InlineResultDecoder
        return kind(KEYS, lambda document: _read_line(document, profile), _INLINED)

    def line_decoder(self, profile: Profile) -> KeptLineDecoder:
        return KeptLineDecoder(KEYS, lambda document: _read_line(document, profile))


def _inline_source(lines: list[bytes]) -> list[bytes | memoryview]:
    """Lines as they are written within a creation, in parts: megabytes of them are not copied."""
    parts: list[bytes | memoryview] = [b'{"requests":{"requests":[']
    for number, line in enumerate(lines):
        at = line.index(_REQUEST)
        view = memoryview(line)[: len(line) - 1]
        parts += [b"," * bool(number), b'{"metadata":', view[:at], b"}", view[at:]]
    return [*parts, b"]}}"]


def _path(name: str, kind: str) -> str:
    """The path of a file or a job, which the vendor names with or without its kind."""
    return f"{kind}/{checked_id(name.removeprefix(f'{kind}/'), kind)}"


def _counts(stats: Mapping[str, object]) -> tuple[int, int, int]:
    def number(camel: str, snake: str) -> int:
        value = first_present(stats, camel, snake)
        return int(value) if isinstance(value, str | int) and str(value).isdecimal() else 0

    return (
        number("requestCount", "request_count"),
        number("successfulRequestCount", "successful_request_count"),
        number("failedRequestCount", "failed_request_count"),
    )


def _expires(created: str) -> float:
    try:
        at = datetime.fromisoformat(created)
    except ValueError:
        return 0.0
    return at.timestamp() + _LIVES if at.tzinfo is not None else 0.0


def _read_line(document: object, profile: Profile) -> ResultLine:
    line = as_object(document)
    key = as_text(line.get("key")) or as_text(as_object(line.get("metadata")).get("key"))
    response = line.get("response")
    if isinstance(response, dict):
        try:
            return ResultLine(key, read_answer(response))
        except (NoImageError, MalformedReplyError) as exc:
            return ResultLine(key, error=exc.with_traceback(None))
    error = as_object(line.get("error")) or as_object(line.get("status"))
    if error:
        return ResultLine(key, error=_read_error(error, profile))
    return ResultLine(
        key, error=MalformedReplyError("The line has neither an answer nor an error.")
    )


def _read_error(error: Mapping[str, object], profile: Profile) -> NbpError:
    code = error.get("code")
    status = _HTTP.get(code, code) if isinstance(code, int) else 500
    status = status if 400 <= status < 600 else 500
    message, kind = as_text(error.get("message")), as_text(error.get("status"))
    body = encode_json({"error": {"message": message, "status": kind}})
    return read_refusal(ReplyHead(status, {}), body, profile)
