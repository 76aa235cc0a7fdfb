"""Where a client's tasks and batch jobs call back: listens from the first such call to its end.

A webhook only ends a wait early: the look after it says what is true. Whatever becomes of webhooks,
looks go on without them, only more seldom.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from nbp_async._dialects.tasks import TaskImages
from nbp_async._flow.tasks import Desk
from nbp_async._flow.wiring import log
from nbp_async._pacing.hints import Hints
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
        scheme: How they are signed.
        hints: Of what was said to have happened.
        desk: The client's desk, whose tasks are told where to call back. It shares with it what is
            open, the pace of looks, and what is known of tasks. None where there are no tasks.
    """

    def __init__(self, webhook: Webhook, profile: Profile, desk: Desk | None) -> None:
        # Here, for few clients need a server.
        from nbp_async._webhooks.app import Receiver
        from nbp_async._webhooks.door import Door

        self.scheme = webhook.scheme
        self.hints = Hints() if desk is None else desk.hints
        self._pending = frozenset() if desk is None else desk.dialect.table.pending
        self._receiver = Receiver(webhook, self._tell, refused=self._refused)
        self._door = Door(self._receiver)
        self._turn = asyncio.Lock()
        self._told: set[str] = set()
        self._dialect = None if desk is None else TaskImages(profile, self._receiver.url)
        self.desk = None if desk is None or self._dialect is None else desk.asking(self._dialect)

    @property
    def url(self) -> str:
        """Where vendors call back. It is known once this is open."""
        return self._receiver.url

    async def open(self) -> None:
        """Listen, if that is not done yet.

        Raises:
            ConfigError: The port or the inbox cannot be used. Nothing was sent.
        """
        async with self._turn:
            await self._door.open()
        if self._dialect is not None:
            self._dialect.callback = self._receiver.url  # a free port is known only now

    async def aclose(self) -> None:
        """Take no more in."""
        await self._door.aclose()

    def _tell(self, event: "Event") -> None:
        """Some call back when they begin, too: that is no reason to look.

        What is called `batches/1` in one place is `1` in another.
        """
        if event.task and event.state not in self._pending:
            self.hints.tell(event.task)
            if "/" in event.task:
                self.hints.tell(event.task.rpartition("/")[2])

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
