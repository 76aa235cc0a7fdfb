"""The options of whatever follows image links, and of the network that it goes by."""

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from nbp_async._base.fields import HIDDEN, Form, check_fields
from nbp_async._base.shown_fields import ShownFields
from nbp_async._images.download import link_policy
from nbp_async._models.settings import Limits, Timeouts
from nbp_async._transports.certificates import shared_context
from nbp_async._transports.network import Network, network_of
from nbp_async._transports.proxies import ProxyAddress, read_proxy


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DownloadOptions(ShownFields):
    """What matters to images that come as links.

    Attributes:
        limits: How hard to press the endpoint; see `Limits`.
        timeouts: How long to wait; see `Timeouts`.
        link_hosts: Hosts that image links may lead to; None (default) for any public one.
        allow_private: Links may lead to private addresses and plain http; None (default) only
            where the endpoint itself is at a loopback address.
        allow_http: Image links may be plain http, which others can read and change on the way, and
            still lead to no private address; None (default) only where the endpoint is so itself.
        ca: File or folder of certificate authorities to trust instead of the usual ones. These are
            where SSL_CERT_FILE says, else REQUESTS_CA_BUNDLE, else where OpenSSL looks.
        certificates: "system" trusts what this machine's own store does, where a company puts its
            authority (extra [system-certificates]; on Linux that is where OpenSSL looks); None
            (default) for the usual ones.
        proxy: Address of the proxy that everything goes by, image links included, as
            "http://proxy.example:3128"; "https://..." for one that speaks TLS itself. A name and a
            password in it ("http://name:password@...") go to the proxy alone, and are never shown.
            None (default) for none.
        trust_env: Go by the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names, and without one
            to the hosts that NO_PROXY names and to this machine itself; with `proxy`, NO_PROXY
            alone counts. By default these variables are not read.
    """

    limits: Limits | None = None
    timeouts: Timeouts | None = None
    link_hosts: Annotated[Collection[str] | None, Form("a list of hosts, or None")] = None
    allow_private: bool | None = None
    allow_http: bool | None = None
    ca: str | Path | None = None
    certificates: Literal["system"] | None = None
    proxy: Annotated[
        str | ProxyAddress | None, HIDDEN, Form('"http://proxy.example:3128"', read=read_proxy)
    ] = None
    trust_env: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        link_policy(self.link_hosts, private=False, http=False)

    @property
    def network(self) -> Network:
        """By which proxies requests go, and whom they trust.

        Raises:
            ConfigError: The environment names a proxy that cannot be used, or two options are there
                of which one is enough.
        """
        assert not isinstance(self.proxy, str), "it was read when the value was made"
        ca = None if self.ca is None else str(self.ca)
        return network_of(self.proxy, ca, self.certificates, trust_env=self.trust_env)

    def tls_context(self) -> ssl.SSLContext:
        """Whom connections trust; shared, so do not change it.

        Raises:
            ConfigError: The file cannot be used, or a package is missing.
        """
        return shared_context(self.network.trust)
