"""Comfly, T8star and kin: `?async=true` at the images API, and a result three `data` deep."""

from collections.abc import Mapping

from aiohttp import web

from nbp_async.fake.reading import read_images
from nbp_async.fake.refusals import Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import HOLE, Said, Stop, address, filled, told
from nbp_async.fake.tasks.view import Order, State, View

_STATES: dict[State, str] = {
    "pending": "NOT_START", "processing": "IN_PROGRESS", "completed": "SUCCESS",
    "failed": "FAILURE", "cancelled": "FAILURE",
}  # fmt: skip


class Comfly:
    """`/comfly/v1`; no cancel and no webhook are known."""

    name: str = "comfly"
    base: str = "/comfly/v1"
    voice: Voice = "openai"
    scheme: Scheme = "none"
    events: tuple[str, ...] = ()

    def name_of(self, digest: str) -> str:
        return digest

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:
        made = address(self.base, path, "/images/{verb}")
        if made is not None and method == "POST" and made["verb"] in ("generations", "edits"):
            wanted = query.get("async", "").lower() == "true"
            return Stop("submit", detail=made["verb"]) if wanted else None
        known = address(self.base, path, "/images/tasks/{id}")
        return Stop("look", known["id"]) if known and method == "GET" else None

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:
        ask, _, kept = await read_images(request, edit=stop.detail == "edits")
        return Order(ask, kept=kept)

    def submitted(self, task: View) -> Said:
        return told({"task_id": task.id})

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        document = {
            "code": "success",
            "message": "",
            "data": {
                "task_id": task.id,
                "status": task.name or _STATES[task.state],
                "fail_reason": task.message,
                "submit_time": int(task.made),
                "finish_time": int(task.ended or 0),
                "progress": f"{task.progress}%",
                "data": None if task.body is None else HOLE,
            },
        }
        return told(document) if task.body is None else filled(document, task.body.pieces)

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return told({"task_id": task.id})

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        return self.shown(Stop("look", task.id), task)
