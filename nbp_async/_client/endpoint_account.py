"""One endpoint and the account that pays for it: what a client is for, and may have several of."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._client.account import Account
from nbp_async._client.batch_vendors import has_batches, refuse_signature_scheme
from nbp_async._client.call_prices import with_price
from nbp_async._client.callbacks import why_no_callback
from nbp_async._client.client_options import ClientOptions, SharedOptions
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._journal.identity import SEVERAL
from nbp_async._models.outcomes import Via
from nbp_async._models.settings import Limits
from nbp_async._transports.extra_headers import ExtraHeaders
from nbp_async._vendors.api_keys import check_key, key_of_account
from nbp_async._vendors.catalog import plain_name
from nbp_async._vendors.profiles import Profile, find_profile
from nbp_async._webhooks.webhook import Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointAccount:
    """An endpoint, a key, and the name of the account that the key belongs to.

    Attributes:
        profile: Address, prices and billing rules.
        key: The key.
        owner: Who pays, as part of a job's identity: the account's name, or what stands for the
            key. All accounts of a client have one.
        limits: How hard it may be pressed.
        headers: What each request to its host carries as well.
        name: What it is called among several; "" for the only one.
        models: What models are called there, where that is not found by itself.
    """

    profile: Profile
    key: Secret
    owner: str
    limits: Limits
    headers: dict[str, str]
    name: str = ""
    models: Mapping[str, str] = field(default_factory=dict)

    def spelling(self, model: str) -> str:
        """What a model is called at this endpoint."""
        if model in self.models:
            return self.models[model]
        usual = self.profile.model
        return usual if plain_name(model) == plain_name(usual) else model


def only_account(profile: Profile, key: Secret, options: SharedOptions) -> EndpointAccount:
    """The account of a client that has one."""
    if options.account is not None:
        who = options.account
    else:
        print_of_key = hashlib.sha256(b"nbp_async account\0" + key.reveal_first().encode())
        who = print_of_key.hexdigest()[:16]
    return EndpointAccount(
        profile=profile,
        key=key,
        owner=f"{profile.name}:{who}",
        limits=options.limits or Limits(),
        headers=options.added_headers,
    )


def several_accounts(options: ClientOptions) -> tuple[EndpointAccount, ...]:
    """The accounts of a client that was given a list; empty for one that was not.

    Raises:
        ConfigError: They cannot work together. Nothing was sent.
    """
    given = options.accounts
    if not given:
        if options.route is not None or isinstance(options.endpoint, list | tuple):
            raise ConfigError(
                "chooses between accounts: give a list of them, Client([Account(...), ...]).",
                option="route" if options.route else "endpoint",
                value=options.route,
            )
        return ()
    for name in ("api_key", "price", "headers", "webhook"):
        if getattr(options, name) is not None:
            raise ConfigError(_ONE_ACCOUNT[name], option=name)
    accounts = tuple(_several(account, options) for account in given)
    _check_names([account.name for account in accounts])
    models = {plain_name(account.profile.model) for account in accounts}
    if options.model is None and len(models) > 1:
        raise ConfigError(
            f"the accounts make images with different models ({', '.join(sorted(models))}): say "
            "which one calls mean, and what it is called elsewhere: Account(models={...}).",
            option="model",
        )
    return accounts


_ONE_ACCOUNT = {
    "api_key": "each account has its own: Account(endpoint, api_key).",
    "price": "each account has its own: Account(price=...).",
    "headers": "each account has its own: Account(headers=...).",
    "webhook": "tasks and batch jobs go to one account: give its endpoint instead of a list.",
}


def _several(account: Account, options: ClientOptions) -> EndpointAccount:
    profile = with_price(find_profile(account.endpoint or "google"), account.price)
    if not profile.held:
        raise ConfigError(
            f"{profile.name} does not hold calls open, and several accounts are asked by held "
            "calls alone: give it to a client of its own.",
            option="endpoint",
        )
    headers = account.headers
    return EndpointAccount(
        profile=profile,
        key=check_key(account.api_key, profile),
        owner=SEVERAL if options.account is None else f"{SEVERAL}:{options.account}",
        limits=account.limits or options.limits or Limits(),
        headers=headers.reveal() if isinstance(headers, ExtraHeaders) else {},
        name=account.name or profile.name,
        models=account.models,
    )


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                "two accounts are called so: name them, Account(name=...).",
                option="name",
                value=name,
            )


def with_keys(accounts: Sequence[Account], environ: Mapping[str, str]) -> list[Account]:
    """The accounts, each with the key that the environment has for it unless it has its own.

    Raises:
        ConfigError: There is none. Nothing was sent.
    """
    return [
        account
        if account.api_key is not None
        else replace(account, api_key=_found(account, environ))
        for account in accounts
    ]


def _found(account: Account, environ: Mapping[str, str]) -> Secret:
    return key_of_account(environ, find_profile(account.endpoint or "google"))


def choose_via(
    options: ImageOptions, accounts: Sequence[EndpointAccount], webhook: Webhook | None
) -> Via:
    """How the answers of a call reach us: as it was asked, else as the endpoint can.

    Raises:
        ConfigError: This endpoint, or this call, cannot do it so. Nothing was sent.
    """
    if accounts[0].name:
        if options.via not in (None, "held"):
            raise ConfigError(_NOT_HELD, option="via", value=options.via)
        return "held"
    profile = accounts[0].profile
    via: Via = options.via or ("held" if profile.held else "poll")
    problem = _why_not(via, options, profile, webhook)
    if problem:
        raise ConfigError(problem, option="via", value=via)
    return via


_NOT_HELD = "several accounts are asked by held calls alone: give one endpoint instead of the list."


def _why_not(via: Via, options: ImageOptions, profile: Profile, webhook: Webhook | None) -> str:
    if via == "held":
        held = f'{profile.name} does not hold calls open: it takes tasks, with via="poll".'
        return "" if profile.held else held
    if via == "batch":
        return _why_no_batch(options, profile) or refuse_signature_scheme(profile, webhook)
    if profile.tasks is None:
        return (
            f"{profile.name} is not known to take tasks. If it does, describe it: "
            "Profile(tasks=TaskTable(...)), or a TOML file (nbp help service-files)."
        )
    return why_no_callback(profile, webhook) if via == "webhook" else ""


def _why_no_batch(options: ImageOptions, profile: Profile) -> str:
    if not isinstance(options, CallOptions):
        return "a batch job makes many images: gen.many([prompt], ...)."
    if not has_batches(profile):
        return f"{profile.name} is not known to have a batch API. If it has: Profile(batches=True)."
    if not options.has_journal:
        return 'a batch takes hours, so it needs a run that can be resumed: give out="folder".'
    return ""
