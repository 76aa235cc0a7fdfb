"""Public keys of services, as they publish them: fetched when first needed, kept for a day.

The address is fixed by the scheme, is https, and never taken from what came in. A signature by an
unknown key makes us fetch the keys once more, but at most once a minute: a forger can invent new
keys all day long.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from nbp_async._base.errors import ConfigError
from nbp_async._webhooks.verification_keys import Key, import_cryptography, parse_jwks
from nbp_async._webhooks.webhook_message import RetryLaterError

MAX_AGE = 86_400.0  # seconds
_MIN_INTERVAL = 60.0  # seconds between two fetches, whatever comes in
_TIMEOUT = 10.0  # seconds for a fetch
_MAX_BYTES = 65_536
FetchJwks = Callable[[str], Awaitable[bytes]]


class KeysUnavailableError(RetryLaterError):
    """The sender's keys cannot be fetched now: nothing is proved, and nothing disproved."""


class PublicKeys:
    """The keys that one service signs with. Belongs to one event loop.

    Args:
        url: The JWKS.
        fetch: Fetches it; for tests.
    """

    def __init__(self, url: str, fetch: FetchJwks | None = None) -> None:
        if not url.startswith("https://") and fetch is None:
            raise ConfigError(f"A sender's keys are fetched over https only, not from {url}.")
        self._url = url
        self._fetch = fetch or fetch_jwks
        self._keys: tuple[Key, ...] = ()
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def current(self) -> tuple[Key, ...]:
        """The keys, at most a day old.

        Raises:
            KeysUnavailableError: They cannot be fetched.
        """
        now = asyncio.get_running_loop().time()
        if now - self._fetched_at >= MAX_AGE:
            await self._refresh(self._fetched_at)
        return self._keys

    async def newer(self) -> tuple[Key, ...]:
        """The keys, fetched again unless that was done just now; () if there are none newer."""
        before = self._fetched_at
        try:
            await self._refresh(before)
        except KeysUnavailableError:
            return ()
        return self._keys if self._fetched_at > before else ()

    async def _refresh(self, known_at: float) -> None:
        """Fetch, unless another caller has done so since `known_at`."""
        clock = asyncio.get_running_loop().time
        async with self._fetching:
            if self._fetched_at > known_at:
                return
            if clock() - self._tried_at < _MIN_INTERVAL:
                raise KeysUnavailableError("the sender's keys were fetched just now")
            self._tried_at = clock()
            try:
                await asyncio.to_thread(import_cryptography)
                async with asyncio.timeout(_TIMEOUT):
                    self._keys = parse_jwks(await self._fetch(self._url))
            except (aiohttp.ClientError, OSError, ValueError) as exc:  # TimeoutError is an OSError
                raise KeysUnavailableError(f"the sender's keys cannot be fetched: {exc}") from exc
            self._fetched_at = clock()


async def fetch_jwks(url: str) -> bytes:
    """GET a small document, without redirects and without the environment's proxy.

    Raises:
        aiohttp.ClientError, ValueError: It cannot be had.
    """
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        body = b""
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ValueError("too large")
        return body
