"""Services that take an image on as a task, each described by a table: see `TaskTable`.

A submit is answered with the task's id, a look with its state, and in the end with its result.
All of these documents are read by one decoder: what it finds is an image, or what to ask for next.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from nbp_async._dialects import places
from nbp_async._dialects.base import SUCCESS, Answer, Decoder, Part
from nbp_async._dialects.json_scan import JsonScan, Keys, image_of
from nbp_async._dialects.openai import BLOCKED, OpenAIImages, usage_of
from nbp_async._dialects.read import clean, count, items, refusal, table, text
from nbp_async._dialects.spell import Base64, spelled
from nbp_async._errors import (
    ConfigError,
    ContentBlockedError,
    MalformedReplyError,
    NoImageError,
    RefusedError,
    TaskFailedError,
)
from nbp_async._handle import Handle
from nbp_async._http import HttpRequest, ReplyHead, Usage
from nbp_async._models import Job, Reference
from nbp_async._profiles import Profile

_CANCELLED = frozenset({"cancelled", "canceled"})


class TaskImages:
    """See `base.Dialect`; this one also asks how a task stands.

    Args:
        profile: The endpoint; its `tasks` is the table.
        callback: Address of a webhook to tell the service, or "".
    """

    statuses = SUCCESS | {202}

    def __init__(self, profile: Profile, callback: str = "") -> None:
        assert profile.tasks is not None, "checked when the call was made"
        self.table = task = profile.tasks
        self.callback = callback
        self._profile = profile
        self._keys = Keys(image=places.last_names(task.images), link=places.last_names(task.links))

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        task = self.table
        path = task.edit if references and task.edit else task.submit
        url = profile.base_url + path.replace("{model}", quote(job.model))
        if not task.body:
            return self._as_held(url, job, profile, references, key)
        values = self._values(job, references)
        body = table(_filled(task.body, values))
        if job.prompt.extra:
            body = _with_extra(body, task.extra, job.prompt.extra)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= profile.key_header(key)
        return HttpRequest("POST", self._with_query(url, values), headers, spelled(body))

    def decoder(self) -> Decoder:
        return _Decoder(self, self._profile, None)

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return refusal(head, body, profile)

    def look(self, handle: Handle, model: str, key: str) -> HttpRequest:
        """Ask how a task stands, or for its result."""
        url = handle.look or self._url(self.table.look, handle.id, model)
        headers = self._profile.key_header(key) | {"Accept": "application/json"}
        return HttpRequest("GET", url, headers)

    def look_decoder(self, handle: Handle) -> Decoder:
        """Reads the answer to a look."""
        return _Decoder(self, self._profile, handle)

    def cancel(self, handle: Handle, model: str, key: str) -> HttpRequest | None:
        """Ask to cancel a task; None where the service cannot."""
        method, _, path = self.table.cancel.partition(" ")
        url = handle.cancel or (self._url(path, handle.id, model) if path else "")
        if not url:
            return None
        headers = self._profile.key_header(key) | {"Accept": "application/json"}
        return msgspec.convert(
            {"method": method or "POST", "url": url, "headers": headers}, HttpRequest
        )

    def handle(self, document: object, before: Handle | None) -> Handle | None:
        """What to ask for the task by; None if the document does not say its id.

        Raises:
            MalformedReplyError: It is another task's, or names an address at another host.
        """
        task = self.table
        known = places.words(document, task.id)
        if before is not None:
            if known and known != before.id:
                raise MalformedReplyError(f"The answer is about task {clean(known, 80)}, not ours.")
            known = before.id
        if not known:
            return None
        seen = before or Handle("task", known)
        return Handle(
            "task",
            known,
            look=self._address(document, task.look_url) or seen.look,
            cancel=self._address(document, task.cancel_url) or seen.cancel,
            result=self._address(document, task.result_url) or seen.result,
        )

    def _url(self, path: str, task_id: str, model: str) -> str:
        path = path.replace("{id}", quote(task_id, safe="")).replace("{model}", quote(model))
        return self._profile.base_url + path

    def _address(self, document: object, place: str) -> str:
        """An address that the service names. The key will go there, so it must be the same host."""
        url = places.words(document, [place]) if place else ""
        here, there = urlsplit(self._profile.base_url), urlsplit(url)
        if url and (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise MalformedReplyError(
                f"{self._profile.name} wants to be asked at {clean(there.netloc, 80)}: the key is "
                f"sent to {here.netloc} alone."
            )
        return url

    def _as_held(
        self, url: str, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        """The body of the held call at another address."""
        if self.table.callback and self.callback:
            extra = {**(job.prompt.extra or {}), self.table.callback: self.callback}
            prompt = msgspec.structs.replace(job.prompt, extra=extra)
            job = msgspec.structs.replace(job, prompt=prompt)
        held = OpenAIImages().encode(job, profile, references, key)
        return HttpRequest("POST", url, held.headers, held.body)

    def _values(self, job: Job, references: tuple[Reference, ...]) -> dict[str, object]:
        canvas = job.canvas
        pixels = canvas.pixels
        return {
            "prompt": job.prompt.text,
            "model": job.model,
            "size": canvas.tier,
            "aspect_ratio": canvas.ratio,
            "pixels": None if pixels is None else f"{pixels[0]}x{pixels[1]}",
            "seed": job.seed,
            "references": [_address_of(r) for r in references] or None,
            "callback": self.callback or None,
        }

    def _with_query(self, url: str, values: Mapping[str, object]) -> str:
        query = table(_filled(self.table.query, values))
        if not query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


class _Decoder:
    """See `base.Decoder`. `before` is what the task was known by, or None at its submit."""

    __slots__ = ("_before", "_dialect", "_profile", "_scan")

    def __init__(self, dialect: TaskImages, profile: Profile, before: Handle | None) -> None:
        self._dialect = dialect
        self._profile = profile
        self._before = before
        self._scan = JsonScan(dialect._keys)  # noqa: SLF001  a part of it

    @property
    def complete(self) -> bool:
        return self._scan.complete

    def feed(self, data: bytes) -> list[Part]:
        return self._scan.feed(data)

    def close(self) -> Answer:
        """What the document says.

        Raises:
            RefusedError: A status code in the body is no success.
            TaskFailedError: The task failed, or was cancelled.
            MalformedReplyError: It says nothing of a task, or of another one, or in words that the
                table does not have.
        """
        document, task = self._scan.close(), self._dialect.table
        self._check_status(document)
        handle = self._dialect.handle(document, self._before)
        state = places.words(document, task.state).lower()
        answer = self._result(document)
        broken = answer is None and state in task.done and places.words(document, task.code)
        if state in task.failed or broken:
            raise self._failed(document, state, handle)
        if answer is not None and (state in task.done or not state or state not in task.pending):
            return answer
        if state in task.done:
            if handle is not None and handle.result and handle.look != handle.result:
                return Answer(handle=msgspec.structs.replace(handle, look=handle.result), eta=0.0)
            where = self._nothing_at(document, *task.images, *task.links)
            raise NoImageError(
                f"{self._profile.name}: the task is done, and has no image{where}.",
                reason="no data",
            )
        if handle is None:
            where = self._nothing_at(document, *task.id)
            raise MalformedReplyError(
                f"{self._profile.name} took no task on: the answer has no id{where}"
            )
        if state and state not in task.pending:
            raise MalformedReplyError(
                f"the task is {clean(state, 80)!r}, which is none of the states pending, done and "
                f"failed of {self._profile.name}"
            )
        return Answer(handle=handle, eta=self._eta(document))

    def _nothing_at(self, document: object, *looked: str) -> str:
        """Where the table looked, and what the answer has instead: a wrong table shows at once."""
        there = ", ".join(clean(name, 80) for name in places.names(document))
        return f" at {', '.join(looked)}; it has {there or 'nothing'}"

    def _result(self, document: object) -> Answer | None:
        task = self._dialect.table
        images: list[int] = []
        links: list[str] = []
        for value in (*places.found(document, task.images), *places.found(document, task.links)):
            number = image_of(value)
            if number is not None:
                images.append(number)
            elif isinstance(value, str) and value:
                links.append(value)
        if not images and not links:
            return None
        return Answer(
            images=tuple(images),
            links=tuple(links),
            usage=_usage(table(table(document).get("usage"))),
        )

    def _eta(self, document: object) -> float | None:
        for value in places.found(document, self._dialect.table.eta):
            if isinstance(value, int | float) and 0 < value < 86400:
                return float(value)
        return None

    def _check_status(self, document: object) -> None:
        place = self._dialect.table.status
        code = places.words(document, [place]) if place else ""
        if code.isdigit() and not 200 <= int(code) < 300:
            said = msgspec.json.encode({"error": {"message": places.words(document, ["msg"])}})
            raise refusal(ReplyHead(int(code), {}), said, self._profile)

    def _failed(self, document: object, state: str, handle: Handle | None) -> Exception:
        task, name = self._dialect.table, self._profile.name
        code = clean(places.words(document, task.code), 80)
        said = clean(places.words(document, task.error), 500)
        known = handle.id if handle is not None else ""
        what = f"{name}: task {known} {'was cancelled' if state in _CANCELLED else 'failed'}"
        message = f"{what}: {said or code or state}."
        if any(blocked in code.lower() for blocked in BLOCKED):
            return ContentBlockedError(message, reason=code, text=said)
        passing = code in task.passing
        return TaskFailedError(message, task=known, who=task.billed_failed, passing=passing)


def _filled(template: object, values: Mapping[str, object]) -> object:
    """The template with its values in their places; what has none is left out with its name."""
    if isinstance(template, str):
        if template[:1] == "{" and template[1:-1] in values:
            return values[template[1:-1]]
        return template
    if isinstance(template, dict):
        filled = {name: _filled(inner, values) for name, inner in template.items()}
        return {name: value for name, value in filled.items() if value is not None} or None
    if isinstance(template, list):
        return [v for v in (_filled(inner, values) for inner in template) if v is not None] or None
    return template


def _with_extra(
    body: Mapping[str, object], part: str, extra: Mapping[str, object]
) -> dict[str, object]:
    if not part:
        return {**body, **extra}
    return {**body, part: {**table(body.get(part)), **extra}}


def _address_of(reference: Reference) -> str | Base64:
    """A link as it is, or the bytes as a data: address."""
    if not reference.uri:
        return Base64(reference.data, f"data:{reference.mime};base64,")
    if urlsplit(reference.uri).scheme not in ("http", "https"):
        raise ConfigError(
            f"Reference {reference.uri}: this API takes files and http(s) links. Nothing was sent."
        )
    return reference.uri


def _usage(told: Mapping[str, object]) -> Usage | None:
    """Tokens in the images API's words, or in those of Google's interactions."""
    if "total_output_tokens" not in told:
        return usage_of(told)
    output = count(told["total_output_tokens"])
    kinds = [table(kind) for kind in items(told.get("output_tokens_by_modality"))]
    image = sum(count(k.get("tokens")) for k in kinds if text(k.get("modality")) == "image")
    image = image if kinds else output
    return Usage(
        input_tokens=count(told.get("total_input_tokens")),
        image_tokens=image,
        text_tokens=max(0, output - image) + count(told.get("total_thought_tokens")),
        total_tokens=count(told.get("total_tokens")),
    )
