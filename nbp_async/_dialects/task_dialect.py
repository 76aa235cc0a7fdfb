"""Services that make an image as a task, each described by a table: see `TaskTable`.

A submit is answered with the task's id, a poll with its state, and in the end with its result.
Here are the requests; `task_answer` reads the answers.
"""

from collections.abc import Mapping
from functools import partial
from urllib.parse import quote, urlencode

import msgspec

from nbp_async._base.errors import ConfigError, RefusedError
from nbp_async._base.http import HttpRequest, ReplyHead
from nbp_async._base.task_handle import Handle
from nbp_async._dialects.base import SUCCESS, Decoder
from nbp_async._dialects.body_template import encode_json, fill_template, link_or_data
from nbp_async._dialects.json_decoder import JsonDecoder
from nbp_async._dialects.json_path import last_keys
from nbp_async._dialects.json_scan import Keys
from nbp_async._dialects.openai_images import OpenAIImages
from nbp_async._dialects.reply_fields import as_object, read_refusal
from nbp_async._dialects.task_answer import TaskAnswerReader
from nbp_async._models.outcomes import Job, Reference
from nbp_async._vendors.profiles import Profile


class TaskImages:
    """See `base.Dialect`; it also polls and cancels tasks.

    Args:
        profile: The endpoint; its `tasks` is the table.
        callback: Address of a webhook to name to the service, or "".
    """

    statuses = SUCCESS | {202}

    def __init__(self, profile: Profile, callback: str = "") -> None:
        assert profile.tasks is not None, "checked when the call was made"
        self.table = task = profile.tasks
        self.callback = callback
        self._profile = profile
        self._keys = Keys(image=last_keys(task.images), link=last_keys(task.links))
        self._reader = TaskAnswerReader(profile, task)

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        task = self.table
        path = task.edit if references and task.edit else task.submit
        url = profile.base_url + path.replace("{model}", quote(job.model))
        if not task.body:
            return self._encode_as_held(url, job, profile, references, key)
        if references and "{references}" not in repr(task.body):
            raise ConfigError(
                f"{profile.name} takes no references: its table has no {{references}}. "
                "Nothing was sent."
            )
        values = self._values(job, references)
        body = as_object(fill_template(task.body, values))
        if job.prompt.extra:
            body = _with_extra(body, task.extra, job.prompt.extra)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= profile.key_header(key)
        return HttpRequest("POST", self._with_query(url, values), headers, encode_json(body))

    def decoder(self) -> Decoder:
        return self._decoder(None)

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        return read_refusal(head, body, profile)

    def poll(self, handle: Handle, model: str, key: str) -> HttpRequest:
        """Ask for the state of a task, or for its result."""
        url = handle.look or self._url(self.table.look, handle.id, model)
        headers = self._profile.key_header(key) | {"Accept": "application/json"}
        return HttpRequest("GET", url, headers)

    def poll_decoder(self, handle: Handle) -> Decoder:
        """A fresh decoder for the answer to a poll."""
        return self._decoder(handle)

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

    def _decoder(self, handle: Handle | None) -> Decoder:
        return JsonDecoder(self._keys, partial(self._reader.read, known=handle))

    def _url(self, path: str, task_id: str, model: str) -> str:
        path = path.replace("{id}", quote(task_id, safe="")).replace("{model}", quote(model))
        return self._profile.base_url + path

    def _encode_as_held(
        self, url: str, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        """The body of a held call, sent to another address."""
        if self.table.callback and self.callback:
            extra = {**(job.prompt.extra or {}), self.table.callback: self.callback}
            prompt = msgspec.structs.replace(job.prompt, extra=extra)
            job = msgspec.structs.replace(job, prompt=prompt)
        held = OpenAIImages().encode(job, profile, references, key)
        return HttpRequest("POST", url, held.headers, held.body)

    def _values(self, job: Job, references: tuple[Reference, ...]) -> dict[str, object]:
        """The values of the template's names; None leaves a field out."""
        canvas = job.canvas
        pixels = canvas.pixels
        return {
            "prompt": job.prompt.text,
            "model": job.model,
            "size": canvas.tier,
            "aspect_ratio": canvas.ratio,
            "pixels": None if pixels is None else f"{pixels[0]}x{pixels[1]}",
            "quality": job.prompt.quality,
            "seed": job.seed,
            "response_format": job.response_format or self._profile.response_format,
            "references": [link_or_data(r) for r in references] or None,
            "callback": self.callback or None,
        }

    def _with_query(self, url: str, values: Mapping[str, object]) -> str:
        query = as_object(fill_template(self.table.query, values))
        if not query:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


class TaskSubmits:
    """How tasks are submitted: "not found" is about the address here, and not about a task."""

    statuses = TaskImages.statuses

    def __init__(self, tasks: TaskImages) -> None:
        self._tasks = tasks

    def encode(
        self, job: Job, profile: Profile, references: tuple[Reference, ...], key: str
    ) -> HttpRequest:
        return self._tasks.encode(job, profile, references, key)

    def decoder(self) -> Decoder:
        return self._tasks.decoder()

    def refusal(self, head: ReplyHead, body: bytes, profile: Profile) -> RefusedError:
        error = self._tasks.refusal(head, body, profile)
        if error.status in (404, 405):
            error.hint = (
                f"{profile.name} takes no tasks at {profile.base_url}{self._tasks.table.submit}: "
                'check the address and the model, or make held calls (via="held").'
            )
        return error


def _with_extra(
    body: Mapping[str, object], part: str, extra: Mapping[str, object]
) -> dict[str, object]:
    if not part:
        return {**body, **extra}
    return {**body, part: {**as_object(body.get(part)), **extra}}
