"""A small picture of an image, as an address that a page can hold."""

import base64
from io import BytesIO

from nbp_async._models import Image

_MOST_PIXELS = 64_000_000  # a 4K image has 17 to 25 million; what claims more is not decoded


def thumbnail(image: Image, edge: int = 96) -> str | None:
    """A `data:` address of some kilobytes: the image, its longer side `edge` pixels at most.

    None where Pillow is missing (extra [notebook]), or the image is gone or cannot be decoded.
    Reads and decodes the image, which takes up to a second for 4K: call it in a thread.
    """
    try:
        from PIL import Image as Pixels
    except ImportError:
        return None
    if image.width * image.height > _MOST_PIXELS:
        return None
    small = BytesIO()
    try:
        source = image.path or BytesIO(image.read())
        with Pixels.open(source, formats=("PNG", "JPEG", "WEBP")) as opened:
            opened.draft("RGB", (edge, edge))  # a JPEG is then decoded no larger than it has to be
            opened.thumbnail((edge, edge))
            opened.convert("RGB").save(small, "JPEG", quality=80)
    except Exception:  # noqa: BLE001  decoders raise what they like: without a picture, then
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"
