"""Receives webhooks over HTTP: the response is 200 once the event is kept, and never 500.

| status | when |
|---|---|
| 200 | it is the sender's and is kept: now, or when it came before |
| 400 | it is the sender's, but not JSON; or its body is not complete |
| 401 | its signature is missing, invalid, or more than 5 minutes off |
| 404, 405 | another path, or not a POST |
| 408, 413, 415 | too slow, too large, or compressed |
| 503 | it cannot be verified or kept now: the sender tries again |
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from hmac import compare_digest
from inspect import isawaitable
from typing import Any

from aiohttp import web

from nbp_async._base.secret import Secret
from nbp_async._webhooks.inbox import Inbox, InboxFullError, MemoryInbox, SqliteInbox
from nbp_async._webhooks.jwks import PublicKeys
from nbp_async._webhooks.signature import VerificationRules, verify
from nbp_async._webhooks.verification_keys import Key
from nbp_async._webhooks.webhook import Webhook
from nbp_async._webhooks.webhook_message import (
    InvalidSignatureError,
    RetryLaterError,
    UnknownKeyError,
    WebhookError,
    WebhookEvent,
    WebhookMessage,
    WebhookTooLargeError,
)

log = logging.getLogger("nbp_async.webhooks")

BODY_TIMEOUT = 30.0  # seconds until the body is complete
_RETRY_AFTER = "60"  # seconds, with 503
_TOO_LARGE = (
    'more than {} bytes: ask for links instead of base64 (response_format="url"), or raise max_body'
)
_LARGE = 1_048_576  # bytes of a body that is verified in a thread
_MAX_DISPATCHING = 10_000  # events whose `on_event` is awaited, before senders must try later
_NOT_DISPATCHED = "A webhook was kept, but on_event failed"
WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class ReceiverCounts:
    """How many webhooks came so far.

    Attributes:
        accepted: Events that came for the first time, and were dispatched.
        duplicates: Events that were known already.
        rejected: Those without a valid signature, or too large.
        deferred: Those that could not be verified or kept: their senders were told to try again.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    deferred: int = 0


