"""One bucket, opened: put, stat, read and list whole objects, with retries where they may help.

An object is uploaded by a single request that the service carries out whole or not at all. So
nothing half-written is ever visible, there are no parts to clean up, and a retry does no harm.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from nbp_async._base.errors import ConfigError, StorageError
from nbp_async._base.secret import Secret
from nbp_async._stores.checksums import Checksums, is_confirmed
from nbp_async._stores.store_address import StoreAddress
from nbp_async._stores.store_credentials import WHAT_TO_SET, StoreOptions

if TYPE_CHECKING:
    from opendal import AsyncOperator

T = TypeVar("T")

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between tries
RETRY_FOR = 180.0  # seconds after which nothing is tried again
STAT_TIMEOUT = 20.0  # seconds for a request without a body
TRANSFER_TIMEOUT = 120.0  # seconds for an object
ONCE_TIMEOUT = 15.0  # seconds for an object, in a store that has failed before


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in the bucket.

    Attributes:
        key: Its name.
        size: In bytes.
        modified: When it was written, in seconds since 1970, or None.
    """

    key: str
    size: int
    modified: float | None = None


class _UnconfirmedError(Exception):
    """The store does not have what was sent: sending it again may help."""


class Bucket:
    """A bucket that is open.

    Args:
        operator: Speaks to the service; with timeouts, and without retries of its own.
        address: The bucket, for messages.
        secrets: Texts that no message may contain.
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
        self._secrets = secrets
        self._pauses = tuple(pauses)
        self._has_worked = False  # so these credentials are valid

    async def put(
        self, key: str, data: bytes, mime: str, checksums: Checksums, *, once: bool = False
    ) -> None:
        """Upload an object, and confirm that the store has what was sent. Replaces what is there.

        Args:
            key: Its name.
            data: Its bytes.
            mime: Its type.
            checksums: Of `data`.
            once: Without retries, and with a short timeout.

        Raises:
            StorageError: It is not there, or that could not be confirmed.
        """

        async def put() -> None:
            await self._operator.write(key, data, content_type=mime)
            facts = await self._operator.stat(key)
            if facts.content_length != len(data):
                raise _UnconfirmedError(
                    f"the store has {facts.content_length} bytes of it instead of {len(data)}"
                )
            if is_confirmed(checksums, facts.etag, facts.content_md5):
                return
            # Its checksum is of another kind: the only proof left is to read it back.
            stored = await self._operator.read(key)
            if hashlib.sha256(stored).digest() != checksums.sha256:
                raise _UnconfirmedError("the store has other bytes than were sent")

        await self._retry(f"store {key}", put, once=once)

    async def stat(self, key: str) -> StoredObject | None:
        """The object of that name; None if it certainly does not exist.

        Raises:
            StorageError: The store did not say.
        """

        async def stat() -> StoredObject | None:
            try:
                facts = await self._operator.stat(key)
            except Exception as exc:
                if type(exc).__name__ == "NotFound":
                    return None
                raise
            return StoredObject(key, facts.content_length)

        return await self._retry(f"look for {key}", stat)

    async def read(self, key: str) -> bytes:
        """The bytes of an object.

        Raises:
            StorageError: They cannot be read.
        """

        async def read() -> bytes:
            return bytes(await self._operator.read(key))

        return await self._retry(f"read {key}", read)

    def read_blocking(self, key: str) -> bytes:
        """The same, but it blocks: for threads, and where no loop is running.

        Raises:
            StorageError: They cannot be read.
        """
        from opendal.layers import RetryLayer

        retries = RetryLayer(max_times=3, min_delay=0.5, max_delay=4.0)
        try:
            return bytes(self._operator.layer(retries).to_operator().read(key))
        except Exception as exc:  # noqa: BLE001  see _retry
            error = self._classify(f"read {key}", exc)[1]
        raise error

    async def list_objects(self, prefix: str) -> list[StoredObject]:
        """The objects whose names begin with `prefix`.

        Raises:
            StorageError: They cannot be listed.
        """

        async def list_objects() -> list[StoredObject]:
            objects = []
            async for entry in await self._operator.list(prefix):
                facts = entry.metadata
                at = facts.last_modified
                modified = None if at is None else at.timestamp()
                objects.append(StoredObject(entry.path, facts.content_length, modified))
            return objects

        return await self._retry("list its objects", list_objects)

    async def check_writable(self, key: str) -> None:
        """Check that objects can be written and looked up, with a tiny one that is deleted again.

        Raises:
            StorageError: They cannot be.
        """

        async def write_and_look_up() -> None:
            await self._operator.write(key, b"nbp_async was here", content_type="text/plain")
            await self._operator.exists(key)

        await self._retry("be written to", write_and_look_up)
        try:
            await self._operator.delete(key)
        except Exception:  # noqa: BLE001  without the right to delete, one tiny object stays
            return

    async def _retry(
        self, action: str, call: Callable[[], Awaitable[T]], *, once: bool = False
    ) -> T:
        loop = asyncio.get_running_loop()
        timeout = ONCE_TIMEOUT if once else None  # else the operator's own
        retry_until = loop.time() + RETRY_FOR
        pauses = iter(() if once else self._pauses)
        while True:
            try:
                async with asyncio.timeout(timeout):
                    result = await call()
            except asyncio.CancelledError:
                raise
            except Exception as exc:  # noqa: BLE001  the library's errors have no base of their own
                is_transient, error = self._classify(action, exc)
            else:
                self._has_worked = True
                return result
            pause = next(pauses, None) if is_transient else None
            if pause is None or loop.time() + pause > retry_until:
                raise error
            await asyncio.sleep(pause)

    def _classify(self, action: str, exc: Exception) -> tuple[bool, StorageError]:
        """Whether it is transient, and the error for the caller.

        The library's text may contain a URL with a token in it. So only what the service said is
        repeated, and the error is not chained to the library's.
        """
        if isinstance(exc, _UnconfirmedError):
            return True, StorageError(f"{self._address} could not {action}: {exc}.")
        if isinstance(exc, TimeoutError):
            error = StorageError(f"{self._address} could not {action} in {ONCE_TIMEOUT:.0f} s.")
            return True, error
        text = str(exc)
        hint = ""
        if "signing credential" in text:
            hint = f"No credentials were found: set {WHAT_TO_SET[self._address.scheme]}."
        elif type(exc).__name__ == "NotFound":
            hint = "Is there such a bucket, and is its name right?"
        elif type(exc).__name__ == "PermissionDenied" or _status_of(text) in ("401", "403"):
            hint = f"Check {WHAT_TO_SET[self._address.scheme]}, and their permissions there."
        reason = _without(self._secrets, _reason_of(text) or type(exc).__name__)
        error = StorageError(f"{self._address} could not {action}: {reason}.", hint=hint)
        is_transient = "(temporary)" in text[:80] or type(exc).__name__ in (
            "RateLimited",
            "Conflict",
        )
        # A role's credentials are fetched again now and then. If that fails once they have worked,
        # it is likely to work again.
        is_expired = "signing credential" in text and self._has_worked
        return is_transient or is_expired, error


def open_bucket(
    address: StoreAddress, options: StoreOptions, pauses: Sequence[float] = PAUSES
) -> Bucket:
    """Open the bucket of an address. Nothing is sent yet; the first call takes about 50 ms.

    Raises:
        ConfigError: The library is not installed (extra [store]), or the options are wrong.
    """
    try:
        operator = _operator(address, options)
    except ImportError:
        raise ConfigError(
            f'{address.scheme}://… needs pip install "nbp-async[store]". Nothing was sent.'
        ) from None
    except Exception as exc:  # noqa: BLE001  see Bucket._retry
        reason = _without(options.secrets, _reason_of(str(exc)))
        error = ConfigError(f"{address.root} cannot be opened: {reason}. Nothing was sent.")
    else:
        return Bucket(operator, address, secrets=options.secrets, pauses=pauses)
    raise error


def _without(secrets: Sequence[str], text: str) -> str:
    """The text without any of them; one as short as "test" stays, as a part of other words."""
    for secret in secrets:
        text = Secret(secret).hide(text)
    return text


def _operator(address: StoreAddress, options: StoreOptions) -> "AsyncOperator":
    from opendal import AsyncOperator
    from opendal.layers import TimeoutLayer

    operator = AsyncOperator(_SERVICE[address.scheme], **options.values)
    return operator.layer(TimeoutLayer(timeout=STAT_TIMEOUT, io_timeout=TRANSFER_TIMEOUT))


_SERVICE = {"s3": "s3", "oss": "oss", "gs": "gcs", "az": "azblob"}
_PREFIX = re.compile(r"\w+ \((?:permanent|temporary|persistent)\) at \S+(?: =>)? ?")
_CODE_AND_MESSAGE = re.compile(r'code: "?([^",]*)"?, message: "([^"]*)"')
_STATUS = re.compile(r"response: Parts \{ status: (\d+)")
_SOURCE = re.compile(r"^Source:\s*\n\s+(.+)$", re.MULTILINE)
_URLS = re.compile(r"https?://\S+")


def _status_of(text: str) -> str:
    found = _STATUS.search(text)
    return "" if found is None else found[1]


def _reason_of(text: str) -> str:
    """What the service or the network said, without URLs and headers."""
    named = _CODE_AND_MESSAGE.search(text)
    if named is not None:
        reason = f"{named[1]}: {named[2]}" if named[2] else named[1]
    else:
        reason = _PREFIX.sub("", text.partition("\n")[0])
        source = _SOURCE.search(text)
        reason = f"{reason}: {source[1]}" if source is not None else reason
    if not reason.strip() and (status := _status_of(text)):
        reason = f"it answered HTTP {status}"
    return _URLS.sub("…", " ".join(reason.split())).rstrip(".")[:300]
