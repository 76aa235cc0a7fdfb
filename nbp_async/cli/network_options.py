"""The options of commands that send something: by which proxy, whom to trust, which headers."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from nbp_async import ClientOptions, option_fields
from nbp_async.cli.value_completion import complete_file

Command = TypeVar("Command", bound=Callable[..., Any])
ClientSettings = dict[str, Any]
"""Options of `Client` by name: those that `fetch_run` has as well, and headers."""

_FIELDS = option_fields(ClientOptions)
_PROXY = click.option("--proxy", metavar="URL", help=_FIELDS["proxy"].summary)
_TRUST_ENV = click.option("--trust-env", is_flag=True, help=_FIELDS["trust_env"].summary)
_CA = click.option("--ca", metavar="FILE", shell_complete=complete_file, help=_FIELDS["ca"].summary)
_CERTIFICATES = click.option(
    "--certificates",
    type=click.Choice(_FIELDS["certificates"].choices),
    help="system: trust what this machine's own store does.",
)
_HEADER = click.option(
    "--header",
    "headers",
    metavar="NAME:VALUE",
    multiple=True,
    help="A header for the endpoint's host, which a gateway before it wants; may be given more "
    "than once.",
)


def network_options(command: Command) -> Command:
    """`--proxy`, `--trust-env`, `--ca`, `--certificates`; the command gets them as `network`."""

    @functools.wraps(command)
    def with_network(**given: Any) -> Any:
        network = {name: given.pop(name) for name in ("proxy", "trust_env", "ca", "certificates")}
        return command(network=network, **given)

    return cast("Command", _PROXY(_TRUST_ENV(_CA(_CERTIFICATES(with_network)))))


def endpoint_network_options(command: Command) -> Command:
    """The same, and `--header`, for commands that ask the endpoint."""

    @functools.wraps(command)
    def with_headers(headers: tuple[str, ...], network: ClientSettings, **others: Any) -> Any:
        return command(network={**network, "headers": _headers(headers)}, **others)

    return network_options(cast("Command", _HEADER(with_headers)))


def _headers(given: tuple[str, ...]) -> dict[str, str] | None:
    """The headers by name; messages do not repeat what was given, which may be secret."""
    pairs = [text.partition(":") for text in given]
    names = [name.strip() for name, _, _ in pairs]
    if not all(colon for _, colon, _ in pairs):
        raise click.BadParameter("write NAME:VALUE.", param_hint="--header")
    if len({name.lower() for name in names}) < len(names):
        raise click.BadParameter("one header is there twice.", param_hint="--header")
    values = [value.strip() for _, _, value in pairs]
    return dict(zip(names, values, strict=True)) or None
