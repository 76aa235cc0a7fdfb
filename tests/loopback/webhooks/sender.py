"""A sender that signs right, or writes raw bytes; and a receiver for it."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec

from nbp_async._base.secret import Secret
from nbp_async._webhooks.hook_server import HookServer
from nbp_async._webhooks.receiver import Receiver
from nbp_async._webhooks.webhook import Webhook
from nbp_async._webhooks.webhook_message import WebhookEvent
from nbp_async.fake.signing import OutgoingWebhook, SigningKeys
from nbp_async.fake.task_faults import Forgery

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes that are secret").decode()
VENDOR = SigningKeys("vendor", SECRET)


def told(task: str = "task-7", **more: Any) -> bytes:
    return msgspec.json.encode({"task_id": task, "status": "completed", **more})


async def signed(
    message: str = "msg-1",
    task: str = "task-7",
    forged: Forgery = "",
    *,
    at: float | None = None,
    body: bytes | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a webhook as Standard Webhooks has it."""
    outgoing = OutgoingWebhook(message, task, "", told(task) if body is None else body)
    return await VENDOR.send_as(outgoing, "standard", time.time() if at is None else at, forged)


class Line:
    """A raw connection to a receiver."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._parts = urlsplit(url)

    async def post(self, body: bytes, headers: dict[str, str], *more: bytes) -> int:
        """The status of the answer; `more` are lines of the head, as they are."""
        lines = [f"{name}: {value}".encode() for name, value in headers.items()]
        lines += [b"Content-Length: %d" % len(body), *more]
        head = b"POST %b HTTP/1.1\r\nHost: x\r\n" % self._parts.path.encode()
        answer = await self.raw(head + b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return int(answer.split(b" ", 2)[1]) if answer else 0

    async def raw(self, data: bytes) -> bytes:
        """Send this; what came back until an answer was there, or the end."""
        assert self._parts.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", self._parts.port)
        try:
            writer.write(data)
            await writer.drain()
            return await reader.read(65_536)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def receiving(
    *, tell: Any = None, hide: Sequence[Secret] = (), **settings: Any
) -> AsyncIterator[tuple[Receiver, list[WebhookEvent], Line]]:
    """A receiver that listens, what it was told, and a line to it."""
    events: list[WebhookEvent] = []
    settings.setdefault("secret", SECRET)
    receiver = Receiver(Webhook(**settings), tell or events.append, hide=hide)
    server = HookServer(receiver)
    await server.open()
    try:
        yield receiver, events, Line(receiver.url)
    finally:
        await server.aclose()
