"""Where an image comes to rest: open, write, and then commit or discard."""

from typing import Protocol

from nbp_async._errors import StorageError
from nbp_async._models import Stored


class Writer(Protocol):
    """One image on its way. Exactly one of `commit` and `discard` ends it.

    The image is paid for. Where it can't be written to where it should be, it goes on in memory,
    and the sink's `trouble` says why. Nothing is visible before commit. `discard` may be called in
    any state, more than once, and from a `finally` while the task is being cancelled: it does not
    wait, and it does not raise. After a commit it changes nothing.
    """

    @property
    def stored(self) -> Stored | None:
        """Where the image is, once it is committed; known even if who committed was cancelled."""
        ...

    async def write(self, data: bytes) -> None:
        """Append; returns when the sink can take more.

        Raises:
            StorageError: What had come is lost. The writer is to be discarded.
        """
        ...

    async def commit(self, stem: str, suffix: str) -> Stored:
        """Make it safe and visible, as `{stem}-{start of its SHA-256}{suffix}`; or in memory.

        Once begun it is carried to its end: if the caller is cancelled meanwhile, the cancellation
        is raised after that, and `stored` says where the image is.

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
    def trouble(self) -> StorageError | None:
        """Why images can't be kept where they should be, or None.

        The first reason is remembered. What had come is kept in memory and handed out as an image
        like any other, with a path of ""; but memory ends, too. So the flow looks at this after
        each image, sends nothing more once it is set, and returns what is there.
        """
        ...

    async def open(self) -> Writer:
        """Begin an image.

        Raises:
            StorageError: There is no place for it. Called before the first request of a run, so
                that nothing is bought then.
        """
        ...

    async def aclose(self) -> None:
        """Free what the sink holds but the images; committed ones stay."""
        ...
