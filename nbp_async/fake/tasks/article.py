"""The task mode that relays announce: submit beside the images API, look at `/v1/tasks/{id}`."""

import re
from collections.abc import Mapping

from aiohttp import web

from nbp_async.fake.reading import read_images
from nbp_async.fake.refusals import Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import HOLE, Said, Stop, filled, told
from nbp_async.fake.tasks.view import Order, View, callback_of

_SUBMIT = re.compile(r"/v1/images/(generations|edits)/async")
_TASK = re.compile(r"/v1/tasks/([\w-]+)(/cancel)?")


class Article:
    """`/v1/images/generations/async`; the result is what a held call would have answered."""

    name: str = "article"
    base: str = "/v1"
    voice: Voice = "openai"
    scheme: Scheme = "standard"
    events: tuple[str, ...] = ("task.completed",)

    def name_of(self, digest: str) -> str:
        return f"task_{digest}"

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:  # noqa: ARG002
        submit = _SUBMIT.fullmatch(path) if method == "POST" else None
        if submit is not None:
            return Stop("submit", detail=submit[1])
        known = _TASK.fullmatch(path)
        if known is None or method != ("POST" if known[2] else "GET"):
            return None
        return Stop("cancel" if known[2] else "look", known[1])

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:
        ask, fields, kept = await read_images(request, edit=stop.detail == "edits")
        return Order(ask, callback_of(fields, "webhook_url"), kept=kept)

    def submitted(self, task: View) -> Said:
        return told({"task_id": task.id, "status": "pending"})

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        head = {
            "task_id": task.id, "status": task.name or task.state, "progress": task.progress,
            "created": int(task.made),
        }  # fmt: skip
        if task.body is not None:
            return filled({**head, "result": HOLE, "error": None}, task.body.pieces)
        error = {"code": task.code, "message": task.message} if task.code else None
        return told({**head, "result": None, "error": error})

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return told({"task_id": task.id, "status": task.name or task.state})

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        head: dict[str, object] = {"task_id": task.id, "status": task.state}
        if task.body is None:
            error = {"code": task.code, "message": task.message}
            return told({**head, "error": error})
        return filled({**head, "result": HOLE}, task.body.pieces)
