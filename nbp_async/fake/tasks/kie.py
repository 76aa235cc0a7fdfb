"""kie.ai: HTTP says 200 to nearly everything, and the result is JSON in a string."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from nbp_async.fake.reading import read_document
from nbp_async.fake.refusals import RefusalError, Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import Said, Stop, address, told
from nbp_async.fake.tasks.view import Order, State, View, ask_of, callback_of

_STATES: dict[State, str] = {
    "pending": "waiting", "processing": "generating", "completed": "success", "failed": "fail",
    "cancelled": "fail",
}  # fmt: skip


class Kie:
    """`/kie/api/v1`; no cancel is known."""

    name: str = "kie"
    base: str = "/kie/api/v1"
    voice: Voice = "kie"
    scheme: Scheme = "kie"
    events: tuple[str, ...] = ("task.completed",)

    def name_of(self, digest: str) -> str:
        return f"task_{digest}"

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:
        if method == "POST" and address(self.base, path, "/jobs/createTask") is not None:
            return Stop("submit")
        if method == "GET" and address(self.base, path, "/jobs/recordInfo") is not None:
            return Stop("look", query.get("taskId", ""))
        return None

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:  # noqa: ARG002
        document, kept = await read_document(request)
        fields = document.get("input")
        if not isinstance(fields, dict):
            raise RefusalError(422, "The input cannot be null")
        ask = ask_of(
            fields, model=document.get("model"), size=fields.get("resolution"),
            ratio=fields.get("aspect_ratio"), references="image_input",
        )  # fmt: skip
        note = msgspec.json.encode(kept).decode()
        return Order(ask, callback_of(document, "callBackUrl"), note=note, kept=kept)

    def submitted(self, task: View) -> Said:
        return told({"code": 200, "msg": "success", "data": {"taskId": task.id}})

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        return self._told(task, 200, "success")

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return self._told(task, 200, "success")

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        if task.body is None:
            return self._told(task, 501, "Task failed")
        return self._told(task, 200, "Task completed successfully")

    def _told(self, task: View, code: int, message: str) -> Said:
        urls = {"resultUrls": list(task.links)}
        end = None if task.ended is None else int(task.ended * 1000)
        data = {
            "taskId": task.id,
            "model": task.order.ask.model,
            "state": task.name or _STATES[task.state],
            "param": task.order.note,
            "resultJson": msgspec.json.encode(urls).decode() if task.body is not None else "",
            "failCode": task.code or None,
            "failMsg": task.message or None,
            "costTime": None if task.ended is None else int(1000 * (task.ended - task.made)),
            "completeTime": end,
            "createTime": int(task.made * 1000),
        }
        document = {"code": code, "msg": message, "data": data}
        return told(document, result=task.body is not None)
