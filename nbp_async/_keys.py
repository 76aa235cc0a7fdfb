"""Which key and which endpoint the environment names.

What opens a store of images is read in `_stores/credentials.py`; nothing else reads it.
"""

from collections.abc import Mapping
from ipaddress import ip_address

from nbp_async._config import Secret
from nbp_async._errors import ConfigError
from nbp_async._profiles import PROFILES, Profile

KEY = "NBP_API_KEY"


def _first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of `names` with a value, as (name, value)."""
    return next(
        ((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), None
    )


def endpoint_from(environ: Mapping[str, str]) -> str:
    """NBP_BASE_URL, else NBP_ENDPOINT, else the vendor whose own key is set, else Google."""
    named = _first_set(environ, ("NBP_BASE_URL", "NBP_ENDPOINT"))
    if named is not None:
        return named[1]
    if not environ.get(KEY):
        for profile in PROFILES.values():
            if _first_set(environ, profile.key_names) is not None:
                return profile.name
    return "google"


def key_from(environ: Mapping[str, str], profile: Profile) -> Secret:
    """NBP_API_KEY, else the vendor's own variable; the secret knows which it was.

    Raises:
        ConfigError: None of them is set.
    """
    names = (KEY, *profile.key_names)
    found = _first_set(environ, names)
    if found is None:
        raise ConfigError(
            f"No API key for {profile.name}. Looked at {', '.join(names)}. Nothing was sent.",
            hint="Set one of them, or try `nbp demo`, which needs none.",
        )
    return checked_key(found[1], profile, found[0])


def checked_key(key: str | Secret | None, profile: Profile, origin: str = "api_key=") -> Secret:
    """The key as a secret that can go into a header.

    Raises:
        ConfigError: There is none, or it has characters that no header may carry.
    """
    if isinstance(key, Secret):
        return key
    if not key or not key.strip():
        raise ConfigError(
            f"No API key for {profile.name}: give api_key=, or use Client.from_env(). "
            "Nothing was sent."
        )
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The API key from {origin} holds blanks or signs that no header can carry; was more "
            "than the key copied? Nothing was sent."
        )
    return Secret(key, origin)


def is_loopback(host: str) -> bool:
    """The host is this machine."""
    name = host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
