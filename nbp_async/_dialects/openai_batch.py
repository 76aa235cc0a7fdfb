"""OpenAI's batch API: many requests to one of its image addresses, at half the price, within a day.

Lines go up as a file, whole. A job is of one address: requests with references are in other jobs
than those without. What was done when a job expires or is cancelled has its results; the others
stand in the file of errors. Results come in no order: `custom_id` joins them.
"""

import re
from urllib.parse import quote, urlencode, urlsplit

from nbp_async._dialects.batch_lines import Inlined, Line, Lines
from nbp_async._dialects.batches import Listed, Pieces, Source, Standing, Standings
from nbp_async._dialects.openai import KEYS, File, answer_of, fields_of, multipart, path_of
from nbp_async._dialects.read import clean, count, items, refusal, table, text
from nbp_async._dialects.spell import spelled
from nbp_async._errors import MalformedReplyError, NbpError, NoImageError, TaskFailedError
from nbp_async._http import HttpRequest, ReplyHead
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")
_STANDING: dict[str, Standing] = {
    "completed": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}
# What an error code of a line says of its request: it never was done, and may be another time.
_UNDONE = {"batch_expired": True, "batch_cancelled": False}


class OpenAIBatch:
    """See `batches.BatchDialect`."""

    keys = KEYS
    signs = ("standard",)
    pieces: Pieces | None = None

    def address(self, job: Job, profile: Profile, references: tuple[Reference, ...]) -> str:  # noqa: ARG002
        return f"{urlsplit(profile.base_url).path}{path_of(references)}"

    def line(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> bytes:
        body = fields_of(job, profile, references)
        address = self.address(job, profile, references)
        line = {"custom_id": key, "method": "POST", "url": address, "body": body}
        return spelled(line) + b"\n"

    def upload(self, profile: Profile, secret: str, name: str, lines: list[bytes]) -> HttpRequest:
        file = File("file", f"{name}.jsonl", "application/jsonl", lines)
        kind, body = multipart({"purpose": "batch"}, [file])
        headers = profile.key_header(secret) | {"Content-Type": kind}
        return HttpRequest("POST", f"{profile.base_url}/files", headers, body)

    def inlines(self, lines: list[bytes]) -> bool:  # noqa: ARG002
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
        headers = profile.key_header(secret) | {"Content-Type": "application/json"}
        return HttpRequest("POST", f"{profile.base_url}/batches", headers, spelled(body))

    def look(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        return _get(profile, secret, f"batches/{_named(job)}")

    def listing(self, profile: Profile, secret: str, page: str) -> HttpRequest:
        query = {"limit": "100"} | ({"after": page} if page else {})
        return _get(profile, secret, f"batches?{urlencode(query)}")

    def cancel(self, profile: Profile, secret: str, job: str) -> HttpRequest:
        url = f"{profile.base_url}/batches/{_named(job)}/cancel"
        headers = profile.key_header(secret) | {"Content-Type": "application/json"}
        return HttpRequest("POST", url, headers, b"{}")

    def download(self, profile: Profile, secret: str, file: str) -> HttpRequest:
        return _get(profile, secret, f"files/{_named(file)}/content")

    def file_of(self, document: object) -> str:
        return text(table(document).get("id"))

    def standings(self, document: object) -> Standings:
        found = table(document)
        done = table(found.get("request_counts"))
        files = (text(found.get("output_file_id")), text(found.get("error_file_id")))
        return Standings(
            id=text(found.get("id")),
            name=text(table(found.get("metadata")).get("name")),
            standing=_STANDING.get(text(found.get("status")), "open"),
            files=tuple(filter(None, files)),
            error=_why(found.get("errors")),
            counts=(count(done.get("total")), count(done.get("completed")),
                    count(done.get("failed"))),
            expires=float(count(found.get("expires_at"))),
        )  # fmt: skip

    def listed(self, document: object) -> Listed:
        found = table(document)
        jobs = tuple(self.standings(job) for job in items(found.get("data")))
        more = found.get("has_more") is True and jobs
        return Listed(jobs, jobs[-1].id if more else "")

    def lines(self, profile: Profile) -> Lines:
        return Lines(KEYS, lambda document: _line(document, profile))

    def looked(self, profile: Profile) -> Inlined:
        return Inlined(KEYS, lambda document: _line(document, profile))


def _why(errors: object) -> str:
    """The vendor's words on what is wrong with a file: the first of them, and where."""
    for item in items(table(errors).get("data")):
        error = table(item)
        where = count(error.get("line"))
        return clean(text(error.get("message"))) + (f" (line {where})" if where else "")
    return ""


def _get(profile: Profile, secret: str, path: str) -> HttpRequest:
    return HttpRequest("GET", f"{profile.base_url}/{path}", profile.key_header(secret))


def _named(name: str) -> str:
    """The vendor's name of a thing as part of an address.

    Raises:
        MalformedReplyError: It leads elsewhere.
    """
    if not _ID.fullmatch(name):
        raise MalformedReplyError(f"{clean(name, 80)!r} is no name of a file or a batch job.")
    return quote(name)


def _line(document: object, profile: Profile) -> Line:
    found = table(document)
    key, said = text(found.get("custom_id")), table(found.get("response"))
    status, body = said.get("status_code"), table(said.get("body"))
    error = table(found.get("error"))
    if error:
        return Line(key, error=_undone(error, key))
    if not isinstance(status, int):
        return Line(key, error=MalformedReplyError("The line has neither an answer nor an error."))
    if status != 200:
        head = ReplyHead(status if 400 <= status < 600 else 500, {})
        return Line(key, error=refusal(head, spelled(body), profile))
    try:
        return Line(key, answer_of(body))
    except NoImageError as exc:
        return Line(key, error=exc.with_traceback(None))


def _undone(error: object, key: str) -> NbpError:
    said = table(error)
    code, words = text(said.get("code")), clean(text(said.get("message")))
    if code in _UNDONE:
        return TaskFailedError(
            f"The line was not done: {words or code}", task=key, who="no", passing=_UNDONE[code]
        )
    return TaskFailedError(f"The line failed: {words or code}", task=key, who="maybe")
