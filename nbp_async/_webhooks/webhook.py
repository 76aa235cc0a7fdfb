"""The option `webhook=`: where webhooks of one sender arrive, and how they are verified."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast
from urllib.parse import urlsplit

from nbp_async._base.errors import ConfigError
from nbp_async._base.fields import HIDDEN, Count, Range, check_fields, known_names
from nbp_async._base.secret import Secret
from nbp_async._transports.private_addresses import refusal_of
from nbp_async._vendors.profiles import is_loopback
from nbp_async._webhooks.schemes import SCHEMES, SchemeName
from nbp_async._webhooks.signature import TASK_PLACES, VerificationRules
from nbp_async._webhooks.verification_keys import Key, parse_secrets

_PATH = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_MIN_UNGUESSABLE = 22  # characters; 128 bits
_PRIVATE_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".lan",
    ".home.arpa",
    ".intranet",
    ".corp",
)
_Secrets = Annotated[str | Secret | Sequence[str | Secret] | None, HIDDEN]


@known_names()
@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where webhooks of one sender arrive, and how they are verified.

    ```python
    secret = os.environ["HOOK_SECRET"]
    hook = Webhook(public_url="https://hooks.example.org", port=8787, secret=secret)
    client = Client.from_env(webhook=hook)
    ```

    Attributes:
        public_url: The address that the sender is told, without the last part of the path: https,
            and reachable from its network. A proxy or tunnel (nginx, …) forwards it to `host` and
            `port`. "" for a sender on this machine, such as the fake server.
        host, port: Where we listen; port 0 takes a free one, for a sender on this machine.
        scheme: How it signs: "standard" (Standard Webhooks: Replicate, relays, Google's static
            hooks), "kie", "fal", "google" (Google's hooks that a request asks for), or "none", for
            services that sign nothing.
        secret: What "standard" (`whsec_…`, or the public key `whpk_…`) and "kie" sign with; several
            while it is being changed. The others have none.
        inbox: File in which the ids of webhooks are kept for a week, written to the disk before the
            sender is answered; None (default) keeps them in memory.
        path: Last part of the address; None (default) draws a random one that cannot be guessed.
        places: Where in the body the task's id is, the surest first; parts are joined by dots.
        max_body: Maximum size of a webhook in bytes; 256 KiB by default, which is enough for links.
        allow_private: `public_url` may be plain http, or a private address.

    Raises:
        ConfigError: These settings cannot work. Nothing was sent.
    """

    public_url: str = ""
    host: str = "127.0.0.1"
    port: Annotated[int, Range(least=0, most=65_535)] = 0
    scheme: SchemeName = "standard"
    secret: _Secrets = field(default=None, repr=False)
    inbox: str | Path | None = None
    path: Annotated[str | None, HIDDEN] = field(default=None, repr=False)
    places: tuple[str, ...] = TASK_PLACES
    max_body: Count = 262_144
    allow_private: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        given = self.secret
        secrets_given = [given] if isinstance(given, str | Secret) else list(given or ())
        masked = tuple(s if isinstance(s, Secret) else Secret(s, "secret=") for s in secrets_given)
        object.__setattr__(self, "secret", masked)
        if self.path is None:
            object.__setattr__(self, "path", secrets.token_urlsafe(24))
        if not _PATH.fullmatch(self.path or ""):
            raise ConfigError(
                "must be 1 to 128 letters, digits, hyphens and underscores.", option="path"
            )
        if self.scheme == "none" and len(self.path or "") < _MIN_UNGUESSABLE:
            raise ConfigError(
                f"must have at least {_MIN_UNGUESSABLE} random characters where nothing is signed: "
                "whoever guesses it can send anything.",
                option="path",
            )
        self.keys()
        self._check_address()

    def address(self, port: int) -> str:
        """The address that the sender is told; `port` is where we listen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        base = self.public_url.rstrip("/") or f"http://{host}:{port}"
        return f"{base}/{self.path}"

    def keys(self) -> tuple[Key, ...]:
        """The keys of `secret`; public keys of services are fetched elsewhere."""
        masked = cast("tuple[Secret, ...]", self.secret)  # since __post_init__
        return parse_secrets(SCHEMES[self.scheme], tuple(secret.reveal() for secret in masked))

    def rules(self, port: int) -> VerificationRules:
        """What a webhook must satisfy; `port` is where we listen."""
        scheme = SCHEMES[self.scheme]
        return VerificationRules(
            scheme=scheme, audience=self.address(port), task_places=self.places
        )

    def _check_address(self) -> None:
        if not self.public_url:
            if not is_loopback(self.host):
                raise ConfigError(
                    "give the https:// address at which the sender reaches us; without it only "
                    "this machine can.",
                    option="public_url",
                )
            return
        problem = why_unreachable(self.public_url, allow_private=self.allow_private)
        if problem:
            raise ConfigError(f"{problem}.", option="public_url", value=self.public_url)
        if not self.port and not is_loopback(urlsplit(self.public_url).hostname or ""):
            raise ConfigError(
                "give the port to which your proxy or tunnel forwards webhooks; with a public_url "
                "it cannot be 0.",
                option="port",
            )


def why_unreachable(url: str, *, allow_private: bool) -> str:
    """Why a service cannot, or should not, send to this address; "" if it can."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "it is not an http(s) URL"
    if parts.username is not None or parts.query or parts.fragment or "?" in url or "#" in url:
        return "it may have only a host, a port and a path"
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return "it has characters that a URL cannot have"
    if allow_private or is_loopback(host):
        return ""
    if parts.scheme != "https":
        return "webhooks need https"
    return _why_private(host)


def _why_private(host: str) -> str:
    host = host.rstrip(".").lower()
    last = host.rpartition(".")[2]
    if ":" in host or last.isdigit() or last.startswith("0x"):
        reason = refusal_of(host)
        return f"{host} is {reason}" if reason else ""
    if "." not in host or host.endswith(_PRIVATE_SUFFIXES):
        return f"{host} is a name of a private network"
    return ""
