"""Whether the image of an earlier call is still where it was stored: in a folder or a store."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from nbp_async._base.errors import NbpError
from nbp_async._flow.resume_state import ResumeState
from nbp_async._images.collector import KeptImage
from nbp_async._images.sniff import SUFFIX, ImageSniffer
from nbp_async._journal.base import PendingAttempt
from nbp_async._models.outcomes import Image, Stored
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._stores.store_address import StoreAddress, is_store, store_address

_CHUNK = 1024 * 1024  # bytes of an image that are read at once
_HASH = 12  # digits of its hash that an image's name ends in
_SLACK = 2.0  # seconds by which a file system's or a store's clock may be behind ours


async def missing_reason(files: FileThreads, past: ResumeState, image: Image) -> str:
    """Why the stored image and its extras cannot be the outcome, or "" if they can.

    Raises:
        StorageError: Its store cannot say. An image counts as gone only if its store says so.
        ConfigError: Its store cannot be opened.
    """
    for each in (image, *image.extras):
        if why := await _missing_reason(files, past, each):
            return why
    return ""


async def _missing_reason(files: FileThreads, past: ResumeState, image: Image) -> str:
    stored = image.stored
    if is_store(stored.path):
        return await _of_object(files, past, stored)
    path = image.path
    if path is None and (past.folder is not None or past.store is not None):
        where = "disk" if past.store is None else "store"
        return f"the {where} had failed: it was handed out in memory, and is stored nowhere"
    if path is None and past.has_own_sink and stored.was_in_memory:
        return "its sink had failed: it was handed out in memory, and is stored nowhere"
    if path is None:
        return ""  # the user's own sink keeps it, or memory was all that was wanted

    def check() -> str:
        try:
            size = path.stat().st_size
        except OSError as exc:
            return f"its file is gone: {path.name}: {exc.strerror}"
        if size != stored.size:
            return f"its file {path.name} has {size} bytes and not {stored.size}"
        if past.again.verify and _hash_of(path) != stored.digest:
            return f"its file {path.name} was changed: the hash differs"
        return ""

    return await files.run(check)


async def _of_object(files: FileThreads, past: ResumeState, stored: Stored) -> str:
    address = store_address(stored.path)
    name = address.path.rpartition("/")[2]
    bucket = await past.buckets.open(address)
    found = await bucket.stat(address.path)
    if found is None:
        return f"its object is gone: {address}"
    if found.size != stored.size:
        return f"its object {name} has {found.size} bytes and not {stored.size}"
    if past.again.verify:
        data = await bucket.read(address.path)
        if await files.run(lambda: hashlib.sha256(data).digest()) != stored.digest:
            return f"its object {name} was changed: the hash differs"
    return ""


class UnsettledFiles:
    """Images that a process stored just before it ended, and did not record."""

    def __init__(self, files: FileThreads, past: ResumeState) -> None:
        self._threads = files
        self._past = past
        self._files: dict[str, list[Path]] | None = None

    async def of(self, pending: PendingAttempt) -> KeptImage | None:
        """The image of this attempt, if it is there.

        Raises:
            StorageError: The store cannot say.
        """
        store = self._past.store
        if store is not None:
            return await self._object_of(store, pending)
        return await self._threads.run(lambda: self._file_of(pending))

    async def _object_of(self, store: StoreAddress, pending: PendingAttempt) -> KeptImage | None:
        bucket = await self._past.buckets.open(store)
        for found in await bucket.list_objects(store.below(f"{pending.stem}-").path):
            name = found.key.rpartition("/")[2].rpartition(".")[0]
            old = found.modified is None or found.modified < pending.armed_at - _SLACK
            if old or name[: -_HASH - 1] != pending.stem:  # an extra's name begins so, too
                continue
            data = await bucket.read(found.key)
            kept = await self._threads.run(_object_reader(found.key, data, store))
            if kept is not None:
                return kept
        return None

    def _file_of(self, pending: PendingAttempt) -> KeptImage | None:
        if self._files is None:
            self._files = _files_of(self._past.folder)
        for path in self._files.get(pending.stem, ()):
            if path.stat().st_mtime >= pending.armed_at - _SLACK:
                kept = _read_file(path)
                if kept is not None:
                    return kept
        return None


def _files_of(folder: Path | None) -> dict[str, list[Path]]:
    """The images in the folder, by their file stems."""
    files: dict[str, list[Path]] = {}
    if folder is not None and folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in SUFFIX.values():
                files.setdefault(path.stem[: -_HASH - 1], []).append(path)
    return files


def _object_reader(key: str, data: bytes, store: StoreAddress) -> Callable[[], KeptImage | None]:
    """Reads an object as an image, if it is whole and the one that its name says."""

    def check() -> KeptImage | None:
        sniffer, digest = ImageSniffer(), hashlib.sha256(data).digest()
        try:
            sniffer.feed(data)
            facts = sniffer.close()
        except NbpError:
            return None
        name = key.rpartition("/")[2]
        if not name.rpartition(".")[0].endswith(digest.hex()[:_HASH]):
            return None
        return KeptImage(Stored(len(data), digest, str(store.below(name))), facts)

    return check


def _read_file(path: Path) -> KeptImage | None:
    """Read a file as an image, if it is whole and the one that its name says."""
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
    return KeptImage(Stored(size, digest, str(path)), facts)


def _hash_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
