"""A client for the endpoint that a command was given, with the key for it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from nbp_async import Client, Limits, Listener, check_key
from nbp_async.cli import exit_codes
from nbp_async.cli.account_options import AccountChoice, accounts_in
from nbp_async.cli.key_file import chosen_key, chosen_profile
from nbp_async.cli.shared_options import ServiceOptions
from nbp_async.cli.table_approval import key_to_send
from nbp_async.cli.webhook_options import WebhookSettings

_ONE = AccountChoice()


def service_client(
    service: ServiceOptions,
    *,
    accounts: AccountChoice = _ONE,
    sends: bool = True,
    limits: Limits | None = None,
    listeners: Sequence[Listener] = (),
    account: str | None = None,
    webhook: WebhookSettings | None = None,
) -> Client:
    """A client for the endpoint, with the key of the environment, or else of the key file.

    Args:
        service: The endpoint, and what is known of it.
        accounts: Several accounts instead of it.
        sends: The key will be sent there: ask first where a file says so.
        limits: How hard it is pressed.
        listeners: Of the client.
        account: A name for the account that pays; None for the key's.
        webhook: Where tasks call back.

    Raises:
        ConfigError: The endpoint is unknown, or the options cannot work with it.
        ApiKeyError: The key is missing, or cannot be sent in a header.
    """
    shared = {"limits": limits, "listeners": listeners, "account": account}
    if accounts.file is not None:
        return _accounts_client(service, accounts.file, sends=sends, route=accounts.route, **shared)
    if accounts.route is not None:
        raise exit_codes.InvalidUseError("--route chooses between the accounts of --accounts FILE.")
    return _endpoint_client(service, webhook, sends=sends, **shared)


def _endpoint_client(
    service: ServiceOptions, webhook: WebhookSettings | None, *, sends: bool, **shared: Any
) -> Client:
    profile = chosen_profile(service.endpoint, os.environ)
    hook = None if webhook is None else webhook.for_profile(profile)
    choose_key = key_to_send if sends else chosen_key
    with exit_codes.errors_as(exit_codes.ApiKeyError):
        key = check_key(choose_key(profile, os.environ), profile)
    return Client.from_env(
        endpoint=profile,
        api_key=key,
        model=service.model,
        price=service.price,
        allow_http=service.allow_http,
        **service.network,
        **shared,
        webhook=hook,
    )


def _accounts_client(
    service: ServiceOptions, path: Path, *, sends: bool, route: str | None, **shared: Any
) -> Client:
    """A client for the accounts of a file."""
    given = {
        "--endpoint": service.endpoint,
        "--price": service.price,
        "--header": service.network.get("headers"),
    }
    if alone := [name for name, value in given.items() if value is not None]:
        raise exit_codes.InvalidUseError(
            f"{alone[0]} is for one endpoint: {path} says it for each account."
        )
    return Client(
        accounts_in(path, sends=sends),
        route=cast("Any", route),
        model=service.model,
        allow_http=service.allow_http,
        **service.network,
        **shared,
    )
