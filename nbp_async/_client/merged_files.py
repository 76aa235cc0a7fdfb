"""The files of a run that is merged: images, kept answers, and what waits for a store."""

from collections.abc import Iterator
from pathlib import Path

from nbp_async._journal import records
from nbp_async._journal.lost_journal import images_in
from nbp_async._sinks.gathered_files import GatheredFiles
from nbp_async._sinks.object_sink import waiting_images
from nbp_async._sinks.unread import SUFFIX, UNREAD
from nbp_async._stores.store_address import is_store

_HASH = 13  # characters of an image's name after its stem: a hyphen, and 12 of its hash


class RunFiles:
    """The files of one run, as `merged_items.MovedFiles`.

    Args:
        journal: Of the run.
        target: The merged journal.
        taken: See `GatheredFiles`; all runs share it.
        inside: Files that lie in the run's folder come into the merged run's; else only those do
            that wait for a store.
    """

    def __init__(self, journal: Path, target: Path, taken: dict[str, int], *, inside: bool) -> None:
        self._base = journal.parent
        self._target = target.parent
        self._inside = inside
        self._waiting = f"{waiting_images(journal).name}/"
        renamed = (self._waiting, f"{waiting_images(target).name}/")
        self._gathered = GatheredFiles(self._base, self._target, taken, renamed)
        self._marks: dict[str, str] = {}

    def moved(self, path: str, mark: str) -> str:
        if not path or is_store(path):
            return path
        name = records.relative_to(path, self._base)
        if not Path(name).is_absolute() and (self._inside or name.startswith(self._waiting)):
            new = self._gathered.add(name, mark)
            return new if name == path else str(self._target / new)
        return records.relative_to(records.absolute_in(path, self._base), self._target)

    def known(self, path: str, new: str) -> None:
        if path and not is_store(path):
            name = records.relative_to(path, self._base)
            self._gathered.settle(name, records.relative_to(new, self._target))

    def restem(self, stem: str, mark: str) -> None:
        self._marks[stem] = mark

    def missing(self) -> list[tuple[Path, Path]]:
        """What is still to be brought, with the files that no item names, and where to."""
        for path in self._others():
            name = str(path.relative_to(self._base))
            if not self._gathered.knows(name):
                self._gathered.add(name, self._marks.get(path.stem[:-_HASH], ""))
        return self._gathered.missing()

    def _others(self) -> Iterator[Path]:
        yield from images_in(self._base / self._waiting)
        if self._inside:
            yield from images_in(self._base)
            yield from (self._base / UNREAD).glob(f"*{SUFFIX}")
