"""Where blocking file work runs: a few worker threads of the client's own.

They are not the loop's default executor, so name look-ups that hang there cannot keep an image
that was paid for from reaching the disk.
"""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nbp_async._errors import StorageError

T = TypeVar("T")
THREADS = 4


class FileThreads:
    """Run blocking file work, at most four pieces at once."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; an OSError comes back as a StorageError that says what to do.

        When the caller is cancelled, a piece that was begun is waited for, so that no file is
        closed under a thread that writes to it; one that still waits for a thread is not begun.
        """
        return await self._run(work, certain=False)

    async def finish(self, work: Callable[[], T]) -> T:
        """The same, but `work` is done before this returns, even if the caller is cancelled."""
        return await self._run(work, certain=True)

    async def _run(self, work: Callable[[], T], *, certain: bool) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="nbp-files")
        begun = self._pool.submit(work)
        done = asyncio.wrap_future(begun)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if certain or not begun.cancel():
                await _settled(done)
            raise
        except OSError as exc:
            problem = storage_error(exc)
        raise problem

    def close(self) -> None:
        """Let the threads go once they are idle. Does not wait."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


async def _settled(future: "asyncio.Future[T]") -> None:
    """Wait for the end of a future, whatever it is and however often we are cancelled."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # looked at, so that nobody is warned about it


def storage_error(exc: OSError) -> StorageError:
    """Say in words what kept an image from being stored."""
    where = f" ({exc.filename})" if exc.filename else ""
    return StorageError(f"Could not store an image: {exc.strerror or exc}{where}.", hint=_mend(exc))


def unusable(folder: str, exc: OSError) -> StorageError:
    """Say in words why images cannot go to `folder`, before any is sent for."""
    what = "it is a file" if isinstance(exc, FileExistsError) else exc.strerror or str(exc)
    return StorageError(
        f"Images cannot go to {folder}: {what}. Nothing was sent.",
        hint=_mend(exc) or "Give another folder as `out`.",
    )


def _mend(exc: OSError) -> str:
    return {
        errno.ENOSPC: "Free space on that disk, then run again.",
        errno.EDQUOT: "Free space in your quota, then run again.",
        errno.EROFS: "That folder is read-only: give another `out`.",
        errno.EACCES: "You may not write there: give another `out`, or change its permissions.",
        errno.EMFILE: "Raise the file limit (ulimit -n), or lower max_in_flight.",
        errno.ENFILE: "Raise the system's file limit (fs.file-max), or lower max_in_flight.",
    }.get(exc.errno or 0, "")
