"""A few worker threads of the client's own, for blocking file work.

They are not the loop's default executor: name look-ups that hang there must not keep a paid image
from reaching the disk.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nbp_async._base.errors import StorageError
from nbp_async._sinks.spool_files import SpoolFiles

T = TypeVar("T")
MAX_THREADS = 4


class FileThreads:
    """Runs blocking file work, at most four operations at once.

    Attributes:
        spool_files: Files for what is only held for a while; closed with the threads.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self.spool_files = SpoolFiles()

    async def run(self, operation: Callable[[], T]) -> T:
        """Run `operation` in a thread; an OSError becomes a StorageError that says what to do.

        If the caller is cancelled, an operation that has begun is waited for, so that no file is
        closed under the thread that writes to it; one that is still queued is dropped.
        """
        return await self._run(operation, must_finish=False)

    async def finish(self, operation: Callable[[], T]) -> T:
        """The same, but `operation` is done when this returns, even if the caller is cancelled."""
        return await self._run(operation, must_finish=True)

    async def _run(self, operation: Callable[[], T], *, must_finish: bool) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="nbp-files")
        # Whoever takes the ticket decides: the thread that begins, or the caller who gives up. The
        # loop's own way into a thread cannot tell the two apart, but a loop in virtual time knows
        # by it that a thread is at work, and its clock stands still meanwhile.
        ticket = threading.Lock()

        def begin() -> T:
            if not ticket.acquire(blocking=False):
                raise asyncio.CancelledError
            return operation()

        done = asyncio.get_running_loop().run_in_executor(self._pool, begin)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if must_finish or not ticket.acquire(blocking=False):
                await wait_until_done(done)
            else:
                done.cancel()
            raise
        except OSError as exc:
            error = storage_error(exc)
        raise error

    def close(self) -> None:
        """End the threads once they are idle. Does not wait."""
        self.spool_files.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


async def wait_until_done(future: "asyncio.Future[T]") -> None:
    """Wait for the end of a future, however often we are cancelled meanwhile.

    For callers that were cancelled already, and raise that afterwards.
    """
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()  # marks it as retrieved, or asyncio would log it


def storage_error(exc: OSError) -> StorageError:
    """The error for an image that could not be stored."""
    where = f" ({exc.filename})" if exc.filename else ""
    return StorageError(f"Could not store an image: {exc.strerror or exc}{where}.", hint=_hint(exc))


def unusable_folder(folder: str, exc: OSError) -> StorageError:
    """The error for a folder that cannot take images, before any is requested."""
    why = "it is a file" if isinstance(exc, FileExistsError) else exc.strerror or str(exc)
    return StorageError(
        f"Images cannot be stored in {folder}: {why}. Nothing was sent.",
        hint=_hint(exc) or "Give another folder as `out`.",
    )


def _hint(exc: OSError) -> str:
    return {
        errno.ENOSPC: "Free space on that disk, then run again.",
        errno.EDQUOT: "Free space in your quota, then run again.",
        errno.EROFS: "That folder is read-only: give another `out`.",
        errno.EACCES: "Write permission is missing: give another `out`, or change its permissions.",
        errno.EMFILE: "Raise the file limit (ulimit -n), or lower max_in_flight.",
        errno.ENFILE: "Raise the system's file limit (fs.file-max), or lower max_in_flight.",
    }.get(exc.errno or 0, "")
