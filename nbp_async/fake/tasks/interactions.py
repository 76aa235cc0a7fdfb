"""Google's interactions in the background; that they make images is nowhere documented."""

from collections.abc import Iterator, Mapping

import msgspec
from aiohttp import web

from nbp_async._http import Usage
from nbp_async.fake.answers import THOUGHT_TOKENS
from nbp_async.fake.asks import check_count, read_google
from nbp_async.fake.pictures import MIME
from nbp_async.fake.reading import read_document
from nbp_async.fake.refusals import RefusalError, Voice
from nbp_async.fake.signing import Scheme
from nbp_async.fake.tasks.service import HOLE, Said, Stop, address, filled, told
from nbp_async.fake.tasks.view import Order, State, View, when

_STATES: dict[State, str] = {
    "pending": "queued", "processing": "in_progress", "completed": "completed",
    "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
_DEEPEST = 8  # a list of steps with lists of content


class Interactions:
    """`/v1beta/interactions`, and the same below `/v1`; a webhook is a JWT that holds the event."""

    name: str = "google-interactions"
    base: str = "/v1beta"
    voice: Voice = "interactions"
    scheme: Scheme = "google"
    events: tuple[str, ...] = ("interaction.ended",)

    def name_of(self, digest: str) -> str:
        return f"v1_{digest}"

    def stop(self, method: str, path: str, query: Mapping[str, str]) -> Stop | None:  # noqa: ARG002
        if path == "/.well-known/jwks.json":
            return Stop("keys") if method == "GET" else None
        base = "/v1" if path.startswith("/v1/") else self.base
        if method == "POST":
            if address(base, path, "/interactions") is not None:
                return Stop("submit")
            known = address(base, path, "/interactions/{id}/cancel")
            return Stop("cancel", known["id"]) if known else None
        known = address(base, path, "/interactions/{id}")
        if known is None or method not in ("GET", "DELETE"):
            return None
        return Stop("look" if method == "GET" else "delete", known["id"])

    async def read(self, stop: Stop, request: web.BaseRequest) -> Order:  # noqa: ARG002
        document, kept = await read_document(request)
        if document.get("background") is not True:
            raise RefusalError(400, "This server makes images in the background only.")
        wanted = _image_format(document.get("response_format"))
        config = {"imageSize": wanted.get("image_size"), "aspectRatio": wanted.get("aspect_ratio")}
        contents = [{"parts": list(_parts(document.get("input")))}]
        ask = read_google(
            str(document.get("model") or ""),
            {"contents": contents, "generationConfig": {"imageConfig": config}},
        )
        check_count(ask)
        delivery = {"uri": True, "inline": False}.get(str(wanted.get("delivery")))
        hook = document.get("webhook_config")
        hook = hook if isinstance(hook, dict) else {}
        uris = hook.get("uris")
        callback = str(uris[0]) if isinstance(uris, list) and uris else ""
        ask = msgspec.structs.replace(ask, link=delivery)
        return Order(ask, callback, note=hook.get("user_metadata"), kept=kept)

    def submitted(self, task: View) -> Said:
        return told(self._document(task))

    def shown(self, stop: Stop, task: View) -> Said:  # noqa: ARG002
        document = self._document(task)
        if task.body is None:
            return told(document)
        mime = MIME[task.order.ask.kind or "png"]
        image = {"type": "image", "mime_type": mime}
        content = [{**image, "uri": url} for url in task.links]
        content += [{**image, "data": HOLE} for _ in task.texts]
        document["steps"] = [{"type": "model_output", "content": content}]
        if task.usage is not None:
            document["usage"] = _usage(task.usage)
        return filled(document, *([b'"', *text, b'"'] for text in task.texts))

    def cancelled(self, task: View, *, took: bool) -> Said:  # noqa: ARG002
        return told(self._document(task))

    def event(self, name: str, task: View) -> Said:  # noqa: ARG002
        data = {"id": task.id}
        if task.code:
            data |= {"error_code": task.code, "error_message": task.message}
        document: dict[str, object] = {
            "type": f"interaction.{_STATES[task.state]}",
            "version": "v1",
            "timestamp": when(task.ended or task.made),
            "data": data,
        }
        if task.order.note is not None:
            document["user_metadata"] = task.order.note
        return told(document)

    def _document(self, task: View) -> dict[str, object]:
        document: dict[str, object] = {
            "id": task.id,
            "object": "interaction",
            "model": task.order.ask.model,
            "status": task.name or _STATES[task.state],
            "created": when(task.made),
            "updated": when(task.ended or task.made),
        }
        if task.code:
            document["error"] = {"code": task.code, "message": task.message}
        return document


def _usage(usage: Usage) -> dict[str, object]:
    thoughts = min(THOUGHT_TOKENS, usage.text_tokens)
    return {
        "total_input_tokens": usage.input_tokens,
        "total_output_tokens": usage.image_tokens + usage.text_tokens - thoughts,
        "output_tokens_by_modality": [{"modality": "image", "tokens": usage.image_tokens}],
        "total_thought_tokens": thoughts,
        "total_tokens": usage.total_tokens,
    }


def _image_format(wanted: object) -> Mapping[str, object]:
    """The format of images, alone or among others."""
    formats = wanted if isinstance(wanted, list) else [wanted]
    images = (f for f in formats if isinstance(f, dict) and f.get("type") == "image")
    return next(images, {})


def _parts(given: object, depth: int = 0) -> Iterator[dict[str, object]]:
    """The parts that `generateContent` would take for this input: a text, a content, or several.

    Raises:
        RefusalError: It is nested without end.
    """
    if depth > _DEEPEST:
        raise RefusalError(400, "The input is nested too deep.")
    if isinstance(given, str):
        yield {"text": given}
    elif isinstance(given, list):
        for item in given:
            yield from _parts(item, depth + 1)
    elif isinstance(given, dict):
        if isinstance(given.get("content"), list | str):
            yield from _parts(given["content"], depth + 1)
        elif given.get("type") == "text":
            yield {"text": given.get("text")}
        elif "data" in given:
            yield {"inlineData": {"mimeType": given.get("mime_type"), "data": given["data"]}}
        elif "uri" in given:
            yield {"fileData": {"fileUri": given["uri"]}}
