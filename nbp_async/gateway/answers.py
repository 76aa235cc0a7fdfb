"""Answers and errors in HTTP: one shape for every error, and who asks."""

import logging
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from nbp_async import ConfigError, JournalError, NbpError
from nbp_async.gateway.bodies import BadRequestError
from nbp_async.gateway.service import Gateway, KeyReusedError, OverBudgetError, QueueFullError
from nbp_async.gateway.task_json import usd
from nbp_async.gateway.users import GuessLimit, User, Users

log = logging.getLogger("nbp_async.gateway")
access_log = logging.getLogger("nbp_async.gateway.access")

GATEWAY: web.AppKey[Gateway] = web.AppKey("gateway", Gateway)
USERS: web.AppKey[Users] = web.AppKey("users", Users)
USER: web.RequestKey[User] = web.RequestKey("user", User)
GUESSES: web.AppKey[GuessLimit] = web.AppKey("guesses", GuessLimit)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OPEN: set[Handler] = set()
_SECURE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def for_anyone(handler: Handler) -> Handler:
    """A route that wants no token. By the handler: a path may begin with what a service of which
    this is a part has put before it.
    """
    _OPEN.add(handler)
    return handler


def json_response(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def error_response(
    status: int, message: str, kind: str, *, headers: dict[str, str] | None = None, **more: object
) -> web.Response:
    """An error. It has no stack and no key, whatever happened."""
    return json_response({"error": {"message": message, "type": kind, **more}}, status, headers)


def unauthorized() -> web.Response:
    return json_response({"error": "Unauthorized"}, 401, {"WWW-Authenticate": "Bearer"})


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error becomes JSON."""
    try:
        return await handler(request)
    except BadRequestError as exc:
        field: dict[str, Any] = {"field": exc.field} if exc.field else {}
        return error_response(400, exc.message, "invalid_request_error", **field)
    except OverBudgetError as exc:
        left: dict[str, Any] = {} if exc.left is None else {"left_usd": usd(exc.left)}
        return error_response(402, exc.message, "budget_exceeded", billing="no", **left)
    except KeyReusedError:
        message = "This Idempotency-Key stands for another request."
        return error_response(422, message, "idempotency_key_reused", billing="no")
    except QueueFullError as exc:
        wait = {"Retry-After": str(exc.seconds)}
        message = "Too many tasks are waiting: ask again later. Nothing was sent."
        return error_response(429, message, "queue_full", headers=wait, billing="no")
    except web.HTTPRequestEntityTooLarge:
        return error_response(413, "The body is too large.", "invalid_request_error")
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        return error_response(exc.status, exc.text or exc.reason, "invalid_request_error")
    except (ConfigError, JournalError) as exc:
        log.error("%s %s: %s", request.method, request.path, exc)  # noqa: TRY400
        return error_response(503, "The gateway cannot do this now.", "unavailable", billing="no")
    except NbpError as exc:
        return error_response(502, exc.message, type(exc).__name__, billing=exc.billing)
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return error_response(500, "The gateway has a bug: its log says more.", "internal")


@web.middleware
async def know_user(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who asks, by the token; nobody else passes, but to what is open."""
    if request.match_info.handler in _OPEN:
        return await handler(request)
    guesses, address = request.app[GUESSES], request.remote or ""
    wait = guesses.seconds_to_wait(address)
    if wait:
        headers = {"Retry-After": str(int(wait) + 1)}
        return error_response(429, "Too many wrong tokens.", "locked_out", headers=headers)
    token = token_of(request)
    user = await request.app[USERS].find(token) if token else None
    if user is None:
        guesses.failed(address)
        return unauthorized()
    guesses.succeeded(address)
    await request.app[GATEWAY].know(user)
    request[USER] = user
    return await handler(request)


def token_of(request: web.Request) -> str:
    """The token: as a bearer, or as Google's and fal's clients send a key."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "key"):
        return token.strip()
    return request.headers.get("x-goog-api-key", "") or request.query.get("key", "")


def user_of(request: web.Request) -> User:
    return request[USER]


def operator_of(request: web.Request) -> User:
    """The user, if it is an operator; others find nothing here."""
    user = user_of(request)
    if user.role != "operator":
        raise web.HTTPNotFound
    return user


@web.middleware
async def finish(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Safe headers, one line of log, and what another site's page may read."""
    began = time.perf_counter()
    response = await handler(request)
    if not response.prepared:
        for name, value in _SECURE.items():
            response.headers.setdefault(name, value)
        origin = request.app[GATEWAY].settings.allow_origin
        if origin and request.headers.get("Origin") == origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"
    user = request.get(USER)
    access_log.info(
        "%s %s %s %s %.3f s",
        user.name if user is not None else "-",
        request.method,
        request.match_info.route.resource.canonical if request.match_info.route.resource else "?",
        response.status,
        time.perf_counter() - began,
    )
    return response


def base_of(request: web.Request) -> str:
    """How this gateway is reached, for links."""
    given = request.app[GATEWAY].settings.public_url
    return given.rstrip("/") if given else f"{request.scheme}://{request.host}"


def dollars_of(amount: Decimal | None) -> float | None:
    return None if amount is None else usd(amount)
