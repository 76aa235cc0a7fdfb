"""Recognise a run whose journal is lost: to begin another would buy all its images again.

Beside a journal that is missing or blank, each of these says that a run was here:

| what | why |
| --- | --- |
| a manifest | each line is an outcome, most of them paid for |
| files named as `000012-5f3a9c01d2e4.png` | only our sinks give such names |
| a write-ahead log with a commit, or without its journal | it holds what the journal lacks; SQLite would delete it |
| an index of such a log (`-shm`) without the log | the log was there, and was not copied |

Other files, images among them, say nothing: such a folder can be used.
"""  # noqa: E501  a table

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from nbp_async._base.errors import JournalError
from nbp_async._base.text import format_dollars, plural
from nbp_async._journal.manifest import read_manifest
from nbp_async._models.outcomes import ZERO, ImageFormat

_SUFFIXES = "|".join(get_args(ImageFormat)).replace("jpeg", "jpg")
IMAGE_NAME = re.compile(
    rf"(?P<place>\d{{6,}})(-[0-9a-f]{{6}})?(-extra\d+)?-(?P<hash>[0-9a-f]{{12}})\.({_SUFFIXES})"
)
_LOG_HEADER = 32  # bytes before the first frame of a write-ahead log
_FRAME_HEADER = 24  # bytes before the page of each frame


def refuse_lost_run(path: Path, folder: Path | None, manifest: Path | None) -> None:
    """Raise if there was a run here. The journal at `path` is missing or blank.

    Args:
        path: The journal.
        folder: The folder of its images, or None if they are in a store.
        manifest: Its manifest, or None.

    Raises:
        JournalError: Says what is there, what it cost, and what to do.
    """
    traces = [*_lines(manifest), *_images(folder), *_logs(path)]
    if not traces:
        return
    state = "is blank" if path.exists() else "is missing"
    raise JournalError(
        f"The journal {path} {state}, but there was a run: {', '.join(traces)}. A new journal "
        "would buy its images again. Nothing was changed, nothing was sent.",
        hint="`nbp rebuild` with this folder makes a journal from what is there; or restore the "
        "journal together with its -wal file. To begin anew, use another folder, or move the "
        "manifest, the images and the journal's files out of this one.",
    )


def rebuilt_path(path: Path) -> Path:
    """A rebuilt journal on its way to `path`; while it is there, no call begins."""
    return path.with_name(f"{path.name}.rebuilt")


def merging_path(path: Path) -> Path:
    """A sign that a merge into `path` has begun; while it is there, no call begins."""
    return path.with_name(f"{path.name}.merging")


def refuse_unfinished(path: Path, *, but: str = "") -> None:
    """Raise if a rebuild or a merge was interrupted: old and new files may be mixed.

    `but` is the one of the two that would finish it.
    """
    for what, sign in (("rebuild", rebuilt_path(path)), ("merge", merging_path(path))):
        if what != but and sign.exists():
            raise JournalError(
                f"A {what} of {path} was interrupted. Nothing was changed, nothing was sent.",
                hint=f"The same `nbp {what}`, made again, finishes it.",
            )


def images_in(folder: Path | None) -> Iterator[Path]:
    """The files in the folder that are named as our sinks name images."""
    if folder is None:
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if IMAGE_NAME.fullmatch(entry.name) and entry.is_file():
                yield Path(entry.path)


def _lines(manifest: Path | None) -> Iterator[str]:
    """What the manifest says.

    Raises:
        JournalError: It is a file of somebody else, which we would overwrite.
    """
    if manifest is None or not manifest.is_file() or not manifest.stat().st_size:
        return
    lines = list(read_manifest(manifest))
    ours = [line for line in lines if line is not None]
    if not ours:
        raise JournalError(
            f"{manifest} is not a manifest of nbp_async, and this run would overwrite it. "
            "Nothing was changed, nothing was sent.",
            hint="Rename it, or use another folder, or another name for the journal.",
        )
    spent = sum((line.spent_usd for line in ours), ZERO)
    yield f"{manifest.name} with {plural(len(lines), 'outcome')} ({format_dollars(spent)} spent)"


def _images(folder: Path | None) -> Iterator[str]:
    count = sum(1 for _ in images_in(folder))
    if count:
        yield plural(count, "image")


def _logs(path: Path) -> Iterator[str]:
    log, index = path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")
    if _has_commit(log) or (_size(log) and not _size(path)):
        yield log.name
    elif index.exists() and not log.exists():
        yield index.name


def _has_commit(log: Path) -> bool:
    """A frame in it ends a transaction. A process that was killed before its first left none."""
    try:
        with log.open("rb") as file:
            page = int.from_bytes(file.read(_LOG_HEADER)[8:12], "big")
            while page:
                frame = file.read(_FRAME_HEADER)
                if len(frame) + len(file.read(page)) < _FRAME_HEADER + page:
                    return False
                if any(frame[4:8]):  # size of the database after this commit
                    return True
    except OSError:
        pass
    return False


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
