"""`nbp users`: who may ask a gateway, and for how much."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nbp_async.cli import exit_codes
from nbp_async.cli.shared_options import add_options

_WHERE = add_options(
    click.option("--config", type=click.Path(path_type=Path), help="The gateway's TOML file."),
    click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        help="The gateway's folder; default gateway.",
    ),
    click.option("--journal", metavar="RUN", help="Its run, where that is in PostgreSQL."),
)


@click.group()
def users() -> None:
    """Give tokens to users of a gateway (nbp serve), and take them back.

    A token is shown once. What is kept of it is its hash.
    """


@users.command()
@click.argument("name")
@click.option("--operator", is_flag=True, help="May see all users.")
@_WHERE
def add(name: str, operator: bool, **where: Any) -> None:
    """Add a user, and print the token."""
    with _opened(where) as found:
        click.echo(found.add(name, "operator" if operator else "user"))


@users.command("list")
@_WHERE
def list_users(**where: Any) -> None:
    """Name the users."""
    with _opened(where) as found:
        for name, role, revoked in found.names():
            click.echo("\t".join([name, role, *(["revoked"] if revoked else [])]))


@users.command()
@click.argument("name")
@click.option("--keep-old", is_flag=True, help="Let the old tokens work as well.")
@_WHERE
def token(name: str, keep_old: bool, **where: Any) -> None:
    """Print a new token in place of the old ones."""
    with _opened(where) as found:
        click.echo(found.new_token(name, keep_old=keep_old))


@users.command()
@click.argument("name")
@_WHERE
def revoke(name: str, **where: Any) -> None:
    """Take a user's tokens back. Images that are being made go on."""
    with _opened(where) as found:
        found.revoke(name)


@users.command()
@click.argument("name")
@click.argument("dollars", required=False)
@click.option(
    "--per",
    type=click.Choice(["day", "month", "all"]),
    default="all",
    show_default=True,
    help="For how long, by the day of submission (UTC).",
)
@_WHERE
def budget(name: str, dollars: str | None, per: str, **where: Any) -> None:
    """Set what a user may spend, in US dollars; without DOLLARS there is no limit."""
    with _opened(where) as found:
        found.set_budget(name, dollars, per)


@contextmanager
def _opened(where: dict[str, Any]) -> Iterator[Any]:
    from nbp_async.gateway import open_users

    with (
        exit_codes.errors_as(exit_codes.InvalidUseError),
        open_users(_settings(where)) as found,
    ):
        yield found


def _settings(where: dict[str, Any]) -> Any:
    from nbp_async.gateway import GatewaySettings

    config = where.pop("config")
    given = {name: value for name, value in where.items() if value is not None}
    return GatewaySettings.read(config, **given) if config else GatewaySettings(**given)
