"""OpenAI's batch API: many requests to one of its image addresses, at half the price, within a day.

Lines are uploaded as one file. All lines of a job go to one address, so requests with references
are in other jobs than those without. When a job expires or is cancelled, what was done by then has
results; all other lines are in the file of errors. Results come in any order: `custom_id` joins
them.
"""

from urllib.parse import urlencode, urlsplit

from nbp_async._base.errors import MalformedReplyError, NbpError, NoImageError, TaskFailedError
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
from nbp_async._dialects.body_template import encode_json
from nbp_async._dialects.openai_images import (
    KEYS,
    File,
    encode_form,
    json_fields,
    read_answer,
    request_path,
)
from nbp_async._dialects.reply_fields import (
    as_array,
    as_count,
    as_object,
    as_text,
    read_refusal,
    sanitize,
)
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import Profile

_STATES: dict[str, JobState] = {
    "completed": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}
# Error codes of lines that were never begun, and whether another job may bring them.
_UNDONE = {"batch_expired": True, "batch_cancelled": False}


class OpenAIBatch:
    """See `batch_dialect.BatchDialect`."""

    keys = KEYS
    signature_schemes = ("standard",)
    resumable: ResumableDialect | None = None

    def address(self, job: Job, profile: Profile, references: tuple[Reference, ...]) -> str:  # noqa: ARG002
        return f"{urlsplit(profile.base_url).path}{request_path(references)}"

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        body = json_fields(job, profile, references)
        address = self.address(job, profile, references)
        line = {"custom_id": key, "method": "POST", "url": address, "body": body}
        return encode_json(line) + b"\n"

    def upload(self, profile: Profile, secret: str, name: str, lines: list[bytes]) -> HttpRequest:
        file = File("file", f"{name}.jsonl", "application/jsonl", lines)
        kind, body = encode_form({"purpose": "batch"}, [file])
        headers = profile.key_header(secret) | {"Content-Type": kind}
        return HttpRequest("POST", f"{profile.base_url}/files", headers, body)

    def fits_inline(self, lines: list[bytes]) -> bool:  # noqa: ARG002
        return False

    def create(
        self,
        profile: Profile,
        secret: str,
        *,
        name: str,
        address: str,
        source: Source,
        callback: str,  # noqa: ARG002  its webhooks are set up for all of an account's jobs
    ) -> HttpRequest:
        body = {
            "input_file_id": source,
            "endpoint": address,
            "completion_window": "24h",
            "metadata": {"name": name},
        }
        return post_json(profile, secret, "batches", encode_json(body))

    def poll(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return get_request(profile, secret, f"batches/{checked_id(job, 'a batch job')}")

    def list_jobs(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        query = {"limit": "100"} | ({"after": page} if page else {})
        return get_request(profile, secret, f"batches?{urlencode(query)}")

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return post_json(profile, secret, f"batches/{checked_id(job, 'a batch job')}/cancel")

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        return get_request(profile, secret, f"files/{checked_id(file, 'a file')}/content")

    def read_file_name(self, document: object) -> str:
        return as_text(as_object(document).get("id"))

    def read_status(self, document: object) -> JobStatus:
        found = as_object(document)
        done = as_object(found.get("request_counts"))
        files = (as_text(found.get("output_file_id")), as_text(found.get("error_file_id")))
        return JobStatus(
            id=as_text(found.get("id")),
            name=as_text(as_object(found.get("metadata")).get("name")),
            state=_STATES.get(as_text(found.get("status")), "open"),
            files=tuple(filter(None, files)),
            error=_first_error(found.get("errors")),
            counts=(
                as_count(done.get("total")),
                as_count(done.get("completed")),
                as_count(done.get("failed")),
            ),
            expires=float(as_count(found.get("expires_at"))),
        )

    def read_listing(self, document: object) -> JobListing:
        found = as_object(document)
        jobs = tuple(self.read_status(job) for job in as_array(found.get("data")))
        more = found.get("has_more") is True and jobs
        return JobListing(jobs, jobs[-1].id if more else "")

    def result_decoder(self, profile: Profile) -> ResultFileDecoder:
        return ResultFileDecoder(KEYS, lambda document: _read_line(document, profile))

    def poll_decoder(self, profile: Profile, *, salvage: bool = False) -> InlineResultDecoder:  # noqa: ARG002
        return InlineResultDecoder(KEYS, lambda document: _read_line(document, profile))

    def line_decoder(self, profile: Profile) -> KeptLineDecoder:
        return KeptLineDecoder(KEYS, lambda document: _read_line(document, profile))


def _first_error(errors: object) -> str:
    """The first thing that is wrong with a file, in the vendor's words, and its line."""
    for item in as_array(as_object(errors).get("data")):
        error = as_object(item)
        where = as_count(error.get("line"))
        return sanitize(as_text(error.get("message"))) + (f" (line {where})" if where else "")
    return ""


def _read_line(document: object, profile: Profile) -> ResultLine:
    line = as_object(document)
    key, response = as_text(line.get("custom_id")), as_object(line.get("response"))
    status, body = response.get("status_code"), as_object(response.get("body"))
    error = as_object(line.get("error"))
    if error:
        return ResultLine(key, error=_read_error(error, key))
    if not isinstance(status, int):
        return ResultLine(
            key, error=MalformedReplyError("The line has neither an answer nor an error.")
        )
    if status != 200:
        head = ReplyHead(status if 400 <= status < 600 else 500, {})
        return ResultLine(key, error=read_refusal(head, encode_json(body), profile))
    try:
        return ResultLine(key, read_answer(body))
    except NoImageError as exc:
        return ResultLine(key, error=exc.with_traceback(None))


def _read_error(error: object, key: str) -> NbpError:
    fields = as_object(error)
    code, words = as_text(fields.get("code")), sanitize(as_text(fields.get("message")))
    if code in _UNDONE:
        return TaskFailedError(
            f"The line was not done: {words or code}",
            task=key,
            billing="no",
            is_transient=_UNDONE[code],
        )
    return TaskFailedError(f"The line failed: {words or code}", task=key, billing="maybe")
