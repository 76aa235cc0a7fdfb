"""Where an image comes to rest: open, write, and then commit or discard."""

from typing import Protocol

from nbp_async._errors import StorageError
from nbp_async._models import Stored


class Writer(Protocol):
    """One image on its way. Exactly one of `commit` and `discard` ends it.

    Nothing is visible before commit. `discard` may be called in any state, more than once, and
    from a `finally` while the task is being cancelled: it does not wait, and it does not raise.
    """

    async def write(self, data: bytes) -> None:
        """Append; returns when the sink can take more.

        Raises:
            StorageError: It cannot be kept. The writer is to be discarded.
        """
        ...

    async def commit(self, stem: str, suffix: str) -> Stored:
        """Make it safe and visible, as `{stem}-{start of its SHA-256}{suffix}`.

        Raises:
            StorageError: It cannot be kept. What was written so far is gone.
        """
        ...

    def discard(self) -> None:
        """Leave no trace of it."""
        ...


class Sink(Protocol):
    """A place for images.

    Attributes:
        trouble: Why images can no longer be kept where they should be, or None. The flow then
            sends nothing more; what had come is kept in memory, and returned.
    """

    trouble: StorageError | None

    async def open(self) -> Writer:
        """Begin an image.

        Raises:
            StorageError: There is no place for it.
        """
        ...

    async def aclose(self) -> None:
        """Free what the sink holds but the images; committed ones stay."""
        ...
