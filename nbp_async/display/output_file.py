"""A file that people asked for, with prompts or images in it: complete or absent, and private."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from nbp_async._base.folders import open_to_write


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside it, which takes its place when the block ends without an error.

    A new file is for its owner alone; one that it replaces passes its rights on.

    Raises:
        OSError: It cannot be written. What was there is unchanged.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of a process that was killed; and no link is followed
    try:
        with open_to_write(part, os.O_EXCL, shared=False) as file:
            yield cast("BinaryIO", file)
        if path.exists():
            part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
