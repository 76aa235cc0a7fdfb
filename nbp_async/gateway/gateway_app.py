"""The gateway as an aiohttp application: what it is made of, from its start to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from nbp_async import Client
from nbp_async.gateway import generation_routes, task_routes
from nbp_async.gateway.answers import (
    GATEWAY,
    GUESSES,
    USERS,
    answer_errors,
    finish,
    for_anyone,
    json_response,
    know_user,
    operator_of,
    user_of,
)
from nbp_async.gateway.gateway_settings import GatewaySettings
from nbp_async.gateway.gateway_tables import GatewayTables
from nbp_async.gateway.image_links import ImageLinks
from nbp_async.gateway.metrics import metrics_text
from nbp_async.gateway.openapi import docs_page, openapi_document
from nbp_async.gateway.outbox import Outbox
from nbp_async.gateway.service import Gateway
from nbp_async.gateway.task_json import has_ended, number_of, task_of, webhook_body
from nbp_async.gateway.task_routes import LINKS, TaskLinks
from nbp_async.gateway.users import GuessLimit, Users

_PAGE = Path(__file__).parent / "page"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data: https:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)

routes = web.RouteTableDef()


def tables_of(settings: GatewaySettings) -> GatewayTables:
    """Where a gateway keeps its users: beside its run in PostgreSQL, or in its folder."""
    home = str(settings.home / "gateway.sqlite3")
    return GatewayTables(settings.journal if settings.is_shared else home)


@contextmanager
def open_users(settings: GatewaySettings) -> Iterator[Users]:
    """The users of a gateway, which may be running, for plain code. Blocks.

    Raises:
        ConfigError: They cannot be read or written.
    """
    tables = tables_of(settings)
    tables.open()
    try:
        yield Users(tables)
    finally:
        tables.close()


def gateway_app(
    make_client: Callable[[], Client], settings: GatewaySettings | None = None
) -> web.Application:
    """The gateway, to be run or to be mounted in an application of yours.

    Its run, its client and its worker begin when the application starts. When that ends, nothing
    more is sent, and what is out is waited for, for `GatewaySettings.drain` seconds at most.

    Args:
        make_client: Makes the client that asks the vendor, as `Client.from_env`.
        settings: How it runs; by default in the folder `gateway`.

    Raises:
        ConfigError: Where it starts: a setting cannot work, or another process has its run.
    """
    settings = settings or GatewaySettings()
    app = web.Application(
        middlewares=[finish, answer_errors, know_user], client_max_size=settings.max_body
    )
    app[USERS] = Users(tables := tables_of(settings))
    app[GUESSES] = GuessLimit()

    app.cleanup_ctx.append(partial(_run, tables=tables, make_client=make_client, settings=settings))
    app.on_shutdown.append(_begin_to_stop)
    app.router.add_routes([*routes, *generation_routes.routes, *task_routes.routes])
    return app


async def _begin_to_stop(app: web.Application) -> None:
    """Before connections are waited for: event streams end, and nothing more is sent."""
    app[GATEWAY].begin_to_stop()


async def _run(
    app: web.Application,
    *,
    tables: GatewayTables,
    make_client: Callable[[], Client],
    settings: GatewaySettings,
) -> AsyncIterator[None]:
    """From the start of the application to its end."""
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(tables.open)
        stack.callback(tables.close)
        client = await stack.enter_async_context(make_client())
        opened = client.open_run(
            settings.run, out=settings.place, max_cost=settings.max_cost, size=None
        )
        gateway = Gateway(client, await stack.enter_async_context(opened), settings)
        app[GATEWAY] = gateway
        outbox = Outbox(tables, app[USERS], private=settings.private_webhooks)
        links = await ImageLinks.open(tables, settings.link_days)
        app[LINKS] = TaskLinks(links, outbox)
        await outbox.recover(gateway.run)
        gateway.start()
        telling = asyncio.ensure_future(outbox.deliver(lambda task: _told(app, task)))
        try:
            yield
        finally:
            await gateway.drain()
            telling.cancel()
            await asyncio.wait([telling])


async def _told(app: web.Application, task: int) -> dict[str, Any] | None:
    """What a webhook says of a task; None while it has not ended."""
    gateway = app[GATEWAY]
    found = await gateway.run.status([task])
    if not found or not has_ended(found[0]):
        return None
    base, images = gateway.settings.public_url.rstrip("/"), app[LINKS].images

    def link(number: int, place: int, image: Any) -> tuple[str, int]:
        return images.link(base, number, place, image)

    return webhook_body(task_of(found[0], base, link))


@routes.get("/", name="index.html")
@routes.get("/page.js", name="page.js")
@routes.get("/page.css", name="page.css")
@for_anyone
async def page(request: web.Request) -> web.StreamResponse:
    """The page: one HTML file, one script, one style sheet."""
    file = _PAGE / (request.match_info.route.name or "index.html")
    if not file.is_file():
        raise web.HTTPNotFound
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return web.FileResponse(file, headers=headers)


@routes.get(r"/images/{ends:\d{1,12}}/{signature:[0-9a-f]{43}}/{name:\d{1,18}-\d{1,3}\.[a-z]{3,4}}")
@for_anyone
async def image(request: web.Request) -> web.StreamResponse:
    """An image, by a link that cannot be guessed."""
    return await request.app[LINKS].images.serve(request, request.app[GATEWAY].run)


@routes.post("/v1/tasks/{id}/webhook")
async def redeliver(request: web.Request) -> web.Response:
    """Tell the webhook of a task once more."""
    number = number_of(request.match_info["id"])
    gateway = request.app[GATEWAY]
    found = [] if number is None else await gateway.find(user_of(request), [number])
    if not found or not await request.app[LINKS].outbox.redeliver(found[0].number):
        raise web.HTTPNotFound(text="There is no such task, or nobody wanted to be told of it.")
    return json_response({"message": "It is told once more."}, 202)


@routes.get("/healthz")
@for_anyone
async def healthz(_: web.Request) -> web.Response:
    """This process lives."""
    return json_response({"status": "ok"})


@routes.get("/readyz")
@for_anyone
async def readyz(request: web.Request) -> web.Response:
    """This process takes tasks."""
    gateway = request.app[GATEWAY]
    problem = "It is being stopped." if gateway.draining else gateway.problem
    return json_response({"ready": not problem, "problem": problem}, 503 if problem else 200)


@routes.get("/metrics")
@for_anyone
async def metrics(request: web.Request) -> web.Response:
    """Prometheus's text format; for operators, and for this machine."""
    if request.remote not in ("127.0.0.1", "::1"):
        operator_of(request)
    text = await metrics_text(request.app[GATEWAY], request.app[LINKS].outbox)
    return web.Response(text=text, content_type="text/plain")


@routes.get("/openapi.json")
@for_anyone
async def openapi(_: web.Request) -> web.Response:
    """What this service takes and gives, as OpenAPI 3.1."""
    return web.Response(
        body=msgspec.json.encode(openapi_document()), content_type="application/json"
    )


@routes.get("/docs")
@for_anyone
async def docs(_: web.Request) -> web.Response:
    """The same for people."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return web.Response(text=docs_page(), content_type="text/html", headers=headers)
