"""`nbp auth`: the key that the command line uses where the environment holds none."""

import asyncio
import os
import sys
from pathlib import Path

import click

from nbp_async import ConfigError, Profile
from nbp_async._config import Secret
from nbp_async._keys import checked_key, doubt
from nbp_async._words import printable
from nbp_async.cli import codes
from nbp_async.cli.checks import Finding
from nbp_async.cli.keyfile import (
    Kept,
    chosen_key,
    chosen_profile,
    key_file,
    origin_of,
    read_keys,
    write_keys,
)
from nbp_async.cli.output import people, say

_WHERE = click.option(
    "--endpoint",
    metavar="NAME|URL|FILE",
    help="Whose key. Default: what the environment says, else Google.",
)


@click.group()
def auth() -> None:
    """Keep a key for the command line, in a file that only you can read.

    The environment goes first: NBP_API_KEY, then the vendor's own variable. A key is sent to the
    host that it was set for, and to no other.
    """


@auth.command("set")
@_WHERE
@click.option("--check/--no-check", default=True, show_default=True,
              help="Ask the vendor first whether it takes the key, which costs nothing. One that "
              "it refuses is not kept.")  # fmt: skip
def set_key(endpoint: str | None, check: bool) -> None:
    """Ask for a key, and keep it. Where stdin is no terminal, its first line is the key."""
    profile = _profile(endpoint)
    if sys.stdin.isatty():
        given = click.prompt(f"API key for {profile.name} (hidden)", hide_input=True, err=True)
    else:
        given = sys.stdin.readline()
    if not given.strip():
        raise codes.NoKey("No key was given. Nothing was kept.")
    path = key_file(os.environ)
    try:
        key = checked_key(given, profile, "what was typed")
        keys = read_keys(path)
        found = _asked(profile, key) if check else None
        keys[origin_of(profile)] = Kept(endpoint=_name_of(endpoint, profile), key=key)
        write_keys(path, keys)
    except ConfigError as exc:
        raise codes.NoKey(codes.words_of(exc)) from exc
    except OSError as exc:
        raise codes.NoKey(f"{path}: {exc.strerror}. Nothing was kept.") from exc
    console = people()
    say(console, f"kept in {path} (0600) as {key}, for {origin_of(profile)}")
    if found is not None and found.state == "ok":
        say(console, f"accepted {found.says}")
    else:
        odd = doubt(key, profile)
        why = "as was asked" if found is None else found.says
        say(console, f"not checked: {why}.{f' {odd}' if odd else ''}")
    hidden = _from_environment(profile)
    if hidden:
        say(console, f"{hidden} is set, and goes before it.")


def _asked(profile: Profile, key: Secret) -> Finding:
    """What the vendor says of the key; its list of models is asked for, which is free.

    Raises:
        NoKey: It refuses the key.
    """
    from nbp_async.cli.reach import taken  # here, for it loads an HTTP client

    found = asyncio.run(taken(profile, key))
    if found.state == "bad":
        odd = doubt(key, profile)
        raise codes.NoKey(
            f"{found.says}. Nothing was kept, and the question cost nothing. "
            f"{f'{odd} ' if odd else ''}Is it another vendor's key? Say whose with --endpoint "
            "(nbp help keys). To keep it all the same: --no-check."
        )
    return found


@auth.command(short_help="Say which key is used, and where it comes from.")
@_WHERE
def status(endpoint: str | None) -> None:
    """Say which key is used for which endpoint, where it comes from, and what else is kept."""
    profile = _profile(endpoint)
    try:
        key = chosen_key(profile, os.environ)
        kept = read_keys(key_file(os.environ))
    except ConfigError as exc:
        raise codes.NoKey(codes.words_of(exc)) from exc
    click.echo(f"{profile.name}: {key} from {key.origin}, sent to {origin_of(profile)}")
    for origin, entry in kept.items():
        if origin != origin_of(profile):
            click.echo(f"kept besides: {entry.key} for {printable(origin)}")


@auth.command()
@_WHERE
def remove(endpoint: str | None) -> None:
    """Forget a key that was kept. The vendor knows it still: revoke it there if it leaked."""
    profile, path = _profile(endpoint), key_file(os.environ)
    try:
        keys = read_keys(path)
        if keys.pop(origin_of(profile), None) is None:
            raise codes.Misuse(f"{path} holds no key for {origin_of(profile)}.")
        write_keys(path, keys)
    except ConfigError as exc:
        raise codes.NoKey(codes.words_of(exc)) from exc
    except OSError as exc:
        raise codes.NoKey(f"{path}: {exc.strerror}. Nothing was removed.") from exc
    click.echo(f"removed from {path}", err=True)
    hidden = _from_environment(profile)
    if hidden:
        click.echo(f"{hidden} is still set in this shell.", err=True)


def _profile(endpoint: str | None) -> Profile:
    try:
        return chosen_profile(endpoint, os.environ)
    except ConfigError as exc:
        raise codes.Misuse(codes.words_of(exc)) from exc


def _name_of(endpoint: str | None, profile: Profile) -> str:
    """What finds the endpoint again, from any folder."""
    if endpoint and endpoint.endswith(".toml"):
        return str(Path(endpoint).resolve())
    return profile.base_url if profile.name in profile.base_url else profile.name


def _from_environment(profile: Profile) -> str:
    """The variable that holds a key for it, or nothing."""
    names = ("NBP_API_KEY", *profile.key_names)
    return next((name for name in names if os.environ.get(name, "").strip()), "")
