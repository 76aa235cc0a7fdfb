"""Webhooks on their way: sent, signed, and sent again until somebody takes them.

The schedule is that of Standard Webhooks: ten tries over 75 hours. It is simulated time, so `speed`
and virtual time shorten it; the fifteen seconds that a receiver has for its answer are not.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from nbp_async.fake.counters import Counters, Posted
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Keys, Letter, Scheme
from nbp_async.fake.task_faults import Forgery, Hook

SCHEDULE = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Simulated seconds before each try, after the one before."""

_PATIENCE = 15.0  # seconds for one answer
_AT_ONCE = 100  # letters: fewer than the connections that a receiver lets wait to be accepted
_LONGEST = 86400.0  # seconds that a receiver can make us wait
_GONE = 410  # a receiver that wants nothing more


class Post:
    """Sends letters; one for each server.

    Args:
        settings: How the vendor works.
        keys: What it signs with.
        counters: Count what arrived.
    """

    def __init__(self, settings: Settings, keys: Keys, counters: Counters) -> None:
        self._settings = settings
        self._keys = keys
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._session: aiohttp.ClientSession | None = None
        self._hands = asyncio.Semaphore(_AT_ONCE)
        self._open: set[asyncio.Task[None]] = set()

    def send(
        self, letters: list[Letter], scheme: Scheme, hook: Hook, taken: Callable[[], None]
    ) -> None:
        """Send these one after the other, in the background; `taken` is told of results."""
        if hook.times or hook.forged:
            self._begin(self._all(letters, scheme, hook, taken))

    async def idle(self) -> None:
        """Return when every webhook was taken or given up."""
        while self._open:
            await asyncio.wait(self._open)

    async def aclose(self) -> None:
        """Give up what is on its way."""
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)
        if self._session is not None:
            await self._session.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _all(
        self, letters: list[Letter], scheme: Scheme, hook: Hook, taken: Callable[[], None]
    ) -> None:
        if hook.late:
            await asyncio.sleep(hook.late / self._settings.speed)
        for letter in letters:
            if hook.forged:
                await self._try(letter, scheme, 0, hook.forged)
            copies = [self._until_taken(letter, scheme) for _ in range(hook.times)]
            if any(await asyncio.gather(*copies)) and letter.result:
                taken()

    async def _until_taken(self, letter: Letter, scheme: Scheme) -> bool:
        asked = 0.0  # seconds that the receiver wants us to wait
        for attempt, wait in enumerate(SCHEDULE, 1):
            pause = max(wait / self._settings.speed, asked)
            if pause:
                await asyncio.sleep(pause)
            status, asked = await self._try(letter, scheme, attempt)
            if 200 <= status < 300:
                self._counters.webhooks_delivered += 1
                return True
            if status == _GONE:
                break
        self._counters.webhooks_failed += 1
        return False

    async def _try(
        self, letter: Letter, scheme: Scheme, attempt: int, forged: Forgery = ""
    ) -> tuple[int, float]:
        body, headers = await self._keys.send_as(letter, scheme, self._settings.clock(), forged)
        headers["content-type"] = "application/json"
        status, asked = await self._ask(letter.url, body, headers)
        now = self._loop.time()
        self._counters.webhooks += 1
        self._counters.posted.append(
            Posted(letter.id, letter.task, letter.url, attempt, status, forged, now, headers, body)
        )
        return status, asked

    async def _ask(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """The receiver's status, and the seconds it asks for; 0 if it does not answer."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_PATIENCE)
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        try:
            async with (
                self._hands,
                self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                wait = answer.headers.get("Retry-After", "")
                known = wait.isascii() and wait.isdigit()
                return answer.status, min(float(wait), _LONGEST) if known else 0.0
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return 0, 0.0
