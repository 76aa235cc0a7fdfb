"""Google's batch API: many `generateContent` requests, at half the price, within a day.

Few go within the creation of their job, more in a file. States come as BATCH_STATE_* or
JOB_STATE_*, counts as strings, fields in camel or snake case. A job made of a file may answer
without one. Results come in no order: `key` joins them.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from nbp_async._dialects.batch_lines import Inlined, Line, Lines
from nbp_async._dialects.batches import Listed, Pieces, Source, Standing, Standings
from nbp_async._dialects.gemini import KEYS, GeminiNative, answer_of
from nbp_async._dialects.read import clean, either, items, refusal, table, text
from nbp_async._dialects.spell import spelled
from nbp_async._errors import MalformedReplyError, NbpError, NoImageError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")
# A request has at most 20 MB. What is asked so is answered so, in one document, where an image may
# be 30 MB: that few lines are safe either way.
MOST_INLINE = 19_000_000  # bytes of lines
MOST_INLINE_LINES = 10
_LIVES = 48 * 3600.0  # seconds from its creation until a job that is not done is given up
_REQUEST = b',"request":'
_INLINED = (b"inlinedResponses", b"inlined_responses")
_STANDING: dict[str, Standing] = {
    "SUCCEEDED": "done",
    "PARTIALLY_SUCCEEDED": "done",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "EXPIRED": "expired",
}
# google.rpc.Code, as HTTP says it.
_HTTP = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 13: 500, 14: 503, 16: 401}


class GeminiBatch:
    """See `batches.BatchDialect`."""

    keys = KEYS
    signs = ("google", "standard")

    @property
    def pieces(self) -> Pieces:
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
        there = f"{url.scheme}://{url.netloc}/upload{url.path}/files"
        return HttpRequest("POST", there, headers, spelled(body))

    def piece(self, url: str, data: bytes, offset: int, *, last: bool) -> HttpRequest:
        commands = ["upload"] * bool(data) + ["finalize"] * last
        headers = {
            "Content-Type": "application/jsonl",
            "X-Goog-Upload-Offset": str(offset),
            "X-Goog-Upload-Command": ", ".join(commands),
        }
        return HttpRequest("POST", url, headers, data)

    def query(self, url: str) -> HttpRequest:
        return HttpRequest("POST", url, {"X-Goog-Upload-Command": "query"}, b"")

    def arrived(self, head: ReplyHead) -> int | None:
        size = head.headers.get("x-goog-upload-size-received", "")
        active = head.headers.get("x-goog-upload-status", "") == "active"
        return int(size) if active and re.fullmatch("[0-9]{1,15}", size) else None

    def upload_url(self, head: ReplyHead, profile: Profile) -> str:
        there, ours = head.headers.get("x-goog-upload-url", ""), urlsplit(profile.base_url)
        if urlsplit(there)[:2] != ours[:2]:
            raise MalformedReplyError("The upload was sent to another host, and not begun.")
        return there

    def inlines(self, lines: list[bytes]) -> bool:
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
            config = _inlined(source)
        begin = b'{"batch":{"displayName":%b,"inputConfig":' % msgspec.json.encode(name)
        hook = (
            b',"webhookConfig":{"uris":[%b]}' % msgspec.json.encode(callback) if callback else b""
        )
        body = b"".join([begin, *config, hook, b"}}"])
        headers = profile.key_header(secret) | {"Content-Type": "application/json"}
        return HttpRequest("POST", f"{profile.base_url}{address}", headers, body)

    def look(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return _get(profile, secret, _path(job, "batches"))

    def listing(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        query = {"pageSize": "100"} | ({"pageToken": page} if page else {})
        return _get(profile, secret, f"batches?{urlencode(query)}")

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        url = f"{profile.base_url}/{_path(job, 'batches')}:cancel"
        headers = profile.key_header(secret) | {"Content-Type": "application/json"}
        return HttpRequest("POST", url, headers, b"{}")

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        url = urlsplit(profile.base_url)
        there = f"{url.scheme}://{url.netloc}/download{url.path}/{_path(file, 'files')}"
        return HttpRequest("GET", f"{there}:download?alt=media", profile.key_header(secret))

    def file_of(self, document: object) -> str:
        return text(table(table(document).get("file")).get("name"))

    def standings(self, document: object) -> Standings:
        found = table(document)
        told = table(found.get("metadata")) or found
        state = text(told.get("state")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
        failed = table(found.get("error"))
        standing = _STANDING.get(state, "failed" if failed else "open")
        output = table(found.get("response")) or table(told.get("output"))
        file = text(either(output, "responsesFile", "responses_file", "fileName"))
        return Standings(
            id=text(found.get("name")) or text(told.get("name")),
            name=text(either(told, "displayName", "display_name")),
            standing=standing,
            files=(file,) if file else (),
            error=clean(text(failed.get("message"))),
            counts=_counts(table(either(told, "batchStats", "batch_stats"))),
            expires=_expires(text(either(told, "createTime", "create_time"))),
        )

    def listed(self, document: object) -> Listed:
        found = table(document)
        jobs = items(either(found, "operations", "batches"))
        return Listed(
            tuple(self.standings(job) for job in jobs),
            text(either(found, "nextPageToken", "next_page_token")),
        )

    def lines(self, profile: Profile) -> Lines:
        return Lines(KEYS, lambda document: _line(document, profile))

    def looked(self, profile: Profile) -> Inlined:
        return Inlined(KEYS, lambda document: _line(document, profile), _INLINED)


def _inlined(lines: list[bytes]) -> list[bytes | memoryview]:
    """Lines as they are written within a creation, in parts: megabytes of them are not copied."""
    parts: list[bytes | memoryview] = [b'{"requests":{"requests":[']
    for number, line in enumerate(lines):
        at = line.index(_REQUEST)
        view = memoryview(line)[: len(line) - 1]
        parts += [b"," * bool(number), b'{"metadata":', view[:at], b"}", view[at:]]
    return [*parts, b"]}}"]


def _get(profile: Profile, secret: str, path: str) -> HttpRequest:
    return HttpRequest("GET", f"{profile.base_url}/{path}", profile.key_header(secret))


def _path(name: str, kind: str) -> str:
    """The vendor's name of a thing as part of an address.

    Raises:
        MalformedReplyError: It leads elsewhere.
    """
    plain = name.removeprefix(f"{kind}/")
    if not _ID.fullmatch(plain):
        raise MalformedReplyError(f"{clean(name, 80)!r} is no name of one of its {kind}.")
    return f"{kind}/{plain}"


def _counts(stats: Mapping[str, object]) -> tuple[int, int, int]:
    def number(camel: str, snake: str) -> int:
        value = either(stats, camel, snake)
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


def _line(document: object, profile: Profile) -> Line:
    found = table(document)
    key = text(found.get("key")) or text(table(found.get("metadata")).get("key"))
    said = found.get("response")
    if isinstance(said, dict):
        try:
            return Line(key, answer_of(said))
        except (NoImageError, MalformedReplyError) as exc:
            return Line(key, error=exc.with_traceback(None))
    error = table(found.get("error")) or table(found.get("status"))
    if error:
        return Line(key, error=_refused(error, profile))
    return Line(key, error=MalformedReplyError("The line has neither an answer nor an error."))


def _refused(error: Mapping[str, object], profile: Profile) -> NbpError:
    code = error.get("code")
    status = _HTTP.get(code, code) if isinstance(code, int) else 500
    status = status if 400 <= status < 600 else 500
    said = {"error": {"message": text(error.get("message")), "status": text(error.get("status"))}}
    return refusal(ReplyHead(status, {}), spelled(said), profile)
