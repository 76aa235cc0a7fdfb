"""Webhooks out: what is owed is written down first, and told until the receiver took it.

Signed after Standard Webhooks, one id over all tries, with a backoff over three days. A receiver
that is dead delays nobody: each has its own time for the next try, and only a few are out at once.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from nbp_async import Run, Ticket
from nbp_async.gateway.gateway_tables import GatewayTables
from nbp_async.gateway.task_json import note_of
from nbp_async.gateway.users import User, Users
from nbp_async.webhooks import refusal_of

log = logging.getLogger("nbp_async.gateway")

DELAYS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
_AT_ONCE = 8  # webhooks that are out
_PATIENCE = 15.0  # seconds for a receiver's answer
_UNSURE = 10_000  # tasks before the last one that was written down
_LOOK = 1.0  # seconds between two looks for what is owed

Tell = Callable[[int], Awaitable[dict[str, Any] | None]]
"""What to tell of a task that has ended; None while it has not."""


class Outbox:
    """The webhooks that one gateway owes.

    Args:
        tables: Where they are kept.
        users: Have the secrets that sign them.
        private: They may go to private addresses.
    """

    def __init__(self, tables: GatewayTables, users: Users, *, private: bool) -> None:
        self._tables = tables
        self._users = users
        self._private = private
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._out: set[int] = set()
        self.delivered = self.failed = 0

    async def expect(self, tickets: Sequence[Ticket], url: str, user: User) -> None:
        """The end of these tasks is to be told there."""
        query = (
            "INSERT INTO gateway_webhook (task, url, owner, message, next_try) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        )
        for ticket in tickets if url else ():
            message = f"msg_{secrets.token_hex(12)}"
            await self._tables.rows(query, ticket.number, url, user.name, message, time.time())

    async def recover(self, run: Run) -> None:
        """What was submitted and not written down here yet, when a process was killed between."""
        rows = await self._tables.rows("SELECT coalesce(max(task), 0) FROM gateway_webhook")
        last = max(0, int(rows[0][0]) - _UNSURE)
        for name, _, _ in await asyncio.to_thread(self._users.names):
            user, after = User(name, "user", ""), last
            while page := await run.tickets(name, after=after, count=500):
                for one in page:
                    if url := note_of(one).webhook:
                        await self.expect([Ticket(one.number, 0)], url, user)
                after = page[-1].number

    async def redeliver(self, task: int) -> bool:
        """Tell it once more, from the first try on; False if nobody wanted to be told."""
        query = (
            "UPDATE gateway_webhook SET done = NULL, tries = 0, next_try = ? WHERE task = ? "
            "RETURNING task"
        )
        return bool(await self._tables.rows(query, time.time(), task))

    async def owed(self) -> int:
        """Webhooks that are still to be told."""
        rows = await self._tables.rows("SELECT count(*) FROM gateway_webhook WHERE done IS NULL")
        return int(rows[0][0])

    async def deliver(self, tell: Tell) -> None:
        """Tell what is owed, for ever."""
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, resolver=_Guard(self._private))
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=_PATIENCE)
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                for row in await self._tables.rows(_OWED, time.time(), 4 * _AT_ONCE):
                    if row[0] not in self._out:
                        body = await tell(row[0])
                        if body is None:
                            await self._later(row[0], time.time() + _LOOK)
                            continue
                        self._out.add(row[0])
                        group.create_task(self._send(session, row, body))
                await asyncio.sleep(_LOOK)

    async def _send(
        self, session: aiohttp.ClientSession, row: tuple[Any, ...], body: dict[str, Any]
    ) -> None:
        task, url, owner, message, tries = row
        async with self._free:
            error = await self._post(session, url, owner, message, body)
        self._out.discard(task)
        if not error:
            self.delivered += 1
            query = "UPDATE gateway_webhook SET done = ?, error = '' WHERE task = ?"
            await self._tables.rows(query, time.time(), task)
            return
        self.failed += 1
        log.warning("The webhook of task_%s was not taken: %s", task, error)
        if tries >= len(DELAYS):
            query = "UPDATE gateway_webhook SET done = ?, error = ? WHERE task = ?"
            await self._tables.rows(query, time.time(), f"given up: {error}"[:300], task)
            return
        query = "UPDATE gateway_webhook SET tries = ?, next_try = ?, error = ? WHERE task = ?"
        await self._tables.rows(query, tries + 1, time.time() + DELAYS[tries], error[:300], task)

    async def _later(self, task: int, at: float) -> None:
        await self._tables.rows("UPDATE gateway_webhook SET next_try = ? WHERE task = ?", at, task)

    async def _post(
        self, session: aiohttp.ClientSession, url: str, owner: str, message: str, body: Any
    ) -> str:
        """Post it; gives what went wrong, or ""."""
        user = await self._users.named(owner)
        data, at = msgspec.json.encode(body), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": at,
            "webhook-signature": signature(
                "" if user is None else user.hook_secret, message, at, data
            ),
        }
        try:
            if not self._private and (why := _private_host(url)):
                return why
            async with session.post(
                url, data=data, headers=headers, allow_redirects=False
            ) as response:
                with contextlib.suppress(aiohttp.ClientError):
                    await response.content.read(1024)
                return "" if 200 <= response.status < 300 else f"it answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            return f"{type(exc).__name__}: {exc}"


def signature(secret: str, message: str, at: str, data: bytes) -> str:
    """The signature of a message after Standard Webhooks (HMAC-SHA256)."""
    key = secret.removeprefix("whsec_")
    raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    signed = f"{message}.{at}.".encode() + data
    return "v1," + base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()


class _Guard(AbstractResolver):
    """Resolves names, and refuses addresses that lead into the gateway's own network."""

    def __init__(self, private: bool) -> None:
        self._names = ThreadedResolver()
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family)
        for one in found if not self._private else ():
            if why := refusal_of(one["host"]):
                raise OSError(f"{host} leads to {why}")
        return found

    async def close(self) -> None:
        await self._names.close()


def _private_host(url: str) -> str:
    """Why the host of a link, written as an address, must not be asked; else ""."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return refusal_of(host) or ""
    return ""


_OWED = """
SELECT task, url, owner, message, tries FROM gateway_webhook
WHERE done IS NULL AND next_try <= ? ORDER BY next_try LIMIT ?
"""