class Receiver:
    """Receives the webhooks of one sender. Belongs to one event loop.

    ```python
    hook = Webhook(public_url="https://example.org/hooks", port=443, secret=secret)
    receiver = Receiver(hook, on_event=lambda event: queue.put_nowait(event.task))
    service.add_subapp("/hooks/", receiver.app())  # your own aiohttp service
    ```

    Each event is dispatched once, after it is kept. If the process is killed between the two, an
    inbox on disk dispatches it at the next start.

    Args:
        webhook: Where they arrive, and how they are verified.
        on_event: Called in the event loop with each event; it must not block. If it returns an
            awaitable, that is awaited while the sender has its response already. If it raises,
            that is logged, and an inbox on disk dispatches the event again at the next start.
        on_rejected: Called with the reason when a webhook is turned away; for people to read.
        public_keys: The sender's public keys; by default fetched from the sender.
        hide: Keys that the sender may repeat: neither the inbox nor `on_event` gets them. The
            signature counts for the bytes as they came.
        now: Seconds since 1970.

    Attributes:
        counts: How many came.
        port: Where it is listening, for addresses that name it.
    """

    def __init__(
        self,
        webhook: Webhook,
        on_event: Callable[[WebhookEvent], object],
        *,
        on_rejected: Callable[[str], object] | None = None,
        public_keys: PublicKeys | None = None,
        hide: Sequence[Secret] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.webhook = webhook
        self.counts = ReceiverCounts()
        self.port = webhook.port
        self._on_event = on_event
        self._on_rejected = on_rejected or (
            lambda why: log.info("A webhook was rejected: %s.", why)
        )
        self._hide = tuple(hide)
        self._now = now
        self._secrets = webhook.keys()
        jwks_url = webhook.rules(0).scheme.jwks_url
        self._public_keys = public_keys or (PublicKeys(jwks_url) if jwks_url else None)
        self._inbox: Inbox = MemoryInbox() if webhook.inbox is None else SqliteInbox(webhook.inbox)
        self._accepting: set[asyncio.Task[None]] = set()
        self._dispatching: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address that the sender is told."""
        return self.webhook.address(self.port)

    def app(self) -> web.Application:
        """An application of its own, or for `add_subapp`: POST /<path>, and GET /health.

        It opens the inbox when it starts, and closes it at its end.
        """
        app = web.Application(middlewares=[self._respond])
        app.router.add_post("/{path}", self._post)
        app.router.add_get("/health", _health)
        app.cleanup_ctx.append(self._lifespan)
        return app

    async def open(self) -> None:
        """Open the inbox, and dispatch what an earlier process kept but did not dispatch.

        Raises:
            ConfigError: The inbox cannot be used.
        """
        for event in await self._inbox.open():
            self._dispatch(event)

    async def aclose(self) -> None:
        """Finish what is being kept and dispatched, and close the inbox."""
        while tasks := self._accepting | self._dispatching:
            await asyncio.wait(tasks)
        await self._inbox.aclose()

    async def _lifespan(self, _: web.Application) -> AsyncIterator[None]:
        await self.open()
        yield
        await self.aclose()

    @web.middleware
    async def _respond(self, request: web.Request, handler: WebHandler) -> web.StreamResponse:
        """Answer; any error becomes its status here, and nowhere else."""
        try:
            return await handler(request)
        except web.HTTPException as exc:
            status, text = exc.status, exc.reason
        except WebhookError as exc:
            status, text = exc.status, exc.answer
            self._record_rejection(exc)
        except Exception:
            log.exception("A webhook could not be received")
            status, text = RetryLaterError.status, RetryLaterError.answer
            self._record_rejection(RetryLaterError("an internal error, see the log"))
        return _response(status, text)

    async def _post(self, request: web.Request) -> web.Response:
        """Take a webhook in. Returning means that it is kept."""
        path = request.match_info["path"].encode("utf-8", "surrogatepass")
        # The path may be the only secret (scheme "none"): comparing it takes the same time always.
        if not compare_digest(path, (self.webhook.path or "").encode()):
            raise web.HTTPNotFound
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise web.HTTPUnsupportedMediaType(reason="Send the signed bytes, not compressed")
        too_large = WebhookTooLargeError(_TOO_LARGE.format(self.webhook.max_body))
        if (request.content_length or 0) > self.webhook.max_body:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self.webhook.max_body:
                        raise too_large
        except TimeoutError:
            raise web.HTTPRequestTimeout(reason="Too slow") from None
        except (web.RequestPayloadError, ConnectionError):
            raise web.HTTPBadRequest(reason="Incomplete") from None
        event = await self._verify(WebhookMessage(request.headers, bytes(body)))
        # In a task, and shielded: aiohttp cancels us when the sender hangs up, and an event that is
        # kept must be dispatched all the same.
        await asyncio.shield(_start(self._accept(event), self._accepting))
        return _response(200, "OK")

    async def _verify(self, message: WebhookMessage) -> WebhookEvent:
        """Verify with the known keys; once more if the sender has published newer ones."""
        public, rules, now = self._public_keys, self.webhook.rules(self.port), self._now()
        keys = self._secrets if public is None else await public.current()
        has_newest = public is None
        while True:
            try:
                if len(message.body) > _LARGE:
                    return await asyncio.to_thread(self._read, message, rules, keys, now)
                return self._read(message, rules, keys, now)
            except UnknownKeyError:
                keys = () if public is None or has_newest else await public.newer()
                has_newest = True
                if not keys:
                    raise

    def _read(
        self, message: WebhookMessage, rules: VerificationRules, keys: Sequence[Key], now: float
    ) -> WebhookEvent:
        """Verify it; what is kept and passed on has none of the keys that are to be hidden."""
        event = verify(message, rules, keys, now)
        for secret in self._hide:
            event = replace(
                event,
                id=secret.hide(event.id),
                task=secret.hide(event.task),
                state=secret.hide(event.state),
                body=secret.hide_bytes(event.body),
            )
        return event

    async def _accept(self, event: WebhookEvent) -> None:
        """Keep the event, then dispatch it; a duplicate has been dispatched before."""
        if len(self._dispatching) >= _MAX_DISPATCHING:
            raise InboxFullError("too many earlier events are still being dispatched")
        if await self._inbox.add(event):
            self._dispatch(event)
        else:
            self.counts.duplicates += 1

    def _dispatch(self, event: WebhookEvent) -> None:
        self.counts.accepted += 1
        try:
            result = self._on_event(event)
        except Exception:
            log.exception(_NOT_DISPATCHED)
            return
        if isawaitable(result):
            _start(self._finish_dispatch(event, result), self._dispatching)
        else:
            self._inbox.mark_dispatched(event)

    async def _finish_dispatch(self, event: WebhookEvent, result: Awaitable[object]) -> None:
        try:
            await result
        except Exception:
            log.exception(_NOT_DISPATCHED)
        else:
            self._inbox.mark_dispatched(event)

    def _record_rejection(self, error: WebhookError) -> None:
        is_temporary = isinstance(error, RetryLaterError)
        if is_temporary:
            self.counts.deferred += 1
        elif isinstance(error, InvalidSignatureError | WebhookTooLargeError):
            self.counts.rejected += 1
        self._on_rejected(f"for now: {error}" if is_temporary else str(error))


def _start(work: Coroutine[Any, Any, None], group: set[asyncio.Task[None]]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(work)
    group.add(task)
    task.add_done_callback(group.discard)
    return task


async def _health(_: web.Request) -> web.Response:
    return _response(200, "OK")


def _response(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=f"{text}\n")
    if status == RetryLaterError.status:
        response.headers["Retry-After"] = _RETRY_AFTER
    if status >= 400:
        response.force_close()
    return response
