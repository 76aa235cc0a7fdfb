"""One bucket, opened: whole objects in, out and looked at, tried again where that may help.

An object goes up in a single request that the service carries out whole or not at all. So nothing
is visible before it is there, there are no parts to clean up, and doing it again does no harm.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nbp_async._errors import ConfigError, StorageError
from nbp_async._stores.address import StoreAddress
from nbp_async._stores.credentials import WHAT_TO_SET, Opening
from nbp_async._stores.sums import Sums, confirmed

if TYPE_CHECKING:
    from opendal import AsyncOperator

T = TypeVar("T")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between tries
PATIENCE = 180.0  # seconds after which nothing is tried again
CONTROL = 20.0  # seconds that a look may take
TRANSFER = 120.0  # seconds that an object may take
HASTY = 15.0  # seconds that one may take in a store that has failed before


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there: its name, bytes, and when it was made, in seconds since 1970."""

    key: str
    size: int
    modified: float | None = None


class _Passing(Exception):  # noqa: N818  it never leaves this file
    """It may go better the next time."""


class Bucket:
    """A bucket that is open.

    Args:
        operator: What speaks to the service; bounded in time, and without retries of its own.
        address: The bucket, for messages.
        secrets: What no message may hold.
        pauses: Seconds between two tries.
    """

    def __init__(
        self,
        operator: "AsyncOperator",
        address: StoreAddress,
        *,
        secrets: Sequence[str] = (),
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._operator = operator
        self._address = address.root
        self._secrets = tuple(secret for secret in secrets if secret)
        self._pauses = tuple(pauses)
        self._answered = False  # it has opened to these credentials before

    async def put(
        self, key: str, data: bytes, mime: str, sums: Sums, *, once: bool = False
    ) -> None:
        """Store an object, and make sure that it is what was sent. Replaces what is there.

        Args:
            key: Its name.
            data: Its bytes.
            mime: Its type.
            sums: The checksums of `data`.
            once: Do not try again, and do not wait for long.

        Raises:
            StorageError: It is not there, or nobody can say that it is.
        """

        async def put() -> None:
            await self._operator.write(key, data, content_type=mime)
            found = await self._operator.stat(key)
            if found.content_length != len(data):
                raise _Passing(f"it has {found.content_length} bytes there and not {len(data)}")
            if confirmed(sums, found.etag, found.content_md5):
                return
            there = await self._operator.read(key)
            if hashlib.sha256(there).digest() != sums.sha256:
                raise _Passing("what is there is not what was sent")

        await self._tried(f"store {key}", put, once=once)

    async def look(self, key: str) -> Found | None:
        """The object of that name, or None if there is certainly none.

        Raises:
            StorageError: It cannot be known.
        """

        async def look() -> Found | None:
            try:
                facts = await self._operator.stat(key)
            except Exception as exc:
                if type(exc).__name__ == "NotFound":
                    return None
                raise
            return Found(key, facts.content_length)

        return await self._tried(f"look for {key}", look)

    async def read(self, key: str) -> bytes:
        """The bytes of an object.

        Raises:
            StorageError: They cannot be had.
        """

        async def read() -> bytes:
            return bytes(await self._operator.read(key))

        return await self._tried(f"read {key}", read)

    def read_now(self, key: str) -> bytes:
        """The same, and blocks: for use in a thread, or where there is no loop.

        Raises:
            StorageError: They cannot be had.
        """
        from opendal.layers import RetryLayer

        retries = RetryLayer(max_times=3, min_delay=0.5, max_delay=4.0)
        try:
            return bytes(self._operator.layer(retries).to_operator().read(key))
        except Exception as exc:  # noqa: BLE001  see _tried
            problem = self._said(f"read {key}", exc)[1]
        raise problem

    async def find(self, beginning: str) -> list[Found]:
        """The objects whose names begin so.

        Raises:
            StorageError: They cannot be listed.
        """

        async def find() -> list[Found]:
            found = []
            async for entry in await self._operator.list(beginning):
                facts = entry.metadata
                at = facts.last_modified
                when = None if at is None else at.timestamp()
                found.append(Found(entry.path, facts.content_length, when))
            return found

        return await self._tried("list what is there", find)

    async def try_out(self, key: str) -> None:
        """Find out whether objects can be stored and looked at, with a tiny one that goes again.

        Raises:
            StorageError: They cannot be.
        """

        async def try_out() -> None:
            await self._operator.write(key, b"nbp_async was here", content_type="text/plain")
            await self._operator.exists(key)

        await self._tried("be written to", try_out)
        try:
            await self._operator.delete(key)
        except Exception:  # noqa: BLE001  the right to delete is not needed: then one tiny object stays
            return

    async def _tried(
        self, doing: str, call: Callable[[], Awaitable[T]], *, once: bool = False
    ) -> T:
        loop = asyncio.get_running_loop()
        span = HASTY if once else None
        give_up = loop.time() + PATIENCE
        pauses = iter(() if once else self._pauses)
        while True:
            try:
                async with asyncio.timeout(span):
                    result = await call()
            except asyncio.CancelledError:
                raise
            except Exception as exc:  # noqa: BLE001  the library's errors have no base of their own
                passing, problem = self._said(doing, exc)
            else:
                self._answered = True
                return result
            pause = next(pauses, None) if passing else None
            if pause is None or loop.time() + pause > give_up:
                raise problem
            await asyncio.sleep(pause)

    def _said(self, doing: str, exc: Exception) -> tuple[bool, StorageError]:
        """Whether it may pass, and the error that says it in words.

        The library's own text may hold an address with a token in it: of that only what the
        service said is repeated, and the error is not chained to it.
        """
        if isinstance(exc, _Passing):
            return True, StorageError(f"{self._address} could not {doing}: {exc}.")
        if isinstance(exc, TimeoutError):
            return True, StorageError(f"{self._address} could not {doing} in {HASTY:.0f} s.")
        text = str(exc)
        hint = ""
        if "signing credential" in text:
            hint = f"No credentials were found: set {WHAT_TO_SET[self._address.scheme]}."
        elif type(exc).__name__ == "PermissionDenied":
            hint = f"Look at {WHAT_TO_SET[self._address.scheme]}, and at what they may do there."
        reason = self._without_secrets(_reason_of(text) or type(exc).__name__)
        problem = StorageError(f"{self._address} could not {doing}: {reason}.", hint=hint)
        passing = "(temporary)" in text[:80] or type(exc).__name__ in ("RateLimited", "Conflict")
        # A role's credentials are fetched anew at times, and what had opened it will open it again.
        lapsed = "signing credential" in text and self._answered
        return passing or lapsed, problem

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def open_bucket(
    address: StoreAddress, opening: Opening, pauses: Sequence[float] = PAUSES
) -> Bucket:
    """Open the bucket of an address. Nothing is sent yet; takes some 50 ms at the first time.

    Raises:
        ConfigError: The library for it is not installed (extra [store]), or the options are wrong.
    """
    try:
        operator = _operator(address, opening)
    except ImportError:
        raise ConfigError(
            f'{address.scheme}://… needs pip install "nbp-async[store]". Nothing was sent.'
        ) from None
    except Exception as exc:  # noqa: BLE001  see Bucket._tried
        reason = _reason_of(str(exc))
        for secret in opening.secrets:
            reason = reason.replace(secret, "…")
        problem = ConfigError(f"{address.root} cannot be opened: {reason}. Nothing was sent.")
    else:
        return Bucket(operator, address, secrets=opening.secrets, pauses=pauses)
    raise problem


def _operator(address: StoreAddress, opening: Opening) -> "AsyncOperator":
    from opendal import AsyncOperator
    from opendal.layers import TimeoutLayer

    operator = AsyncOperator(_SERVICE[address.scheme], **opening.options)
    return operator.layer(TimeoutLayer(timeout=CONTROL, io_timeout=TRANSFER))


_SERVICE = {"s3": "s3", "oss": "oss", "gs": "gcs", "az": "azblob"}
_FIRST = re.compile(r"\w+ \((?:permanent|temporary|persistent)\) at \S+(?: =>)? ?")
_NAMED = re.compile(r'code: "?([^",]*)"?, message: "([^"]*)"')
_STATUS = re.compile(r"response: Parts \{ status: (\d+)")
_SOURCE = re.compile(r"^Source:\s*\n\s+(.+)$", re.MULTILINE)
_LINKS = re.compile(r"https?://\S+")


def _reason_of(text: str) -> str:
    """What the service, or the way to it, said: never an address, never a header."""
    named = _NAMED.search(text)
    if named is not None:
        said = f"{named[1]}: {named[2]}" if named[2] else named[1]
    else:
        said = _FIRST.sub("", text.partition("\n")[0])
        source = _SOURCE.search(text)
        said = f"{said}: {source[1]}" if source is not None else said
    status = _STATUS.search(text)
    if not said.strip() and status is not None:
        said = f"it answered HTTP {status[1]}"
    return _LINKS.sub("…", " ".join(said.split())).rstrip(".")[:300]
