"""Tokens: how often a request may leave.

aiolimiter's bucket is full at the start and refills meanwhile, so a bare `AsyncLimiter(60, 60)`
lets 119 requests go in its first minute. Here the bucket holds `burst` tokens and refills at the
rate, so that no window of a period sees more than count + burst - 1. aiolimiter also serves waiters
by amount; a lock in front keeps them in the order in which they came.
"""

import asyncio
from typing import Protocol

from aiolimiter import AsyncLimiter

from nbp_async._models.settings import Rate

# Intervals are this much longer, so that rounding never lets the first departure of the next
# period slip into this one.
_STRETCH = 1 + 1e-9


class RateLimiter(Protocol):
    """Says when the next request may leave. A limiter shared between processes fits as well."""

    async def acquire(self) -> None:
        """Return when it may leave. Cancelled, it takes no token."""
        ...


class TokenBucket:
    """At most `rate.count + burst - 1` departures in any period, served in order."""

    def __init__(self, rate: Rate, burst: int = 1) -> None:
        self._limiter = AsyncLimiter(burst, burst * rate.interval * _STRETCH)
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        async with self._turn:
            await self._limiter.acquire()
