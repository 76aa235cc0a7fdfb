"""One request for a job: what it cost, when it passed each stage, and how it ended."""

from decimal import Decimal

import msgspec

from nbp_async._base.http import Billing

ZERO = Decimal(0)


class Timings(msgspec.Struct, frozen=True, gc=False):
    """When an attempt passed each stage, in seconds on the event loop's clock.

    None stands for a stage that was not reached.
    """

    queued: float
    done: float
    connecting: float | None = None
    sent: float | None = None
    first_byte: float | None = None

    @property
    def waited(self) -> float:
        """Seconds from asking for a slot to connecting."""
        return (self.done if self.connecting is None else self.connecting) - self.queued

    @property
    def service(self) -> float:
        """Seconds from connecting to the last byte: how long the slot was held."""
        return 0.0 if self.connecting is None else self.done - self.connecting


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One request for a job.

    Attributes:
        number: From 1.
        billing: What the vendor charges for it.
        cost: US dollars of it, if it is charged.
        timings: When it passed each stage.
        backoff: Seconds waited before it, on top of queueing.
        status: HTTP status of the answer, or None if none came.
        request_id: The vendor's id of the request, or "".
        error: Class and message of what ended it, or "".
        reduced: US dollars that a held call would have cost more: what the batch API saved.
        unread: Where its answer is kept, if its images could not be delivered, or "".
        account: Which of a client's accounts was asked, by its name; "" where there is only one.
    """

    number: int
    billing: Billing
    cost: Decimal
    timings: Timings
    backoff: float = 0.0
    status: int | None = None
    request_id: str = ""
    error: str = ""
    reduced: Decimal = ZERO
    unread: str = ""
    account: str = ""
