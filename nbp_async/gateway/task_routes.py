"""Routes of tasks, accounts and events."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from nbp_async import BudgetError, TicketStatus
from nbp_async.gateway.answers import (
    GATEWAY,
    USERS,
    base_of,
    dollars_of,
    json_response,
    operator_of,
    user_of,
)
from nbp_async.gateway.bodies import CancelBody, read_body
from nbp_async.gateway.image_links import ImageLinks
from nbp_async.gateway.outbox import Outbox
from nbp_async.gateway.service import OverBudgetError
from nbp_async.gateway.task_json import (
    LinkOf,
    error_of,
    has_ended,
    number_of,
    openai_answer,
    task_id,
    task_of,
    usd,
)
from nbp_async.gateway.users import User

_MOST_LISTED = 200
_QUIET = 15.0  # seconds after which an event stream says that it lives
_LOOK = 0.5  # seconds between two looks whether somebody reads it


@dataclass(frozen=True, slots=True)
class TaskLinks:
    """What routes need beside the gateway: links of images, and webhooks out."""

    images: ImageLinks
    outbox: Outbox


LINKS: web.AppKey[TaskLinks] = web.AppKey("links", TaskLinks)
routes = web.RouteTableDef()


def now() -> int:
    return int(time.time())


def links_of(request: web.Request) -> LinkOf:
    """Makes links of images for whoever asks."""
    base, images = base_of(request), request.app[LINKS].images
    return lambda number, place, image: images.link(base, number, place, image)


async def tasks_json(request: web.Request, numbers: list[int]) -> list[dict[str, Any]]:
    """These tasks, as far as the user may see them."""
    gateway = request.app[GATEWAY]
    found = await gateway.find(user_of(request), numbers)
    return [await _task(request, status) for status in found]


async def _task(request: web.Request, status: TicketStatus) -> dict[str, Any]:
    run = request.app[GATEWAY].run
    position = await run.position(status.number) if status.state == "queued" else None
    return task_of(status, base_of(request), links_of(request), position=position)


async def _found(request: web.Request) -> TicketStatus:
    """The task of the path. What is another user's is not there."""
    number = number_of(request.match_info["id"])
    found = [] if number is None else await request.app[GATEWAY].find(user_of(request), [number])
    if not found:
        raise web.HTTPNotFound(text="There is no such task.")
    return found[0]


@routes.get("/v1/tasks/{id}")
@routes.get("/v1/tasks/{id}/status")
async def show(request: web.Request) -> web.Response:
    """How a task stands."""
    status = await _found(request)
    headers = {} if has_ended(status) else {"Retry-After": "5"}
    return json_response(await _task(request, status), headers=headers)


@routes.get("/v1/tasks/{id}/response")
async def response(request: web.Request) -> web.Response:
    """Its result in OpenAI's form; 202 with the task while there is none."""
    status = await _found(request)
    if not has_ended(status):
        return json_response(await _task(request, status), 202, {"Retry-After": "5"})
    if status.outcome is None or not status.outcome.ok:
        error = None if status.outcome is None else error_of(status.outcome)
        return json_response({"error": error}, 409)
    return json_response(openai_answer([status], links_of(request)))


