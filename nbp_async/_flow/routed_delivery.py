"""Held calls to several accounts: the flow is one, and each attempt goes where the route says."""

from collections.abc import Sequence

from nbp_async._flow.attempt_loop import AttemptLoop
from nbp_async._flow.call_state import CallState
from nbp_async._flow.endpoint import Endpoint
from nbp_async._flow.held_delivery import HeldDelivery
from nbp_async._flow.ledger import Ledger
from nbp_async._flow.route import Route
from nbp_async._flow.routed_loop import RoutedLoop
from nbp_async._flow.shared_prices import SharedPrices
from nbp_async._flow.upstream import Offer, Upstream
from nbp_async._models.outcomes import Job


class RoutedDelivery(HeldDelivery):
    """See `delivery.RequestDelivery`: what the accounts share is as it is at the first of them.

    Args:
        upstreams: The accounts.
        route: Chooses one of them.
        prices: What this call costs at each of them.
    """

    def __init__(self, upstreams: Sequence[Upstream], route: Route, prices: SharedPrices) -> None:
        super().__init__(upstreams[0].endpoint)
        self._upstreams = upstreams
        self._route = route
        self._prices = prices

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(upstream.endpoint for upstream in self._upstreams)

    def attempts(self, call: CallState, job: Job, ledger: Ledger) -> AttemptLoop:
        """The attempts of a job, at the accounts that can make it."""
        offers = [Offer(self._upstreams[place], asked) for place, asked in self._prices.jobs(job)]
        return RoutedLoop(self, call, job, ledger, self._route, offers)
