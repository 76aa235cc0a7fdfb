"""`--accounts FILE`: several accounts at once, each with the key that is named for it."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from nbp_async import Account, ClientOptions, Profile, Secret, find_profile, read_accounts
from nbp_async.cli import exit_codes
from nbp_async.cli.key_file import chosen_key
from nbp_async.cli.shared_options import add_options, library_option
from nbp_async.cli.table_approval import agree, key_to_send
from nbp_async.cli.value_completion import complete_file

Command = TypeVar("Command", bound=Callable[..., Any])
_KEY = "NBP_API_KEY"

_options = add_options(
    click.option(
        "--accounts",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        shell_complete=complete_file,
        help="Several accounts instead of one endpoint: a .toml file with a table for each "
        "(nbp help accounts).",
    ),
    library_option(ClientOptions, "route", more="With --accounts."),
)


@dataclass(frozen=True, kw_only=True)
class AccountChoice:
    """What `--accounts` and `--route` say; None for what was not given."""

    file: Path | None = None
    route: str | None = None


def account_options(command: Command) -> Command:
    """`--accounts` and `--route`; the command gets them as `accounts`."""

    @functools.wraps(command)
    def with_accounts(accounts: Path | None, route: str | None, **others: Any) -> Any:
        return command(accounts=AccountChoice(file=accounts, route=route), **others)

    return cast("Command", _options(with_accounts))


def accounts_in(path: Path, *, sends: bool) -> list[Account]:
    """The accounts of a file, each with its key; `sends`: the keys go there next.

    Raises:
        ConfigError: The file is wrong, a key is missing, or nobody has agreed to where it goes.
    """
    with exit_codes.errors_as(exit_codes.ApiKeyError):
        return [_with_key(account, path, sends=sends) for account in read_accounts(path)]


def _with_key(account: Account, path: Path, *, sends: bool) -> Account:
    profile = find_profile(account.endpoint or "google")
    named = account.api_key
    if named is not None:
        for key in named if isinstance(named, Sequence) and not isinstance(named, str) else ():
            if sends and isinstance(key, Secret):
                _agree(profile, key.origin, path)
        return account
    environ = {name: value for name, value in os.environ.items() if name != _KEY}
    choose = key_to_send if sends else chosen_key
    return replace(account, api_key=choose(profile, environ))


def _agree(profile: Profile, variable: str, path: Path) -> None:
    """The file names both the variable and the host: the same rule as for a service's table."""
    if variable not in profile.key_names:
        agree(replace(profile, file=str(path)), variable, os.environ)
