"""Evolink: the images API's address, and never anything but a task behind it."""

from collections.abc import Mapping

from aiohttp import web

from nbp_async.fake.reading import read_document
from nbp_async.fake.refusals import Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import Said, Stop, address, told
from nbp_async.fake.tasks.view import Order, View, ask_of, callback_of

_USUALLY = 45  # seconds that it says a task should take


class Evolink:
    """`/evolink/v1`; its webhooks are the task's own document, without a signature."""

    name: str = "evolink"
    base: str = "/evolink/v1"
    voice: Voice = "openai"
    scheme: Scheme = "none"
    events: tuple[str, ...] = ("task.completed",)

    def name_of(self, digest: str) -> str:
        return f"task-unified-{digest}"

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:  # noqa: ARG002
        if method == "POST" and address(self.base, path, "/images/generations") is not None:
            return Stop("submit")
        known = address(self.base, path, "/tasks/{id}")
        return Stop("look", known["id"]) if known and method == "GET" else None

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:  # noqa: ARG002
        fields, kept = await read_document(request)
        ask = ask_of(
            fields, model=fields.get("model"), size=fields.get("quality"),
            ratio=fields.get("size"), references="image_urls",
        )  # fmt: skip
        return Order(ask, callback_of(fields, "callback_url"), kept=kept)

    def submitted(self, task: View) -> Said:
        return told(self._document(task))

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        return told(self._document(task), result=task.body is not None)

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return told(self._document(task))

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        return self.shown(Stop("look", task.id), task)

    def _document(self, task: View) -> dict[str, object]:
        document: dict[str, object] = {
            "created": int(task.made),
            "id": task.id,
            "model": task.order.ask.model,
            "object": "image.generation.task",
            "type": "image",
            "status": task.name or task.state,
            "progress": task.progress,
            "task_info": {"can_cancel": False, "estimated_time": _USUALLY},
        }
        if task.body is not None:
            document["results"] = list(task.links)
        if task.code:
            document["error"] = {"code": task.code, "message": task.message}
        return document
