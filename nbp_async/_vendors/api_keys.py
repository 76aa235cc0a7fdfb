"""Which key and which endpoint the environment names.

What opens a store of images is read in `_stores/store_credentials.py`; nothing else reads it.
"""

from collections.abc import Mapping, Sequence

from nbp_async._base.errors import ConfigError
from nbp_async._base.key_ring import KeyRing
from nbp_async._base.secret import Secret
from nbp_async._vendors.profiles import KEY_VARIABLE, PROFILES, Profile, owners_of

_QUOTES = "\"'“”‘’"
# How keys begin, where the vendor says so or all that were seen do. Google's AIza keys are the
# older ones: ai.google.dev/gemini-api/docs/api-key says since when they are refused.
_FORMS = {
    "google": ("AQ.", "AIza"),
    "openai": ("sk-",),
    "replicate": ("r8_",),
    "openrouter": ("sk-or-",),
    "apiyi": ("sk-",),
    "apiyi-http": ("sk-",),
    "apiyi-gemini": ("sk-",),
}


def _first_set(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """The first of `names` with a value, as (name, value)."""
    return next(
        ((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), None
    )


def endpoint_from_env(environ: Mapping[str, str]) -> str:
    """NBP_BASE_URL, else NBP_ENDPOINT, else the vendor whose own key is set, else Google."""
    named = _first_set(environ, ("NBP_BASE_URL", "NBP_ENDPOINT"))
    if named is not None:
        return named[1]
    if not environ.get(KEY_VARIABLE):
        for profile in PROFILES.values():
            if _first_set(environ, profile.key_names) is not None:
                return profile.name
    return "google"


def key_variable(environ: Mapping[str, str], profile: Profile) -> str:
    """The variable that holds the key for this endpoint, or "".

    A known vendor's own variable is read for that vendor's own hosts alone: a table, or a profile
    of another address, cannot have it sent elsewhere by naming it.
    """
    found = _first_set(environ, tuple(n for n in profile.key_variables if _may_read(n, profile)))
    return "" if found is None else found[0]


def _may_read(name: str, profile: Profile) -> bool:
    owners = owners_of(name)
    return not owners or profile.origin in owners


def key_from_env(environ: Mapping[str, str], profile: Profile) -> Secret:
    """NBP_API_KEY, else the vendor's own variable; the secret knows which it was.

    A known vendor's own variable (GEMINI_API_KEY, OPENAI_API_KEY, ...) is read for its own hosts
    alone, whatever the profile names: to send that key elsewhere, pass it as `api_key`.

    Raises:
        ConfigError: None of them is set.
    """
    names = profile.key_variables
    found = _first_set(environ, tuple(filter(None, [key_variable(environ, profile)])))
    foreign = _first_set(environ, names)
    if found is None and foreign is not None:
        raise _not_sent(foreign[0], profile)
    if found is None:
        raise ConfigError(
            f"No API key for {profile.name}. Looked at {', '.join(names)}.",
            hint="Set one of them, or try `nbp demo`, which needs none.",
        )
    return check_key(found[1], profile, found[0])


ApiKey = str | Secret | Sequence[str | Secret]
"""A key, or several of one account: the next takes the place of one that is refused."""


def key_of_account(environ: Mapping[str, str], profile: Profile) -> Secret:
    """The vendor's own variable: NBP_API_KEY is the key of one endpoint, and not of several.

    Raises:
        ConfigError: None of them is set.
    """
    own = {name: value for name, value in environ.items() if name != KEY_VARIABLE}
    if not key_variable(own, profile):
        looked = f"Looked at {', '.join(profile.key_names)}." if profile.key_names else ""
        raise ConfigError(
            f"No API key for {profile.name}, one of several accounts. {looked}".strip(),
            hint=f"Give each its own, Account(endpoint, api_key). {KEY_VARIABLE} goes to nobody "
            "where there are several.",
        )
    return key_from_env(own, profile)


def named_key(environ: Mapping[str, str], profile: Profile, name: str) -> str:
    """The key in this variable, which somebody has named for this endpoint.

    Raises:
        ConfigError: It is not set, or is another vendor's own.
    """
    if not environ.get(name, "").strip():
        raise ConfigError(f"{name} is not set, which is to have a key for {profile.name}.")
    if not _may_read(name, profile):
        raise _not_sent(name, profile)
    return environ[name]


def _not_sent(name: str, profile: Profile) -> ConfigError:
    return ConfigError(
        f"No API key for {profile.name}: {name} is set, but it is the key for "
        f"{' or '.join(sorted(owners_of(name)))}, and is not sent to {profile.origin}.",
        hint=f"If you mean it, pass the key as api_key, or set {KEY_VARIABLE}.",
    )


def check_key(key: ApiKey | None, profile: Profile, origin: str = "api_key=") -> Secret:
    """The key as a secret that can go into a header; of several, the first that is not refused.

    Raises:
        ConfigError: There is none, or it has characters that no header may carry.
    """
    if isinstance(key, Secret):
        return key
    if isinstance(key, list | tuple) and key:
        name = origin.removesuffix("=")
        keys = [check_key(one, profile, f"{name}[{n}]") for n, one in enumerate(key)]
        return KeyRing(keys) if len(keys) > 1 else keys[0]
    if key is not None and not isinstance(key, str):
        raise ConfigError(f"give text, not {type(key).__name__}.", option="api_key")
    key = (key or "").strip()
    if not key:
        raise ConfigError(
            f"No API key for {profile.name}: give api_key, or use Client.from_env().",
            hint="Client.fake() needs none, and costs nothing.",
        )
    if key[0] in _QUOTES and key[-1] in _QUOTES:
        raise ConfigError(
            f"The API key from {origin} has quotation marks around it: set it without them."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The API key from {origin} holds blanks, line ends or characters that no header "
            "can carry; was more than the key copied?"
        )
    return Secret(key, origin)


def key_warning(key: Secret, profile: Profile) -> str:
    """Why the key is probably none of this vendor's, or "". Relays choose forms of their own."""
    text, usual = key.reveal(), _FORMS.get(profile.name, ())
    if not usual or text.startswith(usual):
        return ""
    owners = [name for name, forms in _FORMS.items() if text.startswith(forms)]
    likeness = f"begins like one of {owners[0]}" if owners else "does not"
    return f"Keys of {profile.name} begin with {' or '.join(usual)}, and this one {likeness}."


def shown(key: Secret, profile: Profile) -> str:
    """Which key it was that the vendor refused: its end, where it is from, and what is odd."""
    odd = key_warning(key, profile)
    return f"The key {key} is from {key.origin}.{f' {odd}' if odd else ''}"
