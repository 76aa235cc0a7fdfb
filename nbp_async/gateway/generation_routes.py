"""Routes that make images: OpenAI's, Google's, and the short ones of plain backends."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import web

from nbp_async import Image, Ticket, TicketStatus
from nbp_async.gateway.answers import (
    GATEWAY,
    base_of,
    error_response,
    json_response,
    user_of,
)
from nbp_async.gateway.bodies import (
    BadRequestError,
    GenerationBody,
    GoogleBody,
    prompt_of,
    prompt_of_google,
    read_body,
)
from nbp_async.gateway.service import all_ended
from nbp_async.gateway.task_json import TaskNote, error_of, openai_answer, task_id
from nbp_async.gateway.task_routes import LINKS, links_of, now, tasks_json
from nbp_async.gateway.users import User

_PIECE = 3 * 256 * 1024  # bytes of an image that are sent as base64 at once
_MOST_WAITED = 60  # seconds of `Prefer: wait=N`
Render = Callable[[web.Request, list[TicketStatus]], AsyncIterator[bytes]]

routes = web.RouteTableDef()


@routes.post("/v1/images/generations/async")
async def submit_task(request: web.Request) -> web.Response:
    """Queue it, and answer with the task at once."""
    _, tickets = await _submit(request)
    return await _accepted(request, tickets)


@routes.post("/generate_async")
async def submit_short(request: web.Request) -> web.Response:
    """The same in the short form: `{prompt, size?, user_id}`."""
    _, tickets = await _submit(request)
    said = {"success": True, "message": "The image is being made.", "task_id": _id(tickets)}
    return json_response(said)


@routes.post("/v1/images/generations")
async def generate(request: web.Request) -> web.StreamResponse:
    """Make it, and answer with the images; with `Prefer: wait=N`, with the task if that is long."""
    body, tickets = await _submit(request)
    seconds = _waited(request)
    if seconds is not None and not await _ended(request, tickets, seconds):
        return await _accepted(request, tickets)
    wants = body.response_format
    return await _hold(request, tickets, _openai_base64 if wants == "b64_json" else _openai_links)


@routes.post("/v1/images/edits")
async def edit(request: web.Request) -> web.StreamResponse:
    """The same with reference images, as a form or as JSON."""
    if request.content_type == "application/json":
        return await generate(request)
    body = await _form(request)
    tickets = await _queue(request, body)
    wants = body.response_format
    return await _hold(request, tickets, _openai_base64 if wants == "b64_json" else _openai_links)


@routes.post("/api/generate")
async def generate_plain(request: web.Request) -> web.StreamResponse:
    """The short form of a backend: `{prompt, size}` in, `{"image_url"}` out."""
    _, tickets = await _submit(request)
    return await _hold(request, tickets, _image_url)


@routes.post("/generate")
async def generate_short(request: web.Request) -> web.StreamResponse:
    """The same with `{"success": true}`."""
    _, tickets = await _submit(request)
    return await _hold(request, tickets, _success)


@routes.post(r"/v1beta/models/{model:[^/:]+}:generateContent")
async def generate_content(request: web.Request) -> web.StreamResponse:
    """Google's form: the image comes as base64 within JSON."""
    body = read_body(await request.read(), GoogleBody)
    gateway, user = request.app[GATEWAY], user_of(request)
    tickets = await gateway.submit(
        user, prompt_of_google(body), TaskNote(created=now()), model=request.match_info["model"]
    )
    return await _hold(request, tickets, _google)


async def _submit(request: web.Request) -> tuple[GenerationBody, list[Ticket]]:
    body: GenerationBody = read_body(await request.read(), GenerationBody)
    return body, await _queue(request, body)


async def _queue(request: web.Request, body: GenerationBody) -> list[Ticket]:
    gateway, user = request.app[GATEWAY], user_of(request)
    if body.user_id is not None and body.user_id != user.name:
        raise BadRequestError("is not the user of this token.", "user_id")
    if body.mode is not None:
        raise BadRequestError("is not known: images are made one by one.", "mode")
    if body.response_format not in (None, "url", "b64_json"):
        raise BadRequestError('is "url" or "b64_json".', "response_format")
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 100 or not key.isprintable():
        raise BadRequestError("has at most 100 characters.", "Idempotency-Key")
    webhook = _webhook(request, body)
    note = TaskNote(created=now(), webhook=webhook, wants=body.response_format or "")
    tickets = await gateway.submit(user, prompt_of(body), note, model=body.model, key=key)
    await request.app[LINKS].outbox.expect(tickets, webhook, user)
    return tickets


def _webhook(request: web.Request, body: GenerationBody) -> str:
    url = body.webhook_url or ""
    plain = request.app[GATEWAY].settings.private_webhooks
    if url and not url.startswith(("https://", "http://") if plain else "https://"):
        raise BadRequestError("is an https link.", "webhook_url")
    if len(url) > 2000:
        raise BadRequestError("has at most 2000 characters.", "webhook_url")
    return url


async def _form(request: web.Request) -> GenerationBody:
    """A form with files, as OpenAI's clients send it."""
    form = await request.post()
    fields: dict[str, Any] = {}
    images: list[str] = []
    for name, value in form.items():
        if isinstance(value, web.FileField):
            data = await asyncio.to_thread(value.file.read)
            images.append(base64.b64encode(data).decode())
        elif isinstance(value, str):
            fields[name.removesuffix("[]")] = (
                int(value) if name == "n" and value.isdecimal() else value
            )
    known = {name: fields[name] for name in GenerationBody.__struct_fields__ if name in fields}
    try:
        return msgspec.convert(known | {"image": images}, GenerationBody)
    except msgspec.ValidationError as exc:
        raise BadRequestError(f"{exc}.") from None


