"""What the gateway takes and gives as OpenAPI 3.1, made from the types that read requests."""

import html
from functools import cache
from typing import Any

import msgspec

from nbp_async import __version__
from nbp_async.gateway.bodies import CancelBody, GenerationBody, GoogleBody


class TaskFailure(msgspec.Struct, kw_only=True):
    """Why there is no image, and whether it was billed."""

    message: str
    type: str
    billing: str


class TaskImage(msgspec.Struct, kw_only=True):
    """An image: its link, and when that ends, in seconds since 1970."""

    url: str
    expires: int


class TaskResult(msgspec.Struct, kw_only=True):
    """The images of a task that is completed."""

    created: int
    data: list[TaskImage]


class TaskObject(msgspec.Struct, kw_only=True):
    """One image that was asked for, and how it stands."""

    task_id: str
    id: str
    object: str
    status: str
    created: int
    prompt: str
    model: str
    size: str | None
    aspect_ratio: str | None
    queue_position: int | None
    attempts: int
    billing: str
    reserved_usd: float
    spent_usd: float
    maybe_usd: float
    result: TaskResult | None
    error: TaskFailure | None
    can_retry: bool
    status_url: str
    response_url: str
    cancel_url: str
    events_url: str


class TaskPage(msgspec.Struct, kw_only=True):
    """Tasks, and the id after which the next ones come."""

    data: list[TaskObject]
    next: str | None


class AccountObject(msgspec.Struct, kw_only=True):
    """What a user has spent and may spend, in US dollars."""

    name: str
    role: str
    held_usd: float
    spent_usd: float
    maybe_usd: float
    images: int
    budgets: dict[str, float]
    left_usd: float | None


class ImageLink(msgspec.Struct, kw_only=True):
    """The short answer of a backend."""

    image_url: str
    expires: int


class OpenAIImage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One image in OpenAI's form."""

    url: str | None = None
    b64_json: str | None = None


class OpenAIAnswer(msgspec.Struct, kw_only=True):
    """Images in OpenAI's form."""

    created: int
    data: list[OpenAIImage]


_PARTS = (
    GenerationBody,
    GoogleBody,
    CancelBody,
    TaskObject,
    TaskPage,
    AccountObject,
    ImageLink,
    OpenAIAnswer,
)
# Method, path, summary, body, answers by status.
_ROUTES: tuple[tuple[str, str, str, type[Any] | None, dict[int, type[Any] | None]], ...] = (
    ("post", "/v1/images/generations/async", "Queue an image.", GenerationBody, {202: TaskObject}),
    (
        "post",
        "/v1/images/generations",
        "Make an image; with `Prefer: wait=N`, a task if it takes longer.",
        GenerationBody,
        {200: OpenAIAnswer, 202: TaskObject},
    ),
    ("post", "/v1/images/edits", "The same with references.", GenerationBody, {200: OpenAIAnswer}),
    ("post", "/api/generate", "Make an image, in short.", GenerationBody, {200: ImageLink}),
    ("post", "/generate", "The same.", GenerationBody, {200: ImageLink}),
    ("post", "/generate_async", "Queue an image, in short.", GenerationBody, {200: None}),
    (
        "post",
        "/v1beta/models/{model}:generateContent",
        "Make an image in Google's form.",
        GoogleBody,
        {200: None},
    ),
    ("get", "/v1/tasks", "The user's tasks.", None, {200: TaskPage}),
    ("get", "/v1/tasks/{id}", "How a task stands.", None, {200: TaskObject}),
    ("get", "/v1/tasks/{id}/status", "The same.", None, {200: TaskObject}),
    ("get", "/v1/tasks/{id}/response", "Its images.", None, {200: OpenAIAnswer, 202: TaskObject}),
    ("post", "/v1/tasks/{id}/cancel", "Do not make it.", CancelBody, {200: TaskObject}),
    ("post", "/v1/tasks/{id}/retry", "Make it again.", None, {202: TaskObject, 409: TaskObject}),
    ("post", "/v1/tasks/{id}/webhook", "Tell its webhook once more.", None, {202: None}),
    ("get", "/v1/tasks/{id}/events", "Its changes, as server-sent events.", None, {200: None}),
    ("get", "/v1/events", "Changes of all the user's tasks.", None, {200: None}),
    ("get", "/v1/account", "What the user has spent.", None, {200: AccountObject}),
    ("get", "/v1/operator", "All users; for operators.", None, {200: None}),
)


@cache
def openapi_document() -> dict[str, Any]:
    """The document."""
    _, parts = msgspec.json.schema_components(_PARTS, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary, body, answers in _ROUTES:
        paths.setdefault(path, {})[method] = _operation(path, summary, body, answers)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nbp_async gateway", "version": __version__},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": parts,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    path: str, summary: str, body: type[Any] | None, answers: dict[int, type[Any] | None]
) -> dict[str, Any]:
    names = [part[1:].partition("}")[0] for part in path.split("/") if part.startswith("{")]
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ],
        "responses": {
            str(status): {"description": "As described.", **_content(kind)}
            for status, kind in answers.items()
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, **_content(body)}
    return operation


def _content(kind: type[Any] | None) -> dict[str, Any]:
    if kind is None:
        return {}
    reference = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"content": {"application/json": {"schema": reference}}}


@cache
def docs_page() -> str:
    """The document as a page."""
    rows = "".join(
        f"<tr><td><code>{method.upper()}</code><td><code>{html.escape(path)}</code>"
        f"<td>{html.escape(summary)}"
        for method, path, summary, _, _ in _ROUTES
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>The gateway's routes</title>"
        "<meta name=viewport content='width=device-width'><style>:root{color-scheme:light dark}"
        "body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.3rem .8rem .3rem 0;vertical-align:top}</style><h1>The gateway's routes</h1>"
        "<p>Each wants <code>Authorization: Bearer TOKEN</code>. The whole document: "
        f"<a href=/openapi.json>openapi.json</a>.<table>{rows}</table></html>"
    )
