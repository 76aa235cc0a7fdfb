"""How a client's connections leave this machine: by which proxies, and whom they trust."""

import os
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbp_async._base.errors import ConfigError
from nbp_async._transports.proxies import DIRECT, Proxies, ProxyAddress, choose_proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What all transports of a client share.

    Attributes:
        proxies: By which proxies requests go.
        ca: File of certificate authorities to trust instead of the system's.
    """

    proxies: Proxies = DIRECT
    ca: str | None = None

    def proxy_for(self, url: str) -> ProxyAddress | None:
        """The proxy by which a request to this address goes, or None."""
        return self.proxies.find(url)

    def tls_context(self) -> ssl.SSLContext:
        """Whom connections trust.

        Raises:
            ConfigError: There is no such file, or no certificate in it.
        """
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as exc:
            reason = exc.strerror or type(exc).__name__
            raise ConfigError(f"ca={self.ca!r} cannot be used: {reason}.") from exc


def network_of(proxy: ProxyAddress | None, ca: str | None, *, trust_env: bool) -> Network:
    """The network of a client with these options.

    Raises:
        ConfigError: The environment names a proxy that cannot be used.
    """
    environ = os.environ if trust_env else None
    return Network(proxies=choose_proxies(proxy, environ), ca=ca)


def check_link(url: str, guard: Callable[[str], None]) -> None:
    """Ask the guard of addresses about a host that a proxy will dial.

    Where a name leads, the proxy alone finds out. An address, and what some systems take for one
    (`127.1`, `0x7f000001`), is judged here.

    Raises:
        PermissionError: The guard refused it.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        guard("127.0.0.1")
    last = host.rpartition(".")[2]
    if ":" in host or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last):
        guard(host)
