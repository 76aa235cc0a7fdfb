"""What follows image links, wired; a client has one, and so has a fetch without a client."""

import time
from collections.abc import Callable

from nbp_async._images.download import Downloader, LinkPolicy
from nbp_async._models.settings import Limits, Timeouts
from nbp_async._transports.network import Network
from nbp_async._transports.private_addresses import refusal_of


def downloader(
    links: LinkPolicy,
    limits: Limits,
    timeouts: Timeouts,
    network: Network,
    rng: Callable[[], float],
) -> Downloader:
    """What follows image links."""
    from nbp_async._transports.aiohttp import AiohttpTransport

    guard = None if links.private else _refuse_private
    return Downloader(
        AiohttpTransport(reuse=True, vendor="image store", guard=guard, network=network),
        policy=links,
        at_once=limits.max_downloads,
        patience=timeouts.download,
        max_body=limits.max_body,
        rng=rng,
        wall_clock=time.time,
    )


def _refuse_private(address: str) -> None:
    """The guard of downloads: called with each address before it is dialled."""
    reason = refusal_of(address)
    if reason is not None:
        raise PermissionError(f"it leads to {address}, which is {reason}")
