"""One image in a file of a given name. It replaces no file, and never fails for its name.

The name is checked before the image is paid for. What comes may be of another type, and another
process may have taken the name meanwhile: then the image gets the nearest name that is free.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import get_args

from nbp_async._base.errors import StorageError
from nbp_async._models.outcomes import ImageFormat
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.part_file import PartFile

_TYPES = {f".{name}": f".{name}" for name in ("jpg", *get_args(ImageFormat))} | {".jpeg": ".jpg"}


def image_file_of(out: object) -> Path | None:
    """The file that `out` names by its suffix; None for a folder, a store or a sink."""
    if not isinstance(out, str | Path) or Path(out).suffix.lower() not in _TYPES:
        return None
    path = Path(out).absolute()
    return None if path.is_dir() or "://" in str(out) else path


class ImageFileSink(DirectorySink):
    """Keeps an image as `path`; a further image of the same reply is `name-extra1.png`."""

    def __init__(self, path: Path, threads: FileThreads, *, shared: bool = False) -> None:
        super().__init__(path.parent, threads, shared=shared)
        self._path = path

    def make_ready(self) -> None:
        """Check that the name is free, and that the folder can be written to."""
        if os.path.lexists(self._path):
            raise StorageError(
                f"{self._path} exists, and is not overwritten. Nothing was sent.",
                hint="Give another name, or remove the file.",
            )
        super().make_ready()

    def publish(self, part: PartFile, stem: str, suffix: str) -> str:
        """Give it the first of its names that no file has."""
        extra = stem.partition("-")[2]
        return next(path for path in self._names(extra, suffix) if part.publish_new(path))

    def _names(self, extra: str, suffix: str) -> Iterator[str]:
        wanted = self._path.suffix
        fitting = wanted if _TYPES[wanted.lower()] == suffix else suffix
        base = str(self._path.with_suffix("")) + (f"-{extra}" if extra else "")
        yield base + fitting
        yield from (f"{base}-{number}{fitting}" for number in count(2))
