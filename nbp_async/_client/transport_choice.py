"""Which HTTP library carries the requests: imported only where it is chosen."""

from typing import Literal

from nbp_async._transports.base import Transport


def choose_transport(
    wanted: Literal["aiohttp", "httpx"] | Transport, vendor: str, ca: str | None, *, reuse: bool
) -> Transport:
    """The transport that was asked for, by name or as it is.

    Args:
        wanted: A name, or an object of the user's own.
        vendor: What the endpoint is called, for messages.
        ca: File of certificate authorities to trust instead of the system's, or None.
        reuse: Keep connections for later requests.
    """
    if not isinstance(wanted, str):
        return wanted
    if wanted == "httpx":
        from nbp_async._transports.httpx import HttpxTransport

        return HttpxTransport(reuse=reuse, vendor=vendor, ca=ca)
    from nbp_async._transports.aiohttp import AiohttpTransport

    return AiohttpTransport(reuse=reuse, vendor=vendor, ca=ca)
