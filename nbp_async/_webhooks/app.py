"""Takes webhooks in over HTTP: the answer is 2xx once it is kept, and never 500.

| answer | when |
|---|---|
| 200 | it is the sender's, and kept: now, or when it came before |
| 400 | it is the sender's, and no JSON |
| 401 | it is not proved to be the sender's |
| 404, 405 | another path, or no POST |
| 408, 413, 415 | too slow, too large, or compressed |
| 503 | it cannot be kept or checked now: the sender comes again |
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from inspect import isawaitable

from aiohttp import web

from nbp_async._webhooks.inbox import Event, FullError, Inbox, MemoryInbox, SqliteInbox
from nbp_async._webhooks.jwks import NoKeysError, PublicKeys
from nbp_async._webhooks.keys import Key
from nbp_async._webhooks.letter import Forged, Letter, UnknownKey, Unreadable
from nbp_async._webhooks.settings import Webhook
from nbp_async._webhooks.verify import Proof, check

log = logging.getLogger("nbp_async.webhooks")

BODY_PATIENCE = 30.0  # seconds until the body is whole
_COME_AGAIN = "60"  # seconds, after 503
_LARGE = 1_048_576  # bytes of a body that are checked in a thread
_MOST_HANDING = 10_000  # events whose handing on is awaited, before senders are told to come later
_NOT_HANDED = "A webhook was kept, and could not be handed on"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Tally:
    """What came so far.

    Attributes:
        taken: Events that came for the first time, and were handed on.
        repeated: Those that were known already.
        refused: What was not proved to be the sender's.
        put_off: What could not be kept or checked, and was told to come again.
    """

    taken: int = 0
    repeated: int = 0
    refused: int = 0
    put_off: int = 0


class Receiver:
    """Takes the webhooks of one sender in. Belongs to one event loop.

    ```python
    hook = Webhook(public_url="https://example.org/hooks", port=443, secret=secret)
    receiver = Receiver(hook, tell=lambda event: queue.put_nowait(event.task))
    service.add_subapp("/hooks/", receiver.app())  # your own aiohttp service
    ```

    Each event is handed on once, after it was kept. With an inbox on disk what was kept and not
    handed on when the process was killed is handed on when it starts again.

    Args:
        webhook: Where they arrive, and how they are checked.
        tell: Called in the event loop with each event; it must not block. What is awaitable of it
            is awaited, and the sender has its answer meanwhile. If it raises, that is logged; with
            an inbox on disk the event is handed on again when the process starts again.
        refused: Called with the reason when something is turned away; for people's eyes.
        public_keys: Where the sender's public keys are from; by default from the sender.
        now: Seconds since 1970.

    Attributes:
        tally: How many came.
        port: Where it is listening, for addresses that name it.
    """

    def __init__(
        self,
        webhook: Webhook,
        tell: Callable[[Event], object],
        *,
        refused: Callable[[str], object] | None = None,
        public_keys: PublicKeys | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.webhook = webhook
        self.tally = Tally()
        self.port = webhook.port
        self._tell = tell
        self._refused = refused or (lambda reason: log.info("A webhook was refused: %s.", reason))
        self._now = now
        self._keys = webhook.keys()
        known_at = webhook.terms(0).scheme.keys
        self._public = public_keys or (PublicKeys(known_at) if known_at else None)
        self._inbox: Inbox = MemoryInbox() if webhook.inbox is None else SqliteInbox(webhook.inbox)
        self._taking: set[asyncio.Task[None]] = set()
        self._handing: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address that the sender is told."""
        return self.webhook.address(self.port)

    def app(self) -> web.Application:
        """An application of its own, or for `add_subapp`: POST /<path>, and GET /health.

        It opens the inbox when it starts, and closes it at its end.
        """
        app = web.Application(middlewares=[self._never_500])
        app.router.add_post("/{path}", self._post)
        app.router.add_get("/health", _health)
        app.cleanup_ctx.append(self._life)
        return app

    async def open(self) -> None:
        """Open the inbox, and hand on what an earlier process kept and did not.

        Raises:
            ConfigError: The inbox cannot be used.
        """
        for event in await self._inbox.open():
            self._hand_on(event)

    async def aclose(self) -> None:
        """Finish what is being kept and handed on, and close the inbox."""
        while under_way := self._taking | self._handing:
            await asyncio.wait(under_way)
        await self._inbox.aclose()

    async def _life(self, _: web.Application) -> AsyncIterator[None]:
        await self.open()
        yield
        await self.aclose()

    @web.middleware
    async def _never_500(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as exc:
            return _answer(exc.status, exc.reason)
        except Exception:
            log.exception("A webhook could not be taken in")
            return self._put_off("something is wrong here")

    async def _post(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].encode("utf-8", "surrogatepass")
        if not compare_digest(path, (self.webhook.path or "").encode()):
            return _answer(404, "Not Found")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _answer(415, "Send it as it is signed, and not compressed")
        if (request.content_length or 0) > self.webhook.max_body:
            return self._too_large()
        try:
            async with asyncio.timeout(BODY_PATIENCE):
                body = await self._body(request)
        except TimeoutError:
            return _answer(408, "Too slow")
        except (web.RequestPayloadError, ConnectionError):
            return _answer(400, "Not whole")
        if body is None:
            return self._too_large()
        return await self._receive(Letter.of(request.headers.items(), body))

    def _too_large(self) -> web.Response:
        self.tally.refused += 1
        self._refused(f"it has more than {self.webhook.max_body} bytes (max_body)")
        return _answer(413, "Too large")

    async def _body(self, request: web.Request) -> bytes | None:
        body = bytearray()
        async for piece in request.content.iter_any():
            body += piece
            if len(body) > self.webhook.max_body:
                return None
        return bytes(body)

    async def _receive(self, letter: Letter) -> web.Response:
        try:
            proof = await self._prove(letter)
        except Forged as exc:
            self.tally.refused += 1
            self._refused(str(exc))
            return _answer(401, "Not proved")
        except Unreadable:
            self._refused("it is signed, and no JSON")
            return _answer(400, "No JSON")
        except NoKeysError as exc:
            return self._put_off(str(exc))
        name = self.webhook.scheme
        event = Event(proof.id, proof.task, proof.state, name, letter.body, self._now())
        # Apart, and to its end: a sender that hangs up must not leave it kept and not handed on.
        taking = asyncio.get_running_loop().create_task(self._take(event))
        self._taking.add(taking)
        taking.add_done_callback(self._taking.discard)
        try:
            await asyncio.shield(taking)
        except FullError as exc:
            return self._put_off(str(exc))
        return _answer(200, "OK")

    async def _prove(self, letter: Letter) -> Proof:
        if self._public is None:
            return await self._check(letter, self._keys)
        try:
            return await self._check(letter, await self._public.known())
        except UnknownKey:
            newer = await self._public.newer()
            if not newer:
                raise
            return await self._check(letter, newer)

    async def _check(self, letter: Letter, keys: tuple[Key, ...]) -> Proof:
        terms, now = self.webhook.terms(self.port), self._now()
        if len(letter.body) > _LARGE:
            return await asyncio.to_thread(check, letter, terms, keys, now)
        return check(letter, terms, keys, now)

    async def _take(self, event: Event) -> None:
        if len(self._handing) >= _MOST_HANDING:
            raise FullError("those that came before are still being handed on")
        if await self._inbox.keep(event):
            self._hand_on(event)
        else:
            self.tally.repeated += 1

    def _hand_on(self, event: Event) -> None:
        self.tally.taken += 1
        try:
            more = self._tell(event)
        except Exception:
            log.exception(_NOT_HANDED)
            return
        if not isawaitable(more):
            self._inbox.handed(event)
            return
        handing = asyncio.get_running_loop().create_task(self._finish(event, more))
        self._handing.add(handing)
        handing.add_done_callback(self._handing.discard)

    async def _finish(self, event: Event, more: Awaitable[object]) -> None:
        try:
            await more
        except Exception:
            log.exception(_NOT_HANDED)
        else:
            self._inbox.handed(event)

    def _put_off(self, why: str) -> web.Response:
        self.tally.put_off += 1
        self._refused(f"for now: {why}")
        answer = _answer(503, "Come again")
        answer.headers["Retry-After"] = _COME_AGAIN
        return answer


async def _health(_: web.Request) -> web.Response:
    return _answer(200, "OK")


def _answer(status: int, text: str) -> web.Response:
    answer = web.Response(status=status, text=f"{text}\n")
    if status >= 400:
        answer.force_close()
    return answer
