"""fal's queue: addresses come with the submit's answer, and the result has one of its own."""

import re
from collections.abc import Mapping

from aiohttp import web

from nbp_async.fake.pictures import MIME
from nbp_async.fake.reading import read_document
from nbp_async.fake.refusals import RefusalError, Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import Said, Stop, told
from nbp_async.fake.tasks.view import Order, State, View, ask_of

_SUBMIT = re.compile(r"/fal/([\w-]+/([\w.-]+))(/edit)?")
_TASK = re.compile(r"/fal/([\w-]+/[\w.-]+)(?:/edit)?/requests/([\w-]+)(/status|/response|/cancel)?")
_STATES: dict[State, str] = {
    "pending": "IN_QUEUE", "processing": "IN_PROGRESS", "completed": "COMPLETED",
    "failed": "COMPLETED", "cancelled": "COMPLETED",
}  # fmt: skip
_CANCELLED = "The request was cancelled."


class Fal:
    """`/fal/{owner}/{model}`, with the key as `Authorization: Key …`."""

    name: str = "fal"
    base: str = "/fal"
    voice: Voice = "fal"
    scheme: Scheme = "fal"
    events: tuple[str, ...] = ("completed",)

    def name_of(self, digest: str) -> str:
        return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:  # noqa: ARG002
        if path == "/fal/.well-known/jwks.json":
            return Stop("keys") if method == "GET" else None
        submit = _SUBMIT.fullmatch(path)
        if submit is not None:
            return Stop("submit", detail=submit[2]) if method == "POST" else None
        known = _TASK.fullmatch(path)
        if known is None or method != ("PUT" if known[3] == "/cancel" else "GET"):
            return None
        verbs = {"/status": Stop("look", known[2]), "/cancel": Stop("cancel", known[2])}
        return verbs.get(known[3] or "", Stop("result", known[2]))

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:
        fields, kept = await read_document(request)
        ask = ask_of(
            fields, model=stop.detail, size=fields.get("resolution"),
            ratio=fields.get("aspect_ratio"), references="image_urls",
            images=fields.get("num_images", 1),
        )  # fmt: skip
        path = request.path.removesuffix("/edit")
        return Order(ask, request.query.get("fal_webhook", ""), note=path, kept=kept)

    def submitted(self, task: View) -> Said:
        return told({"status": "IN_QUEUE", "queue_position": 0, **self._addresses(task)})

    def shown(self, stop: Stop, task: View) -> Said:
        if stop.verb == "result":
            return self._result(task)
        state = _STATES[task.state]
        document: dict[str, object] = {"status": task.name or state, **self._addresses(task)}
        if state == "IN_QUEUE":
            document["queue_position"] = 0
        if task.ended is not None:
            document |= {"logs": None, "metrics": {"inference_time": task.ended - task.made}}
            document |= self._error(task)
        return told(document)

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        if took:
            return told({"status": "CANCELLATION_REQUESTED"}, 202)
        return told({"status": "ALREADY_COMPLETED"}, 400)

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        document: dict[str, object] = {
            "request_id": task.id,
            "gateway_request_id": task.id,
            "status": "ERROR" if task.body is None else "OK",
            "payload": None if task.body is None else self._payload(task),
        }
        error = self._error(task).get("error")
        return told({**document, "error": error} if error else document, result=not error)

    def _result(self, task: View) -> Said:
        if not task.over or task.name is not None:
            raise RefusalError(400, "Request is still in progress")
        if task.body is not None:
            return told(self._payload(task), result=True)
        if task.state == "failed":
            refused = task.code == "content_policy_violation"
            detail = [{"loc": ["body", "prompt"], "msg": task.message, "type": task.code}]
            return told({"detail": detail}, 422 if refused else 500)
        raise RefusalError(400, _CANCELLED)

    def _payload(self, task: View) -> dict[str, object]:
        width, height = task.order.ask.pixels
        kind = MIME[task.order.ask.kind or "png"]
        images = [
            {"url": url, "content_type": kind, "width": width, "height": height}
            for url in task.links
        ]
        return {"images": images, "description": ""}

    def _error(self, task: View) -> dict[str, object]:
        if task.state == "cancelled":
            return {"error": _CANCELLED, "error_type": "request_cancelled"}
        return {"error": task.message, "error_type": task.code} if task.code else {}

    def _addresses(self, task: View) -> dict[str, object]:
        url = f"{task.root}{task.order.note}/requests/{task.id}"
        return {
            "request_id": task.id, "response_url": url, "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
        }  # fmt: skip