def _waited(request: web.Request) -> float | None:
    """The seconds of `Prefer: wait=N`, or None."""
    for preference in request.headers.get("Prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name == "wait" and value.isdecimal():
            return float(min(int(value), _MOST_WAITED))
    return None


def _id(tickets: list[Ticket]) -> str:
    return task_id(tickets[0].number)


async def _accepted(request: web.Request, tickets: list[Ticket]) -> web.Response:
    tasks = await tasks_json(request, [ticket.number for ticket in tickets])
    more = {"tasks": tasks} if len(tasks) > 1 else {}
    headers = {"Location": tasks[0]["status_url"], "Retry-After": "5"}
    return json_response({**tasks[0], **more}, 202, headers)


async def _ended(request: web.Request, tickets: list[Ticket], seconds: float) -> bool:
    return await request.app[GATEWAY].wait([ticket.number for ticket in tickets], seconds)


async def _statuses(request: web.Request, tickets: list[Ticket]) -> list[TicketStatus]:
    user: User = user_of(request)
    return await request.app[GATEWAY].find(user, [ticket.number for ticket in tickets])


async def _hold(request: web.Request, tickets: list[Ticket], render: Render) -> web.StreamResponse:
    """Answer when the images are there. Whoever leaves before finds them by their task."""
    settings = request.app[GATEWAY].settings
    headers = {"X-Task-Id": _id(tickets), "Content-Type": "application/json"}
    padded: web.StreamResponse | None = None
    seconds = settings.hold
    if settings.padding:
        padded = web.StreamResponse(headers=headers)
        await padded.prepare(request)
        while seconds > 0 and not await _ended(request, tickets, settings.padding):
            seconds -= settings.padding
            await padded.write(b" ")
    else:
        await _ended(request, tickets, seconds)
    statuses = await _statuses(request, tickets)
    refused = _refusal(request, statuses)
    if padded is not None and refused is not None:
        assert isinstance(refused.body, bytes), "it is JSON"
        await padded.write(refused.body)
        await padded.write_eof()
        return padded
    if refused is not None:
        refused.headers["X-Task-Id"] = _id(tickets)
        return refused
    response = padded or web.StreamResponse(headers=headers)
    if padded is None:
        await response.prepare(request)
    async for piece in render(request, statuses):
        await response.write(piece)
    await response.write_eof()
    return response


def _refusal(request: web.Request, statuses: list[TicketStatus]) -> web.Response | None:
    """What to answer where there is no image, or none yet."""
    if not all_ended(statuses):
        message = "It takes longer than this gateway holds a request: ask for the task."
        link = f"{base_of(request)}/v1/tasks/{task_id(statuses[0].number)}"
        return error_response(504, message, "timeout", billing="maybe", task_url=link)
    for status in statuses:
        outcome = status.outcome
        if outcome is not None and not isinstance(outcome, Image):
            error = error_of(outcome)
            code = {"ContentBlockedError": 422, "InvalidRequestError": 400}.get(error["type"], 502)
            return json_response({"success": False, "error": error}, code)
    return None


async def _openai_links(request: web.Request, statuses: list[TicketStatus]) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(openai_answer(statuses, links_of(request)))


async def _openai_base64(_: web.Request, statuses: list[TicketStatus]) -> AsyncIterator[bytes]:
    """Read from the file and sent piece by piece: an image is never whole in memory."""
    yield b'{"created": %d, "data": [' % now()
    for place, status in enumerate(statuses):
        yield b', {"b64_json": "' if place else b'{"b64_json": "'
        async for piece in base64_of(_image(status)):
            yield piece
        yield b'"}'
    yield b"]}"


async def _image_url(request: web.Request, statuses: list[TicketStatus]) -> AsyncIterator[bytes]:
    url, expires = links_of(request)(statuses[0].number, 0, _image(statuses[0]))
    yield msgspec.json.encode({"image_url": url, "expires": expires})


async def _success(request: web.Request, statuses: list[TicketStatus]) -> AsyncIterator[bytes]:
    url, expires = links_of(request)(statuses[0].number, 0, _image(statuses[0]))
    yield msgspec.json.encode({"success": True, "image_url": url, "expires": expires})


async def _google(_: web.Request, statuses: list[TicketStatus]) -> AsyncIterator[bytes]:
    image = _image(statuses[0])
    yield b'{"candidates": [{"content": {"role": "model", "parts": [{"inlineData": {"mimeType": '
    yield msgspec.json.encode(f"image/{image.format}") + b', "data": "'
    async for piece in base64_of(image):
        yield piece
    yield b'"}}]}, "finishReason": "STOP", "index": 0}], "modelVersion": '
    yield msgspec.json.encode(statuses[0].model) + b"}"


def _image(status: TicketStatus) -> Image:
    assert isinstance(status.outcome, Image), "it is completed"
    return status.outcome


async def base64_of(image: Image) -> AsyncIterator[bytes]:
    """The image as base64, in pieces."""
    if image.path is None:
        yield base64.b64encode(await image.aread())
        return
    file = await asyncio.to_thread(image.path.open, "rb")
    try:
        while data := await asyncio.to_thread(file.read, _PIECE):
            yield base64.b64encode(data)
    finally:
        await asyncio.to_thread(file.close)
