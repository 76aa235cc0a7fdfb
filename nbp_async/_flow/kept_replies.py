"""The replies of a run that could not be read, where they are kept: files, or objects."""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nbp_async._base.errors import MalformedReplyError, NbpError, StorageError
from nbp_async._flow.unread_reply import KeptHead
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.unread import SUFFIX, UNREAD
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress, is_store, store_address

_PIECE = 128 * 1024  # bytes that are decoded at once
_LONGEST_HEAD = 1024 * 1024  # bytes of the first line
_UNKNOWN = KeptHead(status=0, headers={}, url="", endpoint="", dialect="")
_head = msgspec.json.Decoder(KeptHead)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReply:
    """A kept reply.

    Attributes:
        place: Its file, or its address in a store.
        head: What it is an answer to.
        start: Where its body begins, in bytes.
        data: All of it, if it came from a store.
        problem: Why it cannot be read at all, or None.
    """

    place: str
    head: KeptHead = _UNKNOWN
    start: int = 0
    data: bytes = b""
    problem: NbpError | None = None


class ReplyShelf:
    """Finds, reads and deletes kept replies.

    Args:
        home: The folder or the store of the images that they are beside; None for no such place.
        files: Threads that read files.
        buckets: Opens stores.
    """

    def __init__(
        self, home: Path | StoreAddress | None, files: FileThreads, buckets: Buckets
    ) -> None:
        self._home = home
        self._files = files
        self._buckets = buckets

    async def listed(self) -> list[str]:
        """All that are beside the images, by name.

        Raises:
            StorageError: The store cannot say.
        """
        home = self._home
        if isinstance(home, Path):
            folder = home / UNREAD
            return await self._files.run(
                lambda: sorted(str(path) for path in folder.glob(f"*{SUFFIX}"))
            )
        if home is None:
            return []
        bucket = await self._buckets.open(home)
        place = home.below(UNREAD)
        found = await bucket.list_objects(f"{place.path}/")
        names = sorted(one.key.rpartition("/")[2] for one in found if one.key.endswith(SUFFIX))
        return [str(place.below(name)) for name in names]

    async def open(self, place: str) -> KeptReply:
        """Read its first line; what is wrong is in `problem`."""
        try:
            if is_store(place):
                address = store_address(place)
                data = await (await self._buckets.open(address)).read(address.path)
                line = data[: data.find(b"\n") + 1]
            else:
                data, line = b"", await self._files.run(lambda: _first_line(place))
            return KeptReply(place=place, head=_head.decode(line), start=len(line), data=data)
        except StorageError as exc:
            return KeptReply(place=place, problem=exc.with_traceback(None))
        except (msgspec.MsgspecError, ValueError):
            problem = MalformedReplyError("It is not a kept answer of nbp_async.")
            return KeptReply(place=place, problem=problem)

    async def body(self, reply: KeptReply) -> AsyncGenerator[bytes]:
        """Its body, piece by piece.

        Raises:
            StorageError: It cannot be read.
        """
        if reply.data:
            for at in range(reply.start, len(reply.data), _PIECE):
                yield reply.data[at : at + _PIECE]
            return
        file = await self._files.run(
            lambda: Path(reply.place).open("rb")  # noqa: SIM115
        )
        try:
            await self._files.run(lambda: file.seek(reply.start))
            while data := await self._files.run(lambda: file.read(_PIECE)):
                yield data
        finally:
            file.close()

    async def delete(self, place: str) -> None:
        """Delete one whose images are safe. One that is elsewhere, or in a store, stays."""
        if isinstance(self._home, Path) and Path(place).parent == self._home / UNREAD:
            with contextlib.suppress(StorageError):
                await self._files.finish(lambda: _unlink(Path(place)))


def reply_name(place: str) -> str:
    """The name of a kept reply, without its folder or store."""
    return place.partition("?")[0].rpartition("/")[2] if is_store(place) else Path(place).name


def _first_line(place: str) -> bytes:
    with Path(place).open("rb") as file:
        return file.readline(_LONGEST_HEAD)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are still in it
        path.parent.rmdir()
