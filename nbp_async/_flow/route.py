"""Which account the next attempt goes to: of those whose gate is open, the one that is wanted most.

    accounts that can make the job ──► not parked ──► in the order of the route
                                                          │
      the first whose gate lets it pass at once  ◄────────┤
                                                          │ none does
      whichever lets it pass first, of all of them  ◄─────┘

So the order says who is asked first, and never keeps a request waiting that another account would
take. Where all are parked, the first one to come back is waited for.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from nbp_async._base.errors import BudgetError, NbpError, RateLimitError
from nbp_async._flow.upstream import Offer, Upstream
from nbp_async._pacing.gate import Gate, GatePass

Admitted = tuple[Offer, GatePass]
"""An account, and the right to send to it."""
RouteName = Literal["balanced", "cheapest", "fastest"]

_ORDERS: dict[RouteName, Callable[[Offer], tuple[Decimal | float, float]]] = {
    "balanced": lambda offer: (0.0, offer.gate.load),
    "cheapest": lambda offer: (offer.job.price, offer.gate.load),
    "fastest": lambda offer: (offer.upstream.usual(offer.job.canvas.tier), offer.gate.load),
}


class Waiter:
    """An attempt that waits for any of its accounts."""

    __slots__ = ("admitted", "offers", "refused")

    def __init__(self, offers: Sequence[Offer]) -> None:
        self.offers = offers
        self.refused: dict[Gate, NbpError] = {}
        self.admitted: asyncio.Future[Admitted | None] = asyncio.get_running_loop().create_future()

    def offer_at(self, gate: Gate) -> Offer | None:
        """What it would send through this gate; None if it does not wait there."""
        if self.admitted.done() or gate in self.refused:
            return None
        found = next((offer for offer in self.offers if offer.gate is gate), None)
        return None if found is None or found.upstream.parked_for() else found


class Route:
    """Chooses an account for each attempt. Belongs to one event loop.

    Attempts that find no open gate wait in one line. Before each gate that one of them could pass
    stands one of ours, which hands on what it gets: so an attempt waits at all its gates at once,
    and takes a slot and a token of one.

    Args:
        name: "balanced" fills all accounts alike, "cheapest" the one with the lowest price first,
            "fastest" the one whose images came soonest so far.
        patience: Seconds that the first account to come back is waited for, if all are parked.
    """

    def __init__(self, name: RouteName, patience: float) -> None:
        self._order = _ORDERS[name]
        self.patience = patience
        self._line: list[Waiter] = []
        self._pulling: dict[Gate, asyncio.Task[None]] = {}

    async def enter(self, offers: Sequence[Offer]) -> Admitted:
        """Wait until one of these accounts lets a request leave. Cancelled, nothing stays taken.

        Raises:
            NbpError: None of them takes requests, for longer than anybody should wait, and why.
        """
        while True:
            ready = sorted((o for o in offers if not o.upstream.parked_for()), key=self._order)
            for offer in ready:
                ticket = offer.gate.enter_nowait()
                if ticket is not None:
                    return offer, ticket
            parked = [offer.upstream for offer in offers if offer.upstream.parked_for()]
            first = min(parked, key=Upstream.parked_for, default=None)
            back = None if first is None else first.parked_for()
            if not ready and first is not None and first.parked_for() > self.patience:
                raise first.refusal()
            admitted = await self._wait(Waiter(offers), ready, back)
            if admitted is not None:
                return admitted

    def changed(self) -> None:
        """An account was parked: let those that wait look again where they can go."""
        for waiter in self._line:
            if not waiter.admitted.done():
                waiter.admitted.set_result(None)

    async def _wait(
        self, waiter: Waiter, ready: Sequence[Offer], seconds: float | None
    ) -> Admitted | None:
        """Wait in line; None if it is time to look again, after so many seconds at the latest."""
        self._line.append(waiter)
        future, taken = waiter.admitted, False
        try:
            for offer in ready:
                self._pull(offer.gate)
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                admitted = await future
                taken = True
                return admitted
        except TimeoutError:
            return None
        finally:
            self._line.remove(waiter)
            if not taken and not future.cancel():
                _give_back(future)
            if not self._line:
                for task in self._pulling.values():
                    task.cancel()

    def _pull(self, gate: Gate) -> None:
        """Stand before this gate, if nobody of ours does."""
        task = self._pulling.get(gate)
        if task is None or task.done() or task.cancelling():
            self._pulling[gate] = asyncio.ensure_future(self._stand_before(gate))

    async def _stand_before(self, gate: Gate) -> None:
        """Pass the gate again and again, and hand each ticket to the first in line."""
        while (wanted := self._first(gate)) is not None:
            try:
                ticket = await wanted[1].enter()
            except NbpError as exc:
                self._refuse(gate, wanted[1], exc)
            else:
                self._hand_out(gate, wanted[1], ticket)

    def _hand_out(self, gate: Gate, meant: Offer, ticket: GatePass) -> None:
        """Give the ticket to the first in line that costs what it was reserved for."""
        for waiter in self._line:
            offer = waiter.offer_at(gate)
            if offer is not None and offer.price_kind == meant.price_kind:
                waiter.admitted.set_result((offer, ticket))
                return
        meant.give_back(ticket)

    def _first(self, gate: Gate) -> tuple[Waiter, Offer] | None:
        """The first in line that waits for this gate."""
        for waiter in self._line:
            offer = waiter.offer_at(gate)
            if offer is not None:
                return waiter, offer
        return None

    def _may_come(self, waiter: Waiter, offer: Offer) -> bool:
        return offer.gate not in waiter.refused and offer.upstream.parked_for() <= self.patience

    def _refuse(self, gate: Gate, meant: Offer, error: NbpError) -> None:
        """The gate lets none of these wait: whoever waits for no other one is refused with that.

        A pause that is too long is for all; a price above what may ever be spent for equal ones.
        """
        for waiter in self._line:
            offer = waiter.offer_at(gate)
            is_meant = offer is not None and offer.price_kind == meant.price_kind
            if offer is None or (isinstance(error, BudgetError) and not is_meant):
                continue
            waiter.refused[gate] = error
            if not any(self._may_come(waiter, each) for each in waiter.offers):
                waiter.admitted.set_exception(min(waiter.refused.values(), key=_wait_of))


def _give_back(admitted: asyncio.Future[Admitted | None]) -> None:
    """It was admitted in the same turn of the loop in which it left the line."""
    if not admitted.cancelled() and admitted.exception() is None:
        found = admitted.result()
        if found is not None:
            offer, ticket = found
            offer.give_back(ticket)


def _wait_of(error: NbpError) -> float:
    asked = error.retry_after if isinstance(error, RateLimitError) else None
    return math.inf if asked is None else asked
