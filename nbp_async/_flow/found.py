"""Whether the image of an earlier call is where it was kept: in a folder, or in a store."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from nbp_async._errors import NbpError
from nbp_async._flow.run import Past
from nbp_async._flow.wiring import Wiring
from nbp_async._images.collect import Kept
from nbp_async._images.sniff import SUFFIX, ImageSniffer
from nbp_async._journal.base import Pending
from nbp_async._models import Image, Stored
from nbp_async._stores.address import StoreAddress, is_store, store_address

_CHUNK = 1024 * 1024  # bytes of an image that are looked at in one go
_HASH = 12  # digits of its hash that an image's name ends in
_SLACK = 2.0  # seconds by which a file system's or a store's clock may be behind ours


async def what_is_wrong(wiring: Wiring, past: Past, image: Image) -> str:
    """What keeps the stored image from being the outcome, or "" if nothing does.

    Raises:
        StorageError: Its store cannot say. That an image is gone is believed of nobody else.
        ConfigError: Its store cannot be opened.
    """
    stored = image.stored
    if is_store(stored.path):
        return await _of_object(wiring, past, stored)
    path = image.path
    if path is None and (past.folder is not None or past.store is not None):
        where = "disk" if past.store is None else "store"
        return f"the {where} had failed: it was handed out in memory, and is nowhere else"
    if path is None:
        return ""  # it never had a file of ours: somebody else's sink keeps it

    def look() -> str:
        try:
            size = path.stat().st_size
        except OSError as exc:
            return f"its file is gone: {path.name}: {exc.strerror}"
        if size != stored.size:
            return f"its file {path.name} has {size} bytes and not {stored.size}"
        if past.again.verify and _hash_of(path) != stored.digest:
            return f"its file {path.name} was changed: the hash differs"
        return ""

    return await wiring.files.run(look)


async def _of_object(wiring: Wiring, past: Past, stored: Stored) -> str:
    address = store_address(stored.path)
    name = address.path.rpartition("/")[2]
    bucket = await past.buckets.of(address)
    found = await bucket.look(address.path)
    if found is None:
        return f"its object is gone: {address}"
    if found.size != stored.size:
        return f"its object {name} has {found.size} bytes and not {stored.size}"
    if past.again.verify:
        data = await bucket.read(address.path)
        if await wiring.files.run(lambda: hashlib.sha256(data).digest()) != stored.digest:
            return f"its object {name} was changed: the hash differs"
    return ""


class Leftovers:
    """Images that a process stored in the moment before it ended, and told nobody of."""

    def __init__(self, wiring: Wiring, past: Past) -> None:
        self._wiring = wiring
        self._past = past
        self._files: dict[str, list[Path]] | None = None

    async def of(self, pending: Pending) -> Kept | None:
        """The image of this attempt, if it is there.

        Raises:
            StorageError: The store cannot say.
        """
        store = self._past.store
        if store is not None:
            return await self._object_of(store, pending)
        return await self._wiring.files.run(lambda: self._file_of(pending))

    async def _object_of(self, store: StoreAddress, pending: Pending) -> Kept | None:
        bucket = await self._past.buckets.of(store)
        for found in await bucket.find(store.below(f"{pending.stem}-").path):
            name = found.key.rpartition("/")[2].rpartition(".")[0]
            old = found.modified is None or found.modified < pending.armed_at - _SLACK
            if old or name[: -_HASH - 1] != pending.stem:  # an extra's name begins so, too
                continue
            data = await bucket.read(found.key)
            kept = await self._wiring.files.run(_looker(found.key, data, store))
            if kept is not None:
                return kept
        return None

    def _file_of(self, pending: Pending) -> Kept | None:
        if self._files is None:
            self._files = _files_of(self._past.folder)
        for path in self._files.get(pending.stem, ()):
            if path.stat().st_mtime >= pending.armed_at - _SLACK:
                kept = _looked_at(path)
                if kept is not None:
                    return kept
        return None


def _files_of(folder: Path | None) -> dict[str, list[Path]]:
    """The images in the folder, by what their names begin with."""
    files: dict[str, list[Path]] = {}
    if folder is not None and folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in SUFFIX.values():
                files.setdefault(path.stem[: -_HASH - 1], []).append(path)
    return files


def _looker(key: str, data: bytes, store: StoreAddress) -> Callable[[], Kept | None]:
    """Looks at an object as an image: whole, and the one that its name says."""

    def look() -> Kept | None:
        sniffer, digest = ImageSniffer(), hashlib.sha256(data).digest()
        try:
            sniffer.feed(data)
            facts = sniffer.close()
        except NbpError:
            return None
        name = key.rpartition("/")[2]
        if not name.rpartition(".")[0].endswith(digest.hex()[:_HASH]):
            return None
        return Kept(Stored(len(data), digest, str(store.below(name))), facts)

    return look


def _looked_at(path: Path) -> Kept | None:
    """The file as an image, if it is whole and the one that its name says."""
    sniffer, hasher, size = ImageSniffer(), hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                sniffer.feed(data)
                hasher.update(data)
                size += len(data)
        facts = sniffer.close()
    except (OSError, NbpError):
        return None
    digest = hasher.digest()
    if not path.stem.endswith(digest.hex()[:_HASH]):
        return None
    return Kept(Stored(size, digest, str(path)), facts)


def _hash_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
