"""Images that could not be stored where they belong. They are paid for, and memory ends with the
command: they go to another folder.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from nbp_async import Image, Outcome
from nbp_async.cli.output import print_line

_SUFFIX = {"jpeg": ".jpg"}  # of all others, the suffix is the name


def is_lasting(image: Image) -> bool:
    """The image is in a store, or in a file that is not temporary."""
    return bool(image.location) and not image.stored.is_temporary


def save_elsewhere(image: Image, folders: Iterable[Path], console: Console) -> Path | None:
    """Save an image in the first of these folders that accepts it, and print where. Blocks.

    Returns:
        Its file; None if no folder accepts it.
    """
    name = f"{image.index:06d}-{image.sha256[:12]}{_SUFFIX.get(image.format, f'.{image.format}')}"
    problem = ""
    for folder in folders:
        path = folder / name
        try:
            # Replaces no file, follows no link, and only its owner may read it.
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            problem = f"{folder}: {exc.strerror or exc}"
            continue
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(image.read())
        except OSError as exc:
            problem = f"{folder}: {exc.strerror or exc}"
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        print_line(console, f"Image {image.index + 1} could not be stored; it is saved in {path}")
        return path
    lost = f"Image {image.index + 1} was paid for and could not be saved anywhere."
    print_line(console, f"{lost} {problem}")
    return None


def image_locations(outcome: Outcome, folder: Path, console: Console) -> Iterator[str]:
    """Where the images of an outcome are; saves those that do not last in the folder. Blocks."""
    if isinstance(outcome, Image):
        for image in (outcome, *outcome.extras):
            location: str | Path | None = image.location
            if not is_lasting(image):
                location = save_elsewhere(image, (folder,), console)
            if location is not None:
                yield str(location)
