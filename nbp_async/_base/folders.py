"""Make folders and files with the rights that they are to have, and names that last.

What a run writes shows its prompts and what they cost: by default it is for its owner alone. A
stricter umask holds, and what exists keeps its rights.
"""

import contextlib
import os
from pathlib import Path
from typing import IO

_FOLDER_MODES = {False: 0o700, True: 0o777}  # by whether it is shared; the umask takes from it
_FILE_MODES = {False: 0o600, True: 0o666}


def make_folder(folder: str | Path, *, shared: bool) -> None:
    """Make a folder, and those above it that are missing.

    Args:
        folder: Its path.
        shared: Other users may read it, as far as the umask lets them.

    Raises:
        OSError: It cannot be made, or is a file.
    """
    path = Path(folder)
    if path.is_dir():
        return
    if not path.parent.exists():
        make_folder(path.parent, shared=shared)
    try:
        path.mkdir(_FOLDER_MODES[shared])
    except FileExistsError:
        if not path.is_dir():  # else another process was faster
            raise


def file_mode(*, shared: bool) -> int:
    """The rights of a new file, before the umask."""
    return _FILE_MODES[shared]


def open_to_write(path: Path, flags: int, *, shared: bool) -> IO[bytes]:
    """Open a file to write, with more flags: O_APPEND or O_TRUNC. It is made if it is missing.

    Raises:
        OSError: It cannot be opened.
    """
    flags |= os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, file_mode(shared=shared)), "wb")


def write_file(path: Path, data: bytes, *, shared: bool) -> Path:
    """Write a file, and return its path. One that exists is replaced, and keeps its rights.

    Raises:
        OSError: It cannot be written.
    """
    with open_to_write(path, os.O_TRUNC, shared=shared) as file:
        file.write(data)
    return path


def sync_folder(folder: str) -> None:
    """Make renames in it survive a power cut; Windows has no such call.

    What was renamed is in its place by now, so an error is ignored: it must not count as lost.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
