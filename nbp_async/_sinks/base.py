"""The contract of every place for images: open, write, and then commit or discard."""

from typing import Protocol

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import Stored


class ImageWriter(Protocol):
    """One image that is being written. `commit` or `discard` ends it.

    The image is paid for: if its place cannot take it, it is kept in memory, and the sink's `error`
    says why. Nothing is visible before `commit`. `discard` may be called in any state, more than
    once, and from a `finally` while the task is being cancelled: it does not wait and does not
    raise. After a commit it changes nothing.
    """

    @property
    def stored(self) -> Stored | None:
        """Where the image is, once it is committed; set even if `commit` was cancelled."""
        ...

    async def write(self, data: bytes) -> None:
        """Append; returns when the sink can take more.

        Raises:
            StorageError: The bytes so far are lost. Discard the writer.
        """
        ...

    async def commit(self, stem: str, suffix: str) -> Stored:
        """Make it safe and visible, as `{stem}-{start of its SHA-256}{suffix}`.

        `Stored.where` is a file, an address in a store or bytes in memory. A place that is none of
        them leaves it empty: a later call takes the image to be there.

        Once begun it runs to its end: if the caller is cancelled meanwhile, the cancellation is
        raised after that, and `stored` says where the image is.

        Raises:
            StorageError: It is lost.
        """
        ...

    def discard(self) -> None:
        """Leave no trace of it."""
        ...


class Sink(Protocol):
    """A place for images."""

    @property
    def error(self) -> StorageError | None:
        """Why images cannot be stored in their place, or None. The first reason is kept.

        An image that its place could not take is kept in memory and returned like any other, with a
        path of "". Memory is finite, so callers check this after each image, and send nothing more
        once it is set.
        """
        ...

    async def open(self) -> ImageWriter:
        """Begin an image.

        Raises:
            StorageError: The place cannot be used. A run opens a writer before its first request,
                so that nothing is bought then.
        """
        ...

    async def aclose(self) -> None:
        """Free what the sink holds; committed images stay."""
        ...