@routes.post("/v1/tasks/{id}/cancel")
@routes.put("/v1/tasks/{id}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Do not make it. One that is out is ended only if its price is accepted."""
    status = await _found(request)
    body: CancelBody = read_body(await request.read(), CancelBody)
    run = request.app[GATEWAY].run
    said = (await run.cancel([status.number], accept_price=body.accept_price))[status.number]
    task = (await tasks_json(request, [status.number]))[0]
    may_cost = status.reserved if said == "out" else 0
    words = {
        "cancelled": "It was not sent, and costs nothing.",
        "ended": "It had ended already.",
        "out": "It is being made, and may be billed all the same. "
        + ("It is ended." if body.accept_price else "Send accept_price: true to end it."),
    }
    told = {"cancel": said, "message": words[said], "may_still_cost_usd": float(may_cost)}
    return json_response({**task, **told})


@routes.post("/v1/tasks/{id}/retry")
async def retry(request: web.Request) -> web.Response:
    """Queue a failure again of which nothing was billed; 409 for others."""
    status = await _found(request)
    gateway, user = request.app[GATEWAY], user_of(request)
    try:
        queued = await gateway.run.requeue([status.number])
    except BudgetError as exc:
        raise OverBudgetError(exc.message, await gateway.left(user)) from None
    task = (await tasks_json(request, [status.number]))[0]
    return json_response(task, 202 if queued else 409)


@routes.get("/v1/tasks")
async def list_tasks(request: web.Request) -> web.Response:
    """The user's tasks, the newest first or those after an id, page by page."""
    user, run = user_of(request), request.app[GATEWAY].run
    limit = _number(request, "limit", 50, most=_MOST_LISTED)
    after = number_of(request.query.get("after", "task_0")) or 0
    page = await run.tickets(user.name, after=after, count=limit)
    tasks = [await _task(request, status) for status in page]
    last = task_id(page[-1].number) if len(page) == limit else None
    return json_response({"data": tasks, "next": last})


@routes.get("/v1/tasks/{id}/events")
async def events_of_task(request: web.Request) -> web.StreamResponse:
    """Server-sent events of one task, until it has ended."""
    status = await _found(request)
    return await _events(request, lambda one: one.number == status.number, first=status)


@routes.get("/v1/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events of all the user's tasks."""
    return await _events(request, lambda _: True)


async def _events(
    request: web.Request,
    wanted: Callable[[TicketStatus], bool],
    *,
    first: TicketStatus | None = None,
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    gateway = request.app[GATEWAY]
    with contextlib.suppress(ConnectionResetError):  # the listener has left
        async with gateway.listening(user_of(request)) as changes:
            await response.prepare(request)
            if first is not None:
                first = (await gateway.find(user_of(request), [first.number]))[0]
                await response.write(await _event(request, first))
            quiet = 0.0
            while not (first is not None and has_ended(first)) and _listens(request):
                try:
                    status = await asyncio.wait_for(changes.get(), _LOOK)
                except TimeoutError:
                    quiet += _LOOK
                    if quiet >= _QUIET:
                        await response.write(b": it lives\n\n")
                        quiet = 0.0
                    continue
                if wanted(status):
                    await response.write(await _event(request, status))
                    first = status if first is not None else None
        await response.write_eof()
    return response


def _listens(request: web.Request) -> bool:
    """Somebody still reads the stream, and the gateway is not being stopped."""
    transport = request.transport
    is_open = transport is not None and not transport.is_closing()
    return is_open and not request.app[GATEWAY].draining


async def _event(request: web.Request, status: TicketStatus) -> bytes:
    return b"event: task\ndata: " + msgspec.json.encode(await _task(request, status)) + b"\n\n"


@routes.get("/v1/account")
async def account(request: web.Request) -> web.Response:
    """What the user has spent and may spend."""
    return json_response(await _account(request, user_of(request)))


@routes.get("/v1/operator")
async def operator(request: web.Request) -> web.Response:
    """All users, and how the gateway stands; for operators."""
    operator_of(request)
    gateway, users = request.app[GATEWAY], request.app[USERS]
    names = await asyncio.to_thread(users.names)
    found = [
        {**await _account(request, User(name, role, "")), "revoked": revoked}
        for name, role, revoked in names
    ]
    counts, gates = await gateway.run.counts(), gateway.client.statistics()
    return json_response(
        {
            "users": found,
            "counts": msgspec.to_builtins(counts),
            "in_flight": gateway.client.in_flight,
            "paused": max((gate.paused for gate in gates.values()), default=0.0),
            "problem": gateway.problem,
        }
    )


async def _account(request: web.Request, user: User) -> dict[str, Any]:
    gateway = request.app[GATEWAY]
    purse = await gateway.run.account(user.name)
    budgets = await gateway.run.budgets(user.name)
    return {
        "name": user.name,
        "role": user.role,
        "held_usd": usd(purse.held),
        "spent_usd": usd(purse.spent),
        "maybe_usd": usd(purse.maybe),
        "images": purse.images,
        "budgets": {period: float(dollars) for period, dollars in budgets.items()},
        "left_usd": dollars_of(await gateway.left(user)),
    }


def _number(request: web.Request, name: str, default: int, *, most: int) -> int:
    text = request.query.get(name, str(default))
    return max(1, min(int(text), most)) if text.isdecimal() and len(text) < 9 else default
