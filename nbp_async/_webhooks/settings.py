"""Where webhooks of one sender arrive, and how they are checked."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from nbp_async._config import Secret
from nbp_async._errors import ConfigError
from nbp_async._keys import is_loopback
from nbp_async._transports.addresses import refusal_of
from nbp_async._webhooks.keys import Key, keys_of
from nbp_async._webhooks.schemes import SCHEMES, Scheme, SchemeName
from nbp_async._webhooks.verify import TASK, Terms

_PATH = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_UNGUESSABLE = 22  # characters; 128 bits
_INNER = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp")
_Secrets = str | Secret | Sequence[str | Secret] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """Where webhooks of one sender arrive, and how they are checked.

    ```python
    secret = os.environ["HOOK_SECRET"]
    hook = Webhook(public_url="https://hooks.example.org", port=8787, secret=secret)
    client = Client.from_env(webhook=hook)
    ```

    Attributes:
        public_url: What the sender is told, up to the last part of the path: https, and an address
            that it can reach. Something before us (nginx, a tunnel) passes it on to `host` and
            `port`. "" for a sender on this machine alone, such as the fake server.
        host, port: Where we listen; port 0 takes a free one, for a sender on this machine alone.
        scheme: How it signs: "standard" (Standard Webhooks: Replicate, relays, Google's static
            hooks), "kie", "fal", "google" (Google's hooks that are asked for with a request), or
            "none", for those who sign nothing.
        secret: What "standard" (`whsec_…`, or the public key `whpk_…`) and "kie" sign with; several
            while it is being changed. The others have none.
        inbox: File in which the ids of what came are kept for a week, written to the disk before
            the sender is answered; None (default) keeps them in memory.
        path: Last part of the address; None (default) draws one that cannot be guessed.
        places: Where in the body the task's id is, the surest first, joined by dots.
        max_body: Bytes that a webhook may have; 256 KiB by default.
        allow_private: `public_url` may be plain http or at a private address.

    Raises:
        ConfigError: It cannot work so. Nothing was sent.
    """

    public_url: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    scheme: SchemeName = "standard"
    secret: _Secrets = field(default=None, repr=False)
    inbox: str | Path | None = None
    path: str | None = field(default=None, repr=False)
    places: tuple[str, ...] = TASK
    max_body: int = 262_144
    allow_private: bool = False

    def __post_init__(self) -> None:
        given = self.secret
        several = [given] if isinstance(given, str | Secret) else list(given or ())
        masked = tuple(s if isinstance(s, Secret) else Secret(s, "secret=") for s in several)
        object.__setattr__(self, "secret", masked)
        if self.scheme not in SCHEMES:
            raise ConfigError(f"scheme={self.scheme!r}: one of {', '.join(SCHEMES)}.")
        if self.path is None:
            object.__setattr__(self, "path", secrets.token_urlsafe(24))
        if not _PATH.fullmatch(self.path or ""):
            raise ConfigError("path= is 1 to 128 letters, digits, hyphens and underscores.")
        if self.scheme == "none" and len(self.path or "") < _UNGUESSABLE:
            raise ConfigError(
                f"Where nothing is signed, path= has {_UNGUESSABLE} characters at least, drawn by "
                "chance: whoever guesses it can send what they like."
            )
        if self.max_body < 1:
            raise ConfigError(f"max_body must be at least 1, not {self.max_body}.")
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port={self.port}: 0 to 65535.")
        self.keys()
        self._check_address()

    def address(self, port: int) -> str:
        """What the sender is told; `port` is where we listen."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        base = self.public_url.rstrip("/") or f"http://{host}:{port}"
        return f"{base}/{self.path}"

    def keys(self) -> tuple[Key, ...]:
        """What it signs with, as far as that was given."""
        masked = cast("tuple[Secret, ...]", self.secret)  # since it was made
        return keys_of(SCHEMES[self.scheme], tuple(secret.reveal() for secret in masked))

    def terms(self, port: int) -> Terms:
        """What is asked of what comes."""
        kind: Scheme = SCHEMES[self.scheme]
        return Terms(scheme=kind, audience=self.address(port), places=self.places)

    def _check_address(self) -> None:
        if not self.public_url:
            if not is_loopback(self.host):
                raise ConfigError(
                    "public_url= says where the sender reaches us: https://… . Without it only "
                    "this machine can."
                )
            return
        problem = unreachable(self.public_url, allow_private=self.allow_private)
        if problem:
            raise ConfigError(f"public_url={self.public_url!r}: {problem}. Nothing was sent.")
        if not self.port and not is_loopback(urlsplit(self.public_url).hostname or ""):
            raise ConfigError(
                "port= is the port that what stands before us passes webhooks on to: not 0."
            )


def unreachable(url: str, *, allow_private: bool) -> str:
    """Why a service cannot, or should not, send to this address; "" if it can."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme not in ("http", "https") or not host:
        return "it is no http(s) address"
    if parts.username is not None or parts.query or parts.fragment or "?" in url or "#" in url:
        return "it has more than a host and a path"
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        return "it has signs that no address has"
    if allow_private or is_loopback(host):
        return ""
    if parts.scheme != "https":
        return "webhooks come over https"
    return _inner(host)


def _inner(host: str) -> str:
    host = host.rstrip(".").lower()
    last = host.rpartition(".")[2]
    if ":" in host or last.isdigit() or last.startswith("0x"):
        reason = refusal_of(host)
        return f"{host} is {reason}" if reason else ""
    if "." not in host or host.endswith(_INNER):
        return f"{host} is a name of an inner network"
    return ""
