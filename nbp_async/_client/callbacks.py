"""Where a client's tasks and batch jobs call back: listens from the first such call to its end.

A webhook only ends a wait early: the poll after it says what is true. If webhooks fail, polling
goes on, only less often.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from nbp_async._base.secret import Secret
from nbp_async._dialects.task_dialect import TaskImages
from nbp_async._flow.task_client import TaskClient
from nbp_async._pacing.poll_hints import PollHints
from nbp_async._vendors.profiles import Profile
from nbp_async._webhooks.webhook import Webhook

if TYPE_CHECKING:
    from nbp_async._webhooks.webhook_message import WebhookEvent

log = logging.getLogger("nbp_async")

_MAX_WARNINGS = 10  # reasons why webhooks are refused


def why_no_callback(profile: Profile, webhook: Webhook | None) -> str:
    """Why this service cannot call back there, or ""."""
    task = profile.tasks
    if task is None or not task.calls_back:
        return f'{profile.name} is not known to call back: use via="poll".'
    if webhook is None:
        return "say where to call back: Client(..., webhook=Webhook(public_url=...))."
    if task.signs and task.signs != webhook.scheme:
        return f'{profile.name} uses another signature scheme: Webhook(scheme="{task.signs}").'
    return ""


class Callbacks:
    """The receiver of one client's webhooks. Belongs to one event loop.

    Attributes:
        scheme: How they are signed.
        hints: Tasks and jobs that are said to have ended.
        tasks: Submits tasks that call back. It shares open tasks and the pace of polls with the
            client's own; None where the endpoint has no tasks.
    """

    def __init__(
        self, webhook: Webhook, profile: Profile, key: Secret, tasks: TaskClient | None
    ) -> None:
        # Imported here because few clients need a server.
        from nbp_async._webhooks.hook_server import HookServer
        from nbp_async._webhooks.receiver import Receiver

        self.scheme = webhook.scheme
        self.hints = PollHints() if tasks is None else tasks.hints
        self._pending = frozenset() if tasks is None else tasks.dialect.table.pending
        self._receiver = Receiver(webhook, self._notify, on_rejected=self._warn_once, hide=[key])
        self._server = HookServer(self._receiver)
        self._opening = asyncio.Lock()
        self._warned: set[str] = set()
        self._dialect = None if tasks is None else TaskImages(profile, self._receiver.url)
        self.tasks = None
        if tasks is not None and self._dialect is not None:
            self.tasks = tasks.with_dialect(self._dialect)

    @property
    def url(self) -> str:
        """Where vendors call back. It is known once this is open."""
        return self._receiver.url

    async def open(self) -> None:
        """Listen, if that is not done yet.

        Raises:
            ConfigError: The port or the inbox cannot be used. Nothing was sent.
        """
        async with self._opening:
            await self._server.open()
        if self._dialect is not None:
            self._dialect.callback = self._receiver.url  # a free port is known only now

    async def aclose(self) -> None:
        """Take no more in."""
        await self._server.aclose()

    def _notify(self, event: "WebhookEvent") -> None:
        """Some services call back when a task begins as well: that is no reason to poll.

        The same job is `batches/1` in one place and `1` in another.
        """
        if event.task and event.state not in self._pending:
            self.hints.notify(event.task)
            if "/" in event.task:
                self.hints.notify(event.task.rpartition("/")[2])

    def _warn_once(self, reason: str) -> None:
        """Warn of each reason once: where secrets differ it is the same with every task."""
        new = reason not in self._warned and len(self._warned) < _MAX_WARNINGS
        self._warned.add(reason)
        log.log(
            logging.WARNING if new else logging.DEBUG,
            "A webhook was refused: %s. If it is the service's, compare secret and scheme. Its "
            "tasks are polled all the same, only later.",
            reason,
        )
