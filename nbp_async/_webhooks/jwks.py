"""Public keys of services, as they publish them: fetched when first needed, kept for a day.

The address is fixed by the scheme, https, and never taken from what came in. A key that is not
known has them fetched once more, but not oftener than once a minute: whoever forges can name new
keys all day long.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from nbp_async._errors import ConfigError
from nbp_async._webhooks.keys import Key, load, read_jwks

KEPT = 86_400.0  # seconds
_AGAIN = 60.0  # seconds between two fetches, whatever comes in
_PATIENCE = 10.0  # seconds for a fetch
_LARGEST = 65_536  # bytes
Read = Callable[[str], Awaitable[bytes]]


class NoKeysError(Exception):
    """The sender's keys cannot be had now: nothing is proved, and nothing disproved."""


class PublicKeys:
    """What one service signs with. Belongs to one event loop.

    Args:
        url: The JWKS.
        read: Fetches it; for tests.
    """

    def __init__(self, url: str, read: Read | None = None) -> None:
        if not url.startswith("https://") and read is None:
            raise ConfigError(f"A sender's keys are fetched over https alone, not from {url}.")
        self._url = url
        self._read = read or fetch
        self._keys: tuple[Key, ...] = ()
        self._read_at = self._tried_at = float("-inf")
        self._turn = asyncio.Lock()

    async def known(self) -> tuple[Key, ...]:
        """The keys, at most a day old.

        Raises:
            NoKeysError: They cannot be had.
        """
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= KEPT:
            await self._renew(self._read_at)
        return self._keys

    async def newer(self) -> tuple[Key, ...]:
        """The keys, fetched again if that was not done just now; () if there is nothing newer."""
        before = self._read_at
        try:
            await self._renew(before)
        except NoKeysError:
            return ()
        return self._keys if self._read_at > before else ()

    async def _renew(self, seen: float) -> None:
        """Fetch, unless another one has since `seen`."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            if self._read_at > seen:
                return
            if clock() - self._tried_at < _AGAIN:
                raise NoKeysError("the sender's keys were asked for just now")
            self._tried_at = clock()
            try:
                await asyncio.to_thread(load)
                async with asyncio.timeout(_PATIENCE):
                    self._keys = read_jwks(await self._read(self._url))
            except (aiohttp.ClientError, OSError, ValueError) as exc:  # a time-out is an OSError
                raise NoKeysError(f"the sender's keys cannot be had: {exc}") from exc
            self._read_at = clock()


async def fetch(url: str) -> bytes:
    """What is at this address: no redirects, no proxy of the environment's, not much of it.

    Raises:
        aiohttp.ClientError, ValueError: It cannot be had.
    """
    patience = aiohttp.ClientTimeout(total=_PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=patience, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, allow_redirects=False) as reply,
    ):
        if reply.status != 200:
            raise ValueError(f"status {reply.status}")
        body = b""
        async for piece in reply.content.iter_any():
            body += piece
            if len(body) > _LARGEST:
                raise ValueError("too large")
        return body
