"""How a client's connections leave this machine: by which proxies, and whom they trust."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from nbp_async._transports.certificates import USUAL, TrustSource, choose_trust
from nbp_async._transports.proxies import DIRECT, Proxies, ProxyAddress, choose_proxies


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What all transports of a client share.

    Attributes:
        proxies: By which proxies requests go.
        trust: Whose certificates are trusted.
    """

    proxies: Proxies = DIRECT
    trust: TrustSource = USUAL

    def proxy_for(self, url: str) -> ProxyAddress | None:
        """The proxy by which a request to this address goes, or None."""
        return self.proxies.find(url)


def network_of(
    proxy: ProxyAddress | None, ca: str | None, certificates: str | None, *, trust_env: bool
) -> Network:
    """The network of a client with these options.

    Raises:
        ConfigError: The environment names a proxy that cannot be used, or two options are there of
            which one is enough.
    """
    proxies = choose_proxies(proxy, os.environ if trust_env else None)
    return Network(proxies=proxies, trust=choose_trust(ca, certificates, os.environ))


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
