"""Files of other folders that come into one: linked where both are on one disk, else copied.

Nothing is overwritten. A file that is there already, by its name and size, is not brought again; a
name that another file has gets a mark.
"""

import os
import secrets
import shutil
from hashlib import sha256
from pathlib import Path

from nbp_async._base.errors import StorageError
from nbp_async._base.folders import make_folder, sync_folder
from nbp_async._sinks.disk_space import MIN_FREE
from nbp_async._sinks.part_file import PartFile

_CHUNK = 1024 * 1024  # bytes that are copied at once


class GatheredFiles:
    """What comes from one folder into another.

    Args:
        source: The folder that the files are in.
        target: The folder that they come into.
        taken: Names that files from all such folders will have there, with their sizes.
        renamed: A folder in the source, and what it is called in the target.
    """

    def __init__(
        self, source: Path, target: Path, taken: dict[str, int], renamed: tuple[str, str]
    ) -> None:
        self._source = source
        self._target = target
        self._taken = taken
        self._renamed = renamed
        self._names: dict[str, str] = {}

    def add(self, name: str, mark: str = "") -> str:
        """Bring this file; returns the name that it gets.

        Args:
            name: Relative to the source.
            mark: Stands in its new name, for the old one is another item's there.
        """
        known = self._names.get(name)
        if known is not None:
            return known
        old, new = self._renamed
        moved = new + name.removeprefix(old) if old and name.startswith(old) else name
        moved = marked(moved, mark) if mark else moved
        size = _size(self._source / name)
        if size is not None:
            there = self._taken.get(moved, _size(self._target / moved))
            if there not in (None, size):  # another mark, which is the same at each try
                moved = marked(moved, sha256(str(self._source / name).encode()).hexdigest()[:6])
            self._taken[moved] = size
        self._names[name] = moved
        return moved

    def settle(self, name: str, new: str) -> None:
        """This file is in the target under that name already; under "", it is not wanted there."""
        self._names[name] = new

    def knows(self, name: str) -> bool:
        """It was added or settled."""
        return name in self._names

    def missing(self) -> list[tuple[Path, Path]]:
        """Pairs of what is still to be brought, and where."""
        pairs = (
            (self._source / name, self._target / new) for name, new in self._names.items() if new
        )
        return [(old, new) for old, new in pairs if old.is_file() and _size(new) != _size(old)]


def bring(pairs: list[tuple[Path, Path]], target: Path, more: int) -> None:
    """Bring these files into the folder `target`, where `more` bytes are needed for other things.

    Raises:
        StorageError: They do not fit. Nothing was changed.
        OSError: One of them cannot be read or written.
    """
    linkable = {folder: can_link(folder, target) for folder in {old.parent for old, _ in pairs}}
    copied = sum(old.stat().st_size for old, _ in pairs if not linkable[old.parent])
    needed, free = copied + more + MIN_FREE, shutil.disk_usage(target).free
    if free < needed:
        raise StorageError(
            f"The disk of {target} has {free / 1e6:,.0f} MB left, and {needed / 1e6:,.0f} MB are "
            "needed. Nothing was merged.",
            hint="Free space there; files on the same disk are linked, and need none.",
        )
    for folder in {new.parent for _, new in pairs}:
        make_folder(folder, shared=False)
    for old, new in pairs:
        if linkable[old.parent]:
            os.link(old, new)
        else:
            _copy(old, new)
    for folder in {new.parent for _, new in pairs}:
        sync_folder(str(folder))


def can_link(source: Path, target: Path) -> bool:
    """A file of the one folder can have a second name in the other one."""
    name = f".{os.getpid()}-{secrets.token_hex(8)}.part"
    probe, second = source / name, target / name
    try:
        probe.touch(0o600)
        os.link(probe, second)
    except OSError:
        return False
    else:
        return True
    finally:
        for path in (probe, second):
            path.unlink(missing_ok=True)


def _copy(old: Path, new: Path) -> None:
    part, is_new = PartFile(str(new.parent)), False
    try:
        with old.open("rb") as file:
            while data := file.read(_CHUNK):
                part.append([data])
        is_new = part.publish_new(str(new))
    finally:
        if not is_new:
            part.remove()
    if not is_new:
        raise FileExistsError(f"{new} was made by another program meanwhile")
    made = old.stat()
    os.utime(new, (made.st_atime, made.st_mtime))


def marked(name: str, mark: str) -> str:
    """The name of an image or reply with a mark after its place: `000012-5f3a9c-…`."""
    folder, slash, file = name.rpartition("/")
    place, dash, rest = file.partition("-")
    return f"{folder}{slash}{place}-{mark}{dash}{rest}"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
