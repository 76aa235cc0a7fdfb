"""Where a client's tasks call back: listens from the first call that wants it, until it closes.

A webhook only ends a wait early: the look after it says what is true. Whatever becomes of webhooks,
looks go on without them, only more seldom.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from nbp_async._dialects.tasks import TaskImages
from nbp_async._flow.tasks import Desk
from nbp_async._flow.wiring import log
from nbp_async._profiles import Profile
from nbp_async._webhooks.settings import Webhook

if TYPE_CHECKING:
    from nbp_async._webhooks.inbox import Event

_MOST_TOLD = 10  # reasons why webhooks are refused


def problem_of(profile: Profile, webhook: Webhook | None) -> str:
    """Why this service cannot call back there, or ""."""
    task = profile.tasks
    if task is None or not task.calls_back:
        return f'{profile.name} is not known to call back: via="poll" looks at its tasks.'
    if webhook is None:
        return "say where to call back: Client(..., webhook=Webhook(public_url=...))."
    if task.signs and task.signs != webhook.scheme:
        return f'{profile.name} signs otherwise: Webhook(scheme="{task.signs}", ...).'
    return ""


class Callbacks:
    """The receiver of one client's webhooks. Belongs to one event loop.

    Attributes:
        desk: The client's desk, whose tasks are told where to call back. It shares with it what is
            open, the pace of looks, and what is known of tasks.
    """

    def __init__(self, webhook: Webhook, profile: Profile, desk: Desk) -> None:
        self._table = desk.dialect.table
        # Here, for few clients need a server.
        from nbp_async._webhooks.app import Receiver
        from nbp_async._webhooks.door import Door

        self._hints = desk.hints
        self._receiver = Receiver(webhook, self._tell, refused=self._refused)
        self._door = Door(self._receiver)
        self._turn = asyncio.Lock()
        self._told: set[str] = set()
        self._dialect = TaskImages(profile, self._receiver.url)
        self.desk = desk.asking(self._dialect)

    async def open(self) -> None:
        """Listen, if that is not done yet.

        Raises:
            ConfigError: The port or the inbox cannot be used. Nothing was sent.
        """
        async with self._turn:
            await self._door.open()
        self._dialect.callback = self._receiver.url  # a free port is known only now

    async def aclose(self) -> None:
        """Take no more in."""
        await self._door.aclose()

    def _tell(self, event: "Event") -> None:
        """Some call back when they begin, too: that is no reason to look."""
        if event.task and event.state not in self._table.pending:
            self._hints.tell(event.task)

    def _refused(self, reason: str) -> None:
        """Say each thing once: where secrets differ it is the same with every task."""
        new = reason not in self._told and len(self._told) < _MOST_TOLD
        self._told.add(reason)
        log.log(
            logging.WARNING if new else logging.DEBUG,
            "A webhook was refused: %s. If it is the service's, compare secret and scheme. Its "
            "tasks are looked at all the same, only later.",
            reason,
        )
