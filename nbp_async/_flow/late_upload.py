"""Upload what a store did not take when it came: it waits in a file beside the run's journal."""

from pathlib import Path

import msgspec

from nbp_async._base.errors import JournalError
from nbp_async._flow.call_state import CallState
from nbp_async._flow.resume_state import ResumeState
from nbp_async._journal.base import JournalEntry
from nbp_async._models.outcomes import Image
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._stores.store_address import is_store

_HASH = 13  # characters of a file's name that its stem ends in: a hyphen, and 12 of the hash


async def upload_late(
    files: FileThreads, call: CallState, past: ResumeState, entry: JournalEntry, image: Image
) -> Image:
    """The image, and where it is now. If the store fails again, it stays where it was.

    Raises:
        StorageError: The store cannot be used. The image stays where it was.
    """
    images = (image, *image.extras)
    places = [one.path for one in images if _waits(past, one.path)]
    if not places:
        return image
    moved = [await _upload(files, call, past, one) for one in images]
    uploaded = msgspec.structs.replace(moved[0], extras=tuple(moved[1:]))
    try:
        await past.journal.finish(entry.item, uploaded)
    except JournalError as exc:
        call.stop(exc)
        return image
    kept = {one.path for one in moved}
    for place in places:
        if place is not None and place not in kept:
            await files.finish(lambda path=place: path.unlink(missing_ok=True))  # type: ignore[misc]
    return uploaded


def _waits(past: ResumeState, path: Path | None) -> bool:
    return path is not None and path.parent == past.beside


async def _upload(files: FileThreads, call: CallState, past: ResumeState, image: Image) -> Image:
    path = image.path
    if path is None or not _waits(past, path):
        return image
    writer = await call.sink.open()
    await writer.write(await files.run(path.read_bytes))
    stored = await writer.commit(path.stem[:-_HASH], path.suffix)
    call.record_error(call.sink.error)
    return msgspec.structs.replace(image, stored=stored) if is_store(stored.path) else image
