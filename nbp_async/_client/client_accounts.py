"""Whom a client asks: one endpoint, or several accounts; and what its calls cost there."""

import dataclasses

from nbp_async._client.account_prices import shared_prices
from nbp_async._client.answer_format import are_links_kept
from nbp_async._client.call_prices import job_prices, with_defaults, with_price
from nbp_async._client.client_options import ClientOptions
from nbp_async._client.endpoint_account import (
    EndpointAccount,
    choose_via,
    only_account,
    several_accounts,
)
from nbp_async._client.options import ImageOptions
from nbp_async._flow.job_prices import PromptPrices
from nbp_async._flow.route import RouteName
from nbp_async._models.outcomes import Via
from nbp_async._models.settings import Limits
from nbp_async._vendors.api_keys import check_key
from nbp_async._vendors.profiles import Profile, find_profile


class ClientAccounts:
    """The accounts of a client, each with its endpoint.

    Attributes:
        profile: The endpoint; of several, the first.
        model: What is asked unless a call names another one.
        limits: What all accounts may do together, and what they share.
        route: Which one of several is asked first.

    Raises:
        ConfigError: They cannot be asked so. Nothing was sent.
    """

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._several = several_accounts(options)
        if self._several:
            self.profile, self._key = self._several[0].profile, self._several[0].key
        else:
            self.profile = with_price(find_profile(options.single or "google"), options.price)
            self._key = check_key(options.api_key, self.profile)
        self.model = options.model or self.profile.model
        self.limits = _together(self._several, options.limits or Limits())
        self.route: RouteName = options.route or "balanced"
        self._unpriced: set[str] = set()

    @property
    def all(self) -> tuple[EndpointAccount, ...]:
        """Each account; the only one has no name."""
        return self._several or (only_account(self.profile, self._key, self._options),)

    @property
    def owner(self) -> str:
        """Who pays, as part of a job's identity."""
        return self.all[0].owner

    @property
    def name(self) -> str:
        """Who is asked."""
        return " + ".join(account.name or account.profile.name for account in self.all)

    @property
    def shown_key(self) -> str:
        """Which key it is, and where it is from; "" of several accounts."""
        return "" if self._several else f"key {self._key} from {self._key.origin}"

    def move_to(self, profile: Profile) -> None:
        """The endpoint is there from now on."""
        self.profile = with_price(profile, self._options.price)

    def via(self, options: ImageOptions) -> Via:
        """How the answers of a call reach us.

        Raises:
            ConfigError: These endpoints, or this call, cannot do it so. Nothing was sent.
        """
        return choose_via(options, self.all, self._options.webhook)

    def keeps_links(self, options: ImageOptions) -> bool:
        """The results of a call are links, whoever answers it."""
        full, via = with_defaults(options, self._options), self.via(options)
        return all(are_links_kept(full, account.profile, via) for account in self.all)

    def prices(self, options: ImageOptions) -> PromptPrices:
        """What the images of a call cost.

        Raises:
            ConfigError: They are not sold so, or have no price that a limit could count.
        """
        full, via = with_defaults(options, self._options), self.via(options)
        model = full.model or self.model
        if self._several:
            return shared_prices(self._several, model, full, self._unpriced)
        return job_prices(self.profile, model, full, via, self.limits, self._unpriced)


def _together(accounts: tuple[EndpointAccount, ...], limits: Limits) -> Limits:
    if not accounts:
        return limits
    together = sum(account.limits.most_in_flight for account in accounts)
    return dataclasses.replace(limits, max_in_flight=together, rate=None, burst=1, spend=None)
