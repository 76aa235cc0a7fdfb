"""A thumbnail of an image, as a `data:` URL for HTML pages."""

import base64
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Protocol

from nbp_async._base.errors import StorageError

_MAX_PIXELS = 64_000_000  # a 4K image has 17 to 25 million; larger ones are not decoded


class ImageSource(Protocol):
    """What a thumbnail can be made of: an `Image`."""

    @property
    def path(self) -> Path | None: ...
    @property
    def location(self) -> str: ...
    @property
    def pixels(self) -> tuple[int, int]: ...
    def read(self) -> bytes: ...


def thumbnail(image: ImageSource, edge: int = 96) -> str | None:
    """A `data:` URL of some kilobytes: the image, its longer side at most `edge` pixels.

    None if Pillow is missing (extra [notebook]), or the image is gone, in a store or behind a link
    (a thumbnail is not worth a download) or cannot be decoded; `why_no_thumbnail` says which. Reads
    and decodes the image, which takes up to a second for 4K: call it in a thread.
    """
    try:
        from PIL import Image as Pixels
    except ImportError:
        return None
    if _is_elsewhere(image) or _is_too_large(image.pixels):
        return None
    small = BytesIO()
    try:
        source = image.path or BytesIO(image.read())
        with Pixels.open(source, formats=("PNG", "JPEG", "WEBP")) as opened:
            if _is_too_large(opened.size):
                return None
            opened.draft("RGB", (edge, edge))  # decodes a JPEG at a smaller scale, which is faster
            opened.thumbnail((edge, edge))
            opened.convert("RGB").save(small, "JPEG", quality=80)
    except Exception:  # noqa: BLE001  decoders raise errors of many kinds; a thumbnail is not worth one
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"


def why_no_thumbnail(image: ImageSource) -> str:
    """Why it has no thumbnail, in a sentence."""
    if _is_elsewhere(image):
        return "It is in a store or a link, and a thumbnail is not worth a download."
    if image.path is not None and not file_exists(image.path):
        return "Its file does not exist any more."
    if find_spec("PIL") is None:
        return 'For thumbnails: pip install "nbp-async[notebook]".'
    try:
        if not image.location:
            image.read()
    except StorageError as exc:
        return str(exc)
    return "Its bytes cannot be shown here."


def file_exists(path: Path) -> bool:
    """The file exists, and its folder can be read."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_elsewhere(image: ImageSource) -> bool:
    return image.path is None and bool(image.location)


def _is_too_large(pixels: tuple[int, int]) -> bool:
    return pixels[0] * pixels[1] > _MAX_PIXELS
