"""Sends webhooks: signed, and sent again until a receiver accepts them.

The schedule is that of Standard Webhooks: ten attempts in 75 hours. It is simulated time, which
`speed` and virtual time shorten. The 15 s that a receiver has for its answer are real.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from nbp_async.fake.counters import Counters, WebhookAttempt
from nbp_async.fake.fake_settings import FakeSettings
from nbp_async.fake.signing import OutgoingWebhook, Scheme, SigningKeys
from nbp_async.fake.task_faults import Forgery, WebhookFault

SCHEDULE = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Simulated seconds from each attempt to the next; the first is the wait before the first."""

_ANSWER_WITHIN = 15.0  # seconds
_AT_ONCE = 100  # webhooks: fewer than the connections that a receiver queues to be accepted
_LONGEST = 86400.0  # seconds that a receiver can make us wait
_GONE = 410  # the receiver wants no more of them


class WebhookSender:
    """Sends webhooks in the background; one for each server.

    Args:
        settings: How the vendor works.
        keys: Sign them.
        counters: Count what arrived.
    """

    def __init__(self, settings: FakeSettings, keys: SigningKeys, counters: Counters) -> None:
        self._settings = settings
        self._keys = keys
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()

    def send(
        self,
        webhooks: list[OutgoingWebhook],
        scheme: Scheme,
        fault: WebhookFault,
        on_result: Callable[[], None],
    ) -> None:
        """Send these one after the other; `on_result` is called when a result was accepted."""
        if fault.times or fault.forged:
            self._start(self._send_all(webhooks, scheme, fault, on_result))

    async def idle(self) -> None:
        """Return when every webhook was accepted or abandoned."""
        while self._running:
            await asyncio.wait(self._running)

    async def aclose(self) -> None:
        """Abandon what is on its way."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        if self._session is not None:
            await self._session.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _send_all(
        self,
        webhooks: list[OutgoingWebhook],
        scheme: Scheme,
        fault: WebhookFault,
        on_result: Callable[[], None],
    ) -> None:
        if fault.late:
            await asyncio.sleep(fault.late / self._settings.speed)
        for webhook in webhooks:
            if fault.forged:
                await self._attempt(webhook, scheme, 0, fault.forged)
            copies = [self._send_until_accepted(webhook, scheme) for _ in range(fault.times)]
            if any(await asyncio.gather(*copies)) and webhook.result:
                on_result()

    async def _send_until_accepted(self, webhook: OutgoingWebhook, scheme: Scheme) -> bool:
        retry_after = 0.0
        for attempt, wait in enumerate(SCHEDULE, 1):
            pause = max(wait / self._settings.speed, retry_after)
            if pause:
                await asyncio.sleep(pause)
            status, retry_after = await self._attempt(webhook, scheme, attempt)
            if 200 <= status < 300:
                self._counters.webhooks_delivered += 1
                return True
            if status == _GONE:
                break
        self._counters.webhooks_failed += 1
        return False

    async def _attempt(
        self, webhook: OutgoingWebhook, scheme: Scheme, attempt: int, forged: Forgery = ""
    ) -> tuple[int, float]:
        now = self._settings.clock()
        body, headers = await self._keys.send_as(webhook, scheme, now, forged)
        headers["content-type"] = "application/json"
        status, retry_after = await self._post(webhook.url, body, headers)
        self._counters.webhooks += 1
        self._counters.webhook_attempts.append(
            WebhookAttempt(
                id=webhook.id,
                task=webhook.task,
                url=webhook.url,
                attempt=attempt,
                status=status,
                forged=forged,
                at=self._loop.time(),
                headers=headers,
                body=body,
            )
        )
        return status, retry_after

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """The receiver's status, and its Retry-After; 0 if it does not answer."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN)
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        session = self._session
        try:
            async with (
                self._slots,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                wait = answer.headers.get("Retry-After", "")
                is_seconds = wait.isascii() and wait.isdigit()
                return answer.status, min(float(wait), _LONGEST) if is_seconds else 0.0
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return 0, 0.0
