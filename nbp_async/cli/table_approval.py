"""Before a key goes where a file says: tell who gets it, and ask once.

A file that describes a service may come from somebody else, and it names both the variable and the
host. The answer is remembered for exactly this table, variable and host, beside the keys that are
stored. Who stored a key for the host, with `nbp auth set`, has said it already.
"""

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import click

from nbp_async import ConfigError, Profile, Secret
from nbp_async.cli.key_file import chosen_key, key_file
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.display.formats import printable

TRUST_VARIABLE = "NBP_TRUST_TABLE"


def key_to_send(profile: Profile, environ: Mapping[str, str]) -> Secret:
    """The key for this endpoint, which goes there next; see `chosen_key`.

    Raises:
        ConfigError: There is none, or nobody has agreed to what the table says. Nothing was sent.
    """
    key = chosen_key(profile, environ)
    if profile.file and key.origin in profile.key_variables:
        agree(profile, key.origin, environ)
    return key


def agree(profile: Profile, variable: str, environ: Mapping[str, str]) -> None:
    """Ask whether the variable may go where `profile.file` says, unless that was agreed to.

    Raises:
        ConfigError: It may not. Nothing was sent.
    """
    file, where = printable(profile.file), printable(profile.origin)
    path, line = key_file(environ).with_name("tables"), _line(profile, variable)
    trusted = [host.strip() for host in environ.get(TRUST_VARIABLE, "").split(",")]
    if profile.host not in trusted and line not in _lines(path):
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ConfigError(
                f"{file} has {variable} sent to {where}, and you have not agreed to that yet.",
                hint="On a terminal you are asked once; elsewhere, if you trust the file, set "
                f"{TRUST_VARIABLE}={profile.host}.",
            )
        question = f"{file} has the key in {variable} sent to {where}. Send it there?"
        if not click.confirm(question, default=False, err=True):
            raise ConfigError(f"{variable} is not sent to {where}.")
        _remember(path, line)
    print_line(stderr_console(), f"{variable} goes to {where}, as {file} says.")


def _line(profile: Profile, variable: str) -> str:
    content = repr(replace(profile, file="")).encode("utf-8", "surrogatepass")
    return f"{hashlib.sha256(content).hexdigest()} {variable} {profile.origin}"


def _lines(path: Path) -> list[str]:
    """What was agreed to; nothing, if others could have written it."""
    try:
        with path.open("rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o022:
                return []
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _remember(path: Path, line: str) -> None:
    """Add the line. If that fails, it is asked again."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as exc:
        print_line(stderr_console(), f"{path}: {exc.strerror}. You will be asked again.")
