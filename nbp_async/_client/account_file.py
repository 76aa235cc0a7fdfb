"""A TOML file of accounts: a table for each, named as the account is."""

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from nbp_async._base.errors import ConfigError
from nbp_async._base.secret import Secret
from nbp_async._base.suggestions import suggest
from nbp_async._base.text import printable
from nbp_async._base.toml_text import read_toml
from nbp_async._client.account import OF_THE_CLIENT, Account
from nbp_async._models.settings import Limits
from nbp_async._vendors.api_keys import check_key, named_key
from nbp_async._vendors.profiles import find_profile

_OF_LIMITS = tuple(one.name for one in fields(Limits) if one.name not in OF_THE_CLIENT)
_OWN = ("endpoint", "keys", "models", "price", "headers")


def read_accounts(path: str | Path, environ: Mapping[str, str] | None = None) -> list[Account]:
    """The accounts that a TOML file describes: a table for each, whose name is the account's.

    ```toml
    [google]
    max_in_flight = 200

    [relay]
    endpoint = "https://relay.example.com/v1"
    keys = ["RELAY_KEY", "RELAY_KEY_2"]
    price = "0.05"
    ```

    `endpoint` is the table's name unless it is given. `keys` are names of environment variables; an
    account without takes what the environment has for its endpoint, in `Client.from_env`. Further
    lines are those of `Account` and of its `Limits`.

    Args:
        path: The file.
        environ: Instead of `os.environ`.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong. Nothing was sent.
    """
    environ = os.environ if environ is None else environ
    where, tables = printable(str(path)), read_toml(Path(path))
    if not tables:
        raise ConfigError(f"{where}: there is no account in it: [google] begins one.")
    return [_account(f"{where}, [{name}]", name, table, environ) for name, table in tables.items()]


def _account(where: str, name: str, table: Any, environ: Mapping[str, str]) -> Account:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: an account is a table, and its lines stand below its name.")
    known = (*_OWN, *_OF_LIMITS)
    for line in table:
        if line not in known:
            raise ConfigError(
                f"{where}: no line is called {line!r}: {suggest(line, known)}It has "
                f"{', '.join(known)}."
            )
    limits = {line: table[line] for line in _OF_LIMITS if line in table}
    try:
        endpoint = table.get("endpoint", name)
        return Account(
            endpoint,
            _keys(endpoint, table["keys"], environ) if "keys" in table else None,
            name=name,
            models=table.get("models", {}),
            price=table.get("price"),
            headers=table.get("headers"),
            limits=Limits(**limits) if limits else None,
        )
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from None


def _keys(endpoint: str, names: Any, environ: Mapping[str, str]) -> list[Secret]:
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ConfigError(
            'give names of environment variables, such as ["RELAY_KEY"].', option="keys"
        )
    profile = find_profile(endpoint)
    return [check_key(named_key(environ, profile, name), profile, name) for name in names]
