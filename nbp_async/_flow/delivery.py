"""How the images of a call reach us. The client chooses it, and no other code asks which it is.

| delivery | a request | its image comes | at the same time |
| --- | --- | --- | --- |
| held | is held open for 30-170 s | in the response | as many as there are slots |
| poll, webhook | is answered with a task | when the task is polled | `Limits.max_open` tasks |
| batch | is a line of a batch job | with the job's results, within a day | 100 jobs |
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from nbp_async._dialects.base import Dialect
from nbp_async._flow.attempt import LiveAttempt
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint, RequestTimeouts
from nbp_async._flow.job_source import Jobs
from nbp_async._flow.ledger import Ledger
from nbp_async._models.outcomes import Job, Outcome, Reference, Via

Deliver = Callable[[Outcome], Awaitable[None] | None]
"""Takes each outcome as it comes; while it waits, the worker of this outcome waits too."""


class Pool(Protocol):
    """The work of one call."""

    async def work(self) -> None:
        """Work until all prompts have an outcome, or the call is stopped.

        Raises:
            ConfigError: A prompt of a list cannot be sent, or webhooks cannot be listened for.
                Nothing was sent.
            JournalError: The run's journal cannot be used. Nothing was sent.
            StorageError: There is no place for images. Nothing was sent.
            Exception: What the iterable of prompts, a sink or a bug raised, after everything that
                was paid for has ended.
        """
        ...

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for."""
        ...


class Delivery(Protocol):
    """What differs between the ways that images come: pool, time-outs, message at a stop."""

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go; of several, the first."""
        ...

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where requests go: one for each account."""
        ...

    @property
    def second_stop(self) -> str:
        """What a stop button does when it is pressed again, or ""."""
        ...

    async def open(self) -> None:
        """Make ready what has to be before anything is sent.

        Raises:
            ConfigError: Webhooks cannot be listened for. Nothing was sent.
        """
        ...

    def pool(self, call: CallState, jobs: Jobs, deliver: Deliver) -> Pool:
        """What does the work of one call."""
        ...

    def stop_message(self, call: CallState) -> str:
        """What is still waited for after a stop, what becomes of it, and what a second one does."""
        ...


class Attempts(Protocol):
    """The attempts of one job, from the first one to its outcome."""

    async def prepare(self, references: tuple[Reference, ...]) -> None:
        """Make ready what does not wait for anybody.

        Raises:
            ConfigError: The job has something that the endpoint has no place for.
        """
        ...

    async def run(self) -> Outcome:
        """Try until there is an outcome."""
        ...


class RequestDelivery(Delivery, Protocol):
    """A delivery where each image has a request of its own: held calls and tasks."""

    @property
    def via(self) -> Via:
        """What it is called."""
        ...

    @property
    def dialect(self) -> Dialect:
        """How a request is spelled."""
        ...

    @property
    def max_open(self) -> int:
        """Prompts that may wait for their image without a slot."""
        ...

    def attempts(self, call: CallState, job: Job, ledger: Ledger) -> Attempts:
        """What makes the image of one job."""
        ...

    def timeouts(self, job: Job) -> RequestTimeouts:
        """The time-outs of the request for this image."""
        ...

    async def take_place(self, call: CallState) -> None:
        """Wait until one more image may be waited for.

        Raises:
            StoppedError: The call was stopped. Nothing was sent.
        """
        ...

    def give_place_back(self) -> None:
        """The image is no longer waited for."""
        ...

    async def receive(
        self, call: CallState, job: Job, attempt: LiveAttempt, ledger: Ledger
    ) -> None:
        """The response is here: wait until `attempt.answer` has the images or their links.

        Raises:
            NbpError: They will not come, or it is unknown whether they will.
        """
        ...
