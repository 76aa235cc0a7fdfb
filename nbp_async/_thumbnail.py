"""A small picture of an image, as an address that a page can hold."""

import base64
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Protocol

from nbp_async._errors import StorageError

_MOST_PIXELS = 64_000_000  # a 4K image has 17 to 25 million; what claims more is not decoded


class Pictured(Protocol):
    """What can have a small picture: an `Image`."""

    @property
    def path(self) -> Path | None: ...
    @property
    def location(self) -> str: ...
    @property
    def pixels(self) -> tuple[int, int]: ...
    def read(self) -> bytes: ...


def thumbnail(image: Pictured, edge: int = 96) -> str | None:
    """A `data:` address of some kilobytes: the image, its longer side `edge` pixels at most.

    None where Pillow is missing (extra [notebook]), or the image is gone, in a store (a picture is
    not worth a download) or cannot be decoded; `why_none` says which. Reads and decodes the image,
    which takes up to a second for 4K: call it in a thread.
    """
    try:
        from PIL import Image as Pixels
    except ImportError:
        return None
    if _is_away(image) or _too_many(image.pixels):
        return None
    small = BytesIO()
    try:
        source = image.path or BytesIO(image.read())
        with Pixels.open(source, formats=("PNG", "JPEG", "WEBP")) as opened:
            if _too_many(opened.size):
                return None
            opened.draft("RGB", (edge, edge))  # a JPEG is then decoded no larger than it has to be
            opened.thumbnail((edge, edge))
            opened.convert("RGB").save(small, "JPEG", quality=80)
    except Exception:  # noqa: BLE001  decoders raise what they like: without a picture, then
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"


def why_none(image: Pictured) -> str:
    """Why it has no small picture, in a sentence."""
    if _is_away(image):
        return "It is in a store: a picture of it would be a download."
    if image.path is not None and not is_there(image.path):
        return "Its file is not there any more."
    if find_spec("PIL") is None:
        return 'For small pictures: pip install "nbp-async[notebook]".'
    try:
        if not image.location:
            image.read()
    except StorageError as exc:
        return str(exc)
    return "Its bytes cannot be shown here."


def is_there(path: Path) -> bool:
    """The file is there, and its folder may be looked into."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_away(image: Pictured) -> bool:
    return image.path is None and bool(image.location)


def _too_many(pixels: tuple[int, int]) -> bool:
    return pixels[0] * pixels[1] > _MOST_PIXELS
