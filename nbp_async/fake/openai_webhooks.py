"""Where OpenAI's webhooks go: an account has endpoints, and each is told some kinds of events.

POST, GET /v1/webhook_endpoints             make one; list all
GET, DELETE /v1/webhook_endpoints/{id}
"""

import re
from functools import partial

import msgspec
from aiohttp import web

from nbp_async.fake.api_errors import ApiError
from nbp_async.fake.image_spec import invalid
from nbp_async.fake.request_reader import authenticate, read_document
from nbp_async.fake.responder import RequestContext, Serve
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.vendor_parts import VendorParts

_ADDRESS = re.compile(r"/v1/webhook_endpoints(?:/(\w+))?")


class WebhookEndpoint(msgspec.Struct, frozen=True):
    """An address of a receiver, as OpenAI describes it."""

    id: str
    created_at: int
    event_types: tuple[str, ...]
    name: str
    url: str
    object: str = "webhook_endpoint"


class OpenAIWebhooks:
    """The endpoints of all accounts."""

    def __init__(self, parts: VendorParts) -> None:
        self._parts = parts
        self._endpoints: dict[str, list[WebhookEndpoint]] = {}

    def find(self, method: str, path: str) -> Serve | None:
        """What serves this request; None if the address is not one of these."""
        known = _ADDRESS.fullmatch(path)
        if known is None or method not in ("GET", "POST", "DELETE"):
            return None
        if known[1]:
            return None if method == "POST" else partial(self._one, id_=known[1])
        return {"POST": self._create, "GET": self._list}.get(method)

    def endpoint_for(self, account: str, kind: str) -> WebhookEndpoint | None:
        """The newest endpoint that is told events of this kind, such as "response"."""
        told = (
            one
            for one in reversed(self._endpoints.get(account, ()))
            if any(name.startswith(f"{kind}.") for name in one.event_types)
        )
        return next(told, None)

    def told(self, account: str, event: str) -> list[WebhookEndpoint]:
        """All endpoints that are told of this event, such as "batch.completed"."""
        return [one for one in self._endpoints.get(account, ()) if event in one.event_types]

    async def _create(self, ctx: RequestContext) -> web.StreamResponse:
        endpoints = self._of(ctx)
        document, _ = await read_document(ctx.request)
        url, types = document.get("url"), document.get("event_types")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise invalid("url", "the address of a receiver is expected")
        if not isinstance(types, list) or not types:
            raise invalid("event_types", "a list of kinds of events is expected")
        id_ = f"we_{digest('endpoint', len(endpoints), url).hex()[:24]}"
        now = int(self._parts.settings.clock())
        made = WebhookEndpoint(
            id_, now, tuple(map(str, types)), str(document.get("name") or ""), url
        )
        endpoints.append(made)
        secret = self._parts.keys.secrets[0]
        return await self._reply(ctx, {**msgspec.to_builtins(made), "signing_secret": secret})

    async def _list(self, ctx: RequestContext) -> web.StreamResponse:
        data = self._of(ctx)
        return await self._reply(ctx, {"object": "list", "data": data, "has_more": False})

    async def _one(self, ctx: RequestContext, id_: str) -> web.StreamResponse:
        endpoints = self._of(ctx)
        found = next((one for one in endpoints if one.id == id_), None)
        if found is None:
            raise ApiError(404, f"No webhook endpoint found with id '{id_}'.")
        if ctx.request.method == "GET":
            return await self._reply(ctx, found)
        endpoints.remove(found)
        about = {"id": id_, "object": "webhook_endpoint.deleted", "deleted": True}
        return await self._reply(ctx, about)

    def _of(self, ctx: RequestContext) -> list[WebhookEndpoint]:
        """The endpoints of the account that asks."""
        ctx.account = account = authenticate(ctx.request, "openai", self._parts.bank)
        return self._endpoints.setdefault(account.key, [])

    async def _reply(self, ctx: RequestContext, document: object) -> web.StreamResponse:
        return await self._parts.responder.reply(ctx, 200, msgspec.json.encode(document))
