"""Where a client's tasks call back: listens from the first call that wants it, until it closes.

A webhook only ends a wait early: the look after it says what is true. Whatever becomes of webhooks,
looks go on without them, only more seldom.
"""

import asyncio
from typing import TYPE_CHECKING

from nbp_async._dialects.tasks import TaskImages
from nbp_async._flow.tasks import Desk
from nbp_async._flow.wiring import log
from nbp_async._profiles import Profile
from nbp_async._webhooks.settings import Webhook
from nbp_async._webhooks.verify import state_in

if TYPE_CHECKING:
    from nbp_async._webhooks.inbox import Event


class Callbacks:
    """The receiver of one client's webhooks. Belongs to one event loop.

    Attributes:
        desk: The client's desk, whose tasks are told where to call back. It shares with it what is
            open, the pace of looks, and what is known of tasks.
    """

    def __init__(self, webhook: Webhook, profile: Profile, desk: Desk) -> None:
        # Here, for few clients need a server.
        from nbp_async._webhooks.app import Receiver
        from nbp_async._webhooks.door import Door

        self._hints = desk.hints
        self._receiver = Receiver(webhook, self._tell, refused=self._refused)
        self._door = Door(self._receiver)
        self._turn = asyncio.Lock()
        self._warned = False
        self._table = desk.dialect.table
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
        if event.task and state_in(event.body, self._table.state) not in self._table.pending:
            self._hints.tell(event.task)

    def _refused(self, reason: str) -> None:
        """Say it once: where secrets differ it is the same with every task."""
        if self._warned:
            log.debug("A webhook was refused: %s.", reason)
            return
        self._warned = True
        log.warning(
            "A webhook was refused: %s. If it is the service's, compare the secret and the scheme; "
            "its tasks are looked at all the same.",
            reason,
        )
