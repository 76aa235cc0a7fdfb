"""A journal that many processes use at a time, on as many machines: who works on what.

An item has one owner while it is worked on. A process that dies, or is silent for `LEASE` seconds,
loses what it owned: what it had out is then taken over by another one, as after a kill, and what it
only had planned is free. It arms nothing any more, should it wake.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol, Self, cast

import msgspec

from nbp_async._base.errors import ConfigError
from nbp_async._journal.base import Journal, JournalEntry
from nbp_async._models.outcomes import Job
from nbp_async._models.settings import Limits


class RunLimits(msgspec.Struct, frozen=True):
    """What holds for all processes of a run together.

    Attributes:
        max_in_flight: Requests that are out at once, or None.
        rate_seconds: Seconds from one departure to the next, or None.
        burst: Departures that may come at once after a rest.
        spend: US dollars within `spend_seconds`, or None.
        spend_seconds: Of `spend`.
    """

    max_in_flight: int | None = None
    rate_seconds: float | None = None
    burst: int = 1
    spend: Decimal | None = None
    spend_seconds: float = 3600.0

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """A client's limits, for a whole run.

        Raises:
            ConfigError: One of them is learned, which is for one process alone.
        """
        if limits.learned is not None:
            raise ConfigError("is a number for a whole run.", option="max_in_flight", value="auto")
        rate, spend = limits.departures, limits.spend_window
        return cls(
            max_in_flight=limits.most_in_flight,
            rate_seconds=None if rate is None else rate.period / rate.count,
            burst=limits.burst,
            spend=None if spend is None else spend.dollars,
            spend_seconds=cls().spend_seconds if spend is None else spend.period,
        )


class SharedJournal(Journal, Protocol):
    """What a journal of many processes has beside what `Journal` has.

    `claim` says of an item whose it is. `arm` raises BudgetError if the money of the run, over all
    its processes, has no room for it.

    Attributes:
        poll: Seconds between two questions after what is elsewhere.
        sweep: Seconds between two looks for processes that have died.
    """

    poll: float
    sweep: float

    async def claim_again(self, item: int, job: Job) -> JournalEntry:
        """The same item as `claim` gave, as it stands now."""
        ...

    def pass_over(self, identity: bytes) -> None:
        """Count a job of this identity, and leave its item to others."""
        ...

    def release(self, item: int) -> None:
        """This process does no more about the item, unless it was armed. Does not wait."""
        ...

    async def released(self, items: Sequence[int]) -> list[int]:
        """Those of the items that nobody works on any more."""
        ...

    async def limits(self) -> RunLimits:
        """What holds for all processes of the run together."""
        ...

    async def limit(self, limits: RunLimits) -> None:
        """Set what holds for all processes of the run together. Durable."""
        ...

    def hold_back(self, seconds: float) -> None:
        """The vendor wants a pause: no process sends anything for so long. Does not wait."""
        ...

    async def orphans(self) -> list[JournalEntry]:
        """Items that processes had out which have died meanwhile; they are ours from now on."""
        ...


def as_shared(journal: Journal) -> SharedJournal | None:
    """The journal, if it is one that many processes use."""
    return cast("SharedJournal", journal) if hasattr(journal, "claim_again") else None
