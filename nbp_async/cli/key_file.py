"""The keys that `nbp auth set` stores: one file, which only its owner can read.

A key belongs to the origin (scheme, host and port) that it was stored for, and is sent to no other.
The library itself does not read this file: only the command line does, after the environment.
"""

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_path

from nbp_async import (
    ConfigError,
    Profile,
    Secret,
    check_key,
    endpoint_from_env,
    find_profile,
    key_from_env,
    key_variable,
)

_PLACES = ("NBP_BASE_URL", "NBP_ENDPOINT")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """One key of the file, and the endpoint that it was stored for."""

    endpoint: str
    key: Secret


def key_file(environ: Mapping[str, str]) -> Path:
    """Where keys are stored: NBP_KEY_FILE, else `nbp/keys.toml` in the user's configuration."""
    named = environ.get("NBP_KEY_FILE", "").strip()
    return Path(named) if named else user_config_path("nbp", appauthor=False) / "keys.toml"


def read_keys(path: Path) -> dict[str, StoredKey]:
    """The keys by origin; none if there is no file.

    Raises:
        ConfigError: Others can read the file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            # The open file is checked, not its path: nobody can exchange it in between.
            if os.name == "posix":
                _refuse_shared(path, os.fstat(file.fileno()))
            entries = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as exc:
        if isinstance(exc, ConfigError):
            raise
        # Not the message of the parser: it may quote the line that holds the key.
        raise ConfigError(
            f"{path} cannot be read ({type(exc).__name__}).",
            hint="Remove it, and store the key again with `nbp auth set`.",
        ) from None
    keys = {}
    for origin, entry in entries.items():
        if isinstance(entry, dict) and isinstance(key := entry.get("key"), str) and key:
            keys[origin] = StoredKey(
                endpoint=str(entry.get("endpoint", origin)), key=Secret(key, str(path))
            )
    return keys


def _refuse_shared(path: Path, facts: os.stat_result) -> None:
    if facts.st_mode & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        raise ConfigError(
            f"{path} holds a key, and other users can read it ({mode:04o}).",
            hint=f"chmod 600 {path}",
        )


def write_keys(path: Path, keys: Mapping[str, StoredKey]) -> None:
    """Replace the file; without a key it is removed.

    Raises:
        OSError: It cannot be written. The old file is unchanged.
    """
    if not keys:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = ["# Keys of nbp: `nbp auth set`, `nbp auth remove`. Do not share this file.\n"]
    for origin, stored in keys.items():
        lines += [f"\n[{_quoted(origin)}]\n", f"endpoint = {_quoted(stored.endpoint)}\n"]
        lines += [f"key = {_quoted(stored.key.reveal())}\n"]
    # Written beside it and renamed: a crash leaves the old file or the new one, never a half.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".keys-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _quoted(text: str) -> str:
    """A TOML string. A JSON string is one, except for DEL and surrogate pairs."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def chosen_profile(endpoint: str | None, environ: Mapping[str, str]) -> Profile:
    """The named endpoint, else that of the environment, else that of the first stored key.

    Raises:
        ConfigError: The endpoint is unknown, or the key file cannot be read.
    """
    names = (*_PLACES, "NBP_API_KEY")
    if endpoint or any(environ.get(name, "").strip() for name in names):
        return find_profile(endpoint or endpoint_from_env(environ))
    usual = find_profile(endpoint_from_env(environ))
    if any(environ.get(name, "").strip() for name in usual.key_names):
        return usual
    keys = read_keys(key_file(environ))
    if not keys or usual.origin in keys:
        return usual
    return find_profile(next(iter(keys.values())).endpoint)


def known_keys(environ: Mapping[str, str]) -> list[Secret]:
    """The key of the usual endpoint, if there is one: services may repeat it."""
    with suppress(ConfigError):
        return [chosen_key(chosen_profile(None, environ), environ)]
    return []


def chosen_key(profile: Profile, environ: Mapping[str, str]) -> Secret:
    """The key for this endpoint: from the environment, else from the file.

    Raises:
        ConfigError: It is missing, or cannot be sent in a header. Nothing was sent.
    """
    names = profile.key_variables
    if key_variable(environ, profile):
        return key_from_env(environ, profile)
    path = key_file(environ)
    stored = read_keys(path).get(profile.origin)
    if stored is None and any(environ.get(name, "").strip() for name in names):
        return key_from_env(environ, profile)  # which says why that key is not sent there
    if stored is None:
        raise ConfigError(
            f"No API key for {profile.name} in {', '.join(names)} or {path}.",
            hint="Store one with `nbp auth set`, or try `nbp demo`, which needs none.",
        )
    return check_key(stored.key.reveal(), profile, str(path))
