"""What a listener gets: frozen facts about attempts, outcomes and the gate.

A listener is given to the client. It is called on the event loop, between two steps of a
request: it must not block, and whatever it raises is logged and goes no further. One that holds
the loop for more than 50 ms is named in the log with its line, once.
"""

import msgspec

from nbp_async._base.http import Usage
from nbp_async._models.outcomes import Attempt, Job, Outcome, Via


class AttemptStarted(msgspec.Struct, frozen=True):
    """An attempt holds its slot and is about to leave; `at` is in seconds on the loop's clock, and
    `account` one of the client's several, or ""."""

    job: Job
    number: int
    at: float
    account: str = ""


class AttemptEnded(msgspec.Struct, frozen=True):
    """An attempt ended.

    Attributes:
        job: What was asked for.
        attempt: Its timings, its billing and its error, if any.
        vendor: What the endpoint is called.
        base_url: Where it is.
        via: How the answer was to come. A line of a batch job has ended when its result is here.
        usage: Its tokens, or None if the vendor did not say.
        model: The version of the model that answered, or "".
    """

    job: Job
    attempt: Attempt
    vendor: str = ""
    base_url: str = ""
    via: Via = "held"
    usage: Usage | None = None
    model: str = ""


class GateClosed(msgspec.Struct, frozen=True):
    """The vendor asked for patience: nothing leaves for `delay` seconds, then one probe; `account`
    is the one of the client's several that is meant, or ""."""

    delay: float
    reason: str
    account: str = ""


class GateOpened(msgspec.Struct, frozen=True):
    """The vendor accepts requests again; `admitted` may leave now (None: all that have a slot)."""

    admitted: int | None
    account: str = ""


class LimitChanged(msgspec.Struct, frozen=True):
    """`Limits(max_in_flight="auto")`: how many requests may be in flight has changed.

    Attributes:
        before: How many it were.
        limit: How many it are now.
        reason: "accepted" where it grew, "remembered" where an earlier run had found it; else the
            class of the error that lowered it.
        model: The model whose limit it is.
        account: The account whose limit it is, of a client with several; else "".
        known: What an earlier run had found, or 0.
    """

    before: int
    limit: int
    reason: str
    model: str = ""
    account: str = ""
    known: int = 0


class Listener:
    """Gets each attempt and outcome. Override what you need; the rest does nothing.

    ```python
    class Watch(Listener):
        def on_outcome(self, outcome):
            print(outcome)

    client = Client.from_env(listeners=[Watch()])
    ```
    """

    def on_attempt_started(self, event: AttemptStarted) -> None:
        """An attempt is about to leave."""

    def on_attempt(self, event: AttemptEnded) -> None:
        """An attempt ended, well or badly."""

    def on_outcome(self, outcome: Outcome) -> None:
        """A prompt ended, as an `Image` or as a `Failure`."""

    def on_gate(self, event: GateClosed | GateOpened) -> None:
        """The shared pause began or eased."""

    def on_limit(self, event: LimitChanged) -> None:
        """A limit that is learned grew, or was lowered."""
