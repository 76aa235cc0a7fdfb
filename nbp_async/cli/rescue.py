"""Images that their folder could not take: memory ends with the command, and they are paid for."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from nbp_async import Image, Outcome
from nbp_async.cli.output import say

_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


def rescue(image: Image, places: Iterable[Path], console: Console) -> Path | None:
    """Store an image that is in memory in the first of these folders that takes it. Blocks.

    Returns:
        Its file, which people are told of; None if no folder takes it, which they are told, too.
    """
    name = f"{image.index:06d}-{image.sha256[:12]}{_SUFFIX[image.format]}"
    problem = ""
    for place in places:
        path = place / name
        try:
            file = path.open("xb")  # nobody's file is replaced, and no link followed
        except OSError as exc:
            problem = f"{place}: {exc.strerror or exc}"
            continue
        try:
            with file:
                file.write(image.read())
        except OSError as exc:
            problem = f"{place}: {exc.strerror or exc}"
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        say(console, f"Image {image.index + 1} could not be stored as it came: it is in {path}")
        return path
    say(console, f"Image {image.index + 1} was paid for, and cannot be stored. {problem}")
    return None


def lasting(outcome: Outcome, folder: Path, console: Console) -> Iterator[str]:
    """Where the images of an outcome are, rescued to the folder if they would not last. Blocks."""
    if isinstance(outcome, Image):
        for image in (outcome, *outcome.extras):
            kept = image.location and (image.path is None or not image.stored.keep)
            place = image.location if kept else rescue(image, (folder,), console)
            if place is not None:
                yield str(place)
