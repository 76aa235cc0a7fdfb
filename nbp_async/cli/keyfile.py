"""Keys that `nbp auth set` keeps: one file, readable by its owner alone.

A key belongs to the origin (scheme, host and port) that it was set for, and is sent to no other.
The library itself does not read this file: only the command line does, after the environment.
"""

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_config_path

from nbp_async import ConfigError, Profile
from nbp_async._config import Secret
from nbp_async._keys import KEY, checked_key, endpoint_from, key_from
from nbp_async._profiles import find_profile

_PLACES = ("NBP_BASE_URL", "NBP_ENDPOINT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One key of the file, and the endpoint that it was set for."""

    endpoint: str
    key: Secret


def key_file(environ: Mapping[str, str]) -> Path:
    """Where keys are kept: NBP_KEY_FILE, else `nbp/keys.toml` in the user's configuration."""
    named = environ.get("NBP_KEY_FILE", "").strip()
    return Path(named) if named else user_config_path("nbp", appauthor=False) / "keys.toml"


def origin_of(profile: Profile) -> str:
    """Scheme, host and port: what a key belongs to."""
    parts = urlsplit(profile.base_url)
    return f"{parts.scheme}://{parts.netloc}"


def read_keys(path: Path) -> dict[str, Kept]:
    """The keys by origin; none if there is no file.

    Raises:
        ConfigError: Others can read the file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if os.name == "posix":
                _refuse_shared(path, os.fstat(file.fileno()))
            found = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        if isinstance(exc, ConfigError):
            raise
        # Not the message of the parser: it may quote the line that holds the key.
        raise ConfigError(
            f"{path} cannot be read ({type(exc).__name__}). Nothing was sent.",
            hint="Remove it, and set the key again with `nbp auth set`.",
        ) from None
    keys = {}
    for origin, entry in found.items():
        if isinstance(entry, dict) and isinstance(key := entry.get("key"), str) and key:
            keys[origin] = Kept(
                endpoint=str(entry.get("endpoint", origin)), key=Secret(key, str(path))
            )
    return keys


def _refuse_shared(path: Path, facts: os.stat_result) -> None:
    if facts.st_mode & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        raise ConfigError(
            f"{path} can be read by others ({mode:04o}), and holds a key. Nothing was sent.",
            hint=f"chmod 600 {path}",
        )


def write_keys(path: Path, keys: Mapping[str, Kept]) -> None:
    """Replace the file; without a key it is removed.

    Raises:
        OSError: It cannot be written. The old one is as it was.
    """
    if not keys:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = ["# Keys of nbp: `nbp auth set`, `nbp auth remove`. Keep this file to yourself.\n"]
    for origin, kept in keys.items():
        lines += [f"\n[{_quoted(origin)}]\n", f"endpoint = {_quoted(kept.endpoint)}\n"]
        lines += [f"key = {_quoted(kept.key.reveal())}\n"]
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
    """A JSON string is a TOML string, but for one character and for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def chosen_profile(endpoint: str | None, environ: Mapping[str, str]) -> Profile:
    """The endpoint that was named, else what the environment says, else whose key is kept.

    Raises:
        ConfigError: The endpoint is none, or the file of keys cannot be read.
    """
    names = (*_PLACES, KEY)
    if endpoint or any(environ.get(name, "").strip() for name in names):
        return find_profile(endpoint or endpoint_from(environ))
    usual = find_profile(endpoint_from(environ))
    if any(environ.get(name, "").strip() for name in usual.key_names):
        return usual
    keys = read_keys(key_file(environ))
    if not keys or origin_of(usual) in keys:
        return usual
    return find_profile(next(iter(keys.values())).endpoint)


def chosen_key(profile: Profile, environ: Mapping[str, str]) -> Secret:
    """The key for this endpoint: from the environment, else from the file.

    Raises:
        ConfigError: There is none, or none that a header can carry. Nothing was sent.
    """
    names = (KEY, *profile.key_names)
    if any(environ.get(name, "").strip() for name in names):
        return key_from(environ, profile)
    path = key_file(environ)
    kept = read_keys(path).get(origin_of(profile))
    if kept is None:
        raise ConfigError(
            f"No API key for {profile.name}. Looked at {', '.join(names)} and {path}. "
            "Nothing was sent.",
            hint="Set one with `nbp auth set`, or try `nbp demo`, which needs none.",
        )
    return checked_key(kept.key.reveal(), profile, str(path))
