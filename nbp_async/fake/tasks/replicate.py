"""Replicate: predictions, with addresses in the answer and webhooks at the start and at the end."""

from collections.abc import Mapping

from aiohttp import web

from nbp_async.fake.reading import read_document
from nbp_async.fake.refusals import RefusalError, Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import Said, Stop, address, told
from nbp_async.fake.tasks.view import Order, State, View, ask_of, callback_of, when

_STATES: dict[State, str] = {
    "pending": "starting", "processing": "processing", "completed": "succeeded",
    "failed": "failed", "cancelled": "canceled",
}  # fmt: skip


class Replicate:
    """`/replicate/v1`; one image is a link, several are a list of links."""

    name: str = "replicate"
    base: str = "/replicate/v1"
    voice: Voice = "replicate"
    scheme: Scheme = "standard"
    events: tuple[str, ...] = ("start", "completed")

    def name_of(self, digest: str) -> str:
        return digest[:26]

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:  # noqa: ARG002
        if method == "GET":
            if address(self.base, path, "/webhooks/default/secret") is not None:
                return Stop("secret")
            known = address(self.base, path, "/predictions/{id}")
            return Stop("look", known["id"]) if known else None
        if method != "POST":
            return None
        known = address(self.base, path, "/predictions/{id}/cancel")
        if known is not None:
            return Stop("cancel", known["id"])
        model = address(self.base, path, "/models/{owner}/{model}/predictions")
        if model is not None:
            return Stop("submit", detail=model["model"])
        return Stop("submit") if address(self.base, path, "/predictions") is not None else None

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:
        document, kept = await read_document(request)
        fields = document.get("input")
        if not isinstance(fields, dict):
            raise RefusalError(422, "- input is required")
        named = stop.detail or document.get("model") or document.get("version")
        ask = ask_of(
            fields, model=named, size=fields.get("resolution"),
            ratio=fields.get("aspect_ratio"), references="image_input",
        )  # fmt: skip
        chosen = document.get("webhook_events_filter")
        events = tuple(map(str, chosen)) if isinstance(chosen, list) else None
        kept = kept.get("input") if isinstance(kept, dict) else None
        return Order(ask, callback_of(document, "webhook"), events, kept, kept=document)

    def submitted(self, task: View) -> Said:
        return told(self._document(task), 201)

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        return told(self._document(task), result=task.body is not None)

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return told(self._document(task))

    def event(self, name: str, task: View) -> Said:
        return told(self._document(task), result=name == "completed" and task.body is not None)

    def _document(self, task: View) -> dict[str, object]:
        url = f"{task.root}{self.base}/predictions/{task.id}"
        output: object = None
        if task.body is not None:
            output = task.links[0] if len(task.links) == 1 else list(task.links)
        ended = None if task.ended is None else when(task.ended)
        return {
            "id": task.id,
            "model": f"google/{task.order.ask.model}",
            "input": task.order.note,
            "logs": "",
            "output": output,
            "data_removed": False,
            "error": task.message or None,
            "status": task.name or _STATES[task.state],
            "created_at": when(task.made),
            "completed_at": ended,
            "urls": {"get": url, "cancel": f"{url}/cancel"},
        }
