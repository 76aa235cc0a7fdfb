"""Which HTTP library carries the requests: imported only where it is chosen."""

from typing import Literal

from nbp_async._base.errors import ConfigError
from nbp_async._transports.base import Transport
from nbp_async._transports.network import Network


def choose_transport(
    wanted: Literal["aiohttp", "direct", "httpx"] | Transport,
    vendor: str,
    network: Network,
    *,
    reuse: bool,
) -> Transport:
    """The transport that was asked for, by name or as it is.

    Args:
        wanted: A name, or an object of the user's own.
        vendor: What the endpoint is called, for messages.
        network: By which proxies requests go, and whom they trust.
        reuse: Keep connections for later requests.

    Raises:
        ConfigError: Its package is not installed.
    """
    if not isinstance(wanted, str):
        return wanted
    if wanted == "httpx":
        from nbp_async._transports.httpx import HttpxTransport

        return HttpxTransport(reuse=reuse, vendor=vendor, network=network)
    if wanted == "direct":
        return _direct(vendor, network, reuse=reuse)
    from nbp_async._transports.aiohttp import AiohttpTransport

    return AiohttpTransport(reuse=reuse, vendor=vendor, network=network)


def _direct(vendor: str, network: Network, *, reuse: bool) -> Transport:
    try:
        from nbp_async._transports.direct import DirectTransport
    except ModuleNotFoundError as exc:
        if exc.name != "httptools":
            raise
        raise ConfigError(
            "needs a package: pip install 'nbp-async[direct]'.", option="transport", value="direct"
        ) from None
    return DirectTransport(reuse=reuse, vendor=vendor, network=network)
