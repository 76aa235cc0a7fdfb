"""`nbp auth`: the key that the command line uses if the environment holds none."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from nbp_async import ClientOptions, Profile, Secret, check_key, key_variable, key_warning
from nbp_async.cli import exit_codes
from nbp_async.cli.key_file import (
    StoredKey,
    chosen_key,
    chosen_profile,
    key_file,
    read_keys,
    write_keys,
)
from nbp_async.cli.machine_checks import CheckResult
from nbp_async.cli.network_options import ClientSettings, endpoint_network_options
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.shared_options import endpoint_option
from nbp_async.display.formats import printable

_endpoint_option = endpoint_option("Whose key. Default: what the environment says, else Google.")


@click.group()
def auth() -> None:
    """Store a key for the command line, in a file that only you can read.

    The environment comes first: NBP_API_KEY, then the vendor's own variable. A key is sent only to
    the host that it was stored for.
    """


@auth.command("set")
@_endpoint_option
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="First ask the vendor whether it accepts the key, at no cost. A key that it refuses is "
    "not stored.",
)
@endpoint_network_options
def set_key(endpoint: str | None, check: bool, network: ClientSettings) -> None:
    """Ask for a key, and store it. If stdin is not a terminal, its first line is the key."""
    profile = _profile(endpoint)
    with exit_codes.errors_as(exit_codes.InvalidUseError):
        options = ClientOptions(**network)
        if check:
            options.tls_context()  # before the key is typed, if the file is missing
    if sys.stdin.isatty():
        question = f"API key for {profile.name}, sent to {profile.origin} (hidden)"
        given = click.prompt(question, hide_input=True, err=True)
    else:
        given = sys.stdin.readline()
    if not given.strip():
        raise exit_codes.ApiKeyError("No key was given. Nothing was stored.")
    path = key_file(os.environ)
    with _key_errors(path, "Nothing was stored."):
        key = check_key(given, profile, "what was typed")
        keys = read_keys(path)
        result = _check_with_vendor(profile, key, options) if check else None
        keys[profile.origin] = StoredKey(endpoint=_name_of(endpoint, profile), key=key)
        write_keys(path, keys)
    console = stderr_console()
    print_line(console, f"stored in {path} (0600) as {key}, for {profile.origin}")
    if result is not None and result.state == "ok":
        print_line(console, f"accepted {result.message}")
    else:
        reason = "--no-check" if result is None else result.message
        print_line(console, f"not checked: {reason}. {key_warning(key, profile)}".rstrip())
    variable = _variable_of(profile)
    if variable:
        print_line(console, f"{variable} is set, and is used instead.")


@auth.command(short_help="Show which key is used, and where it comes from.")
@_endpoint_option
def status(endpoint: str | None) -> None:
    """Show which key is used for which endpoint, where it comes from, and other stored keys."""
    profile, path = _profile(endpoint), key_file(os.environ)
    with _key_errors(path, ""):
        key = chosen_key(profile, os.environ)
        stored = read_keys(path)
    click.echo(f"{profile.name}: {key} from {key.origin}, sent to {profile.origin}")
    for origin, entry in stored.items():
        if origin != profile.origin:
            click.echo(f"also stored: {entry.key} for {printable(origin)}")


@auth.command()
@_endpoint_option
def remove(endpoint: str | None) -> None:
    """Remove a stored key. It still works at the vendor: revoke it there if it leaked."""
    profile, path = _profile(endpoint), key_file(os.environ)
    with _key_errors(path, "Nothing was removed."):
        keys = read_keys(path)
        if keys.pop(profile.origin, None) is None:
            raise exit_codes.InvalidUseError(f"{path} holds no key for {profile.origin}.")
        write_keys(path, keys)
    click.echo(f"removed from {path}", err=True)
    variable = _variable_of(profile)
    if variable:
        click.echo(f"{variable} is still set in this shell.", err=True)


def _check_with_vendor(profile: Profile, key: Secret, options: ClientOptions) -> CheckResult:
    """Whether the vendor accepts the key, asked at no cost.

    Raises:
        ApiKeyError: It refuses the key.
    """
    from nbp_async.cli.endpoint_checks import ask_about_key  # here: it imports an HTTP client

    result = asyncio.run(ask_about_key(profile, key, options))
    if result.state != "bad":
        return result
    words = (
        f"{result.message}. Nothing was stored, and the check cost nothing.",
        key_warning(key, profile),
        "Is it another vendor's key? Name the vendor with --endpoint (nbp help keys).",
        "To store it anyway: --no-check.",
    )
    raise exit_codes.ApiKeyError(" ".join(filter(None, words)))


@contextmanager
def _key_errors(path: Path, effect: str) -> Iterator[None]:
    """Turn errors about keys and the file at `path` into the ending of the command."""
    try:
        with exit_codes.errors_as(exit_codes.ApiKeyError):
            yield
    except OSError as exc:
        raise exit_codes.ApiKeyError(f"{path}: {exc.strerror}. {effect}".rstrip()) from exc


def _profile(endpoint: str | None) -> Profile:
    with exit_codes.errors_as(exit_codes.InvalidUseError):
        return chosen_profile(endpoint, os.environ)


def _name_of(endpoint: str | None, profile: Profile) -> str:
    """A name that finds the endpoint again, from any folder."""
    if endpoint and endpoint.endswith(".toml"):
        return str(Path(endpoint).resolve())
    return profile.base_url if profile.name in profile.base_url else profile.name


def _variable_of(profile: Profile) -> str:
    """The environment variable that holds its key, or ""."""
    return key_variable(os.environ, profile)
