"""How the strings look that are images: in the body of an answer, and what stands for them.

The scanner leads images past the document, and writes a mark in the place of each.
"""

import re
import secrets

# How base64 of an image file begins: PNG, JPEG (in either alphabet), WebP, GIF, AVIF or HEIC, SVG.
BASE64_IMAGE = rb"iVBORw0KGgo|\\?[/_]9j\\?[/_]4|UklGR|R0lGODlh|AAAA..Z0eX|PHN2Zy|PD94bWwg"
IMAGE_BEGINS = re.compile(BASE64_IMAGE, re.DOTALL)
LONGEST_BEGINNING = 16  # bytes that tell

# A data: address within a text. A slash may be escaped.
ADDRESS = b"data:image"
ADDRESS_HEAD = re.compile(
    rb"data:image\\?/[\w.+\-]{1,40}(?:;[\w\-]{1,40}=[\w\-.]{0,40}){0,3};base64,"
    rb"(?=[A-Za-z0-9+/_\-]{16})",
    re.IGNORECASE,
)
LONGEST_HEAD = 320  # bytes
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/=_\-]++|\\/|\\u00(?:2[bBfF]|3[dD]))*+")

# Stands for image number n in the skeleton. No server can guess it, so no answer can name an image
# that it does not contain.
_MARK = f"image-{secrets.token_hex(16)}-"
_NUMBERED = re.compile(_MARK + r"(\d+)")


def mark_of(number: int) -> str:
    """What stands for image `number` in the skeleton."""
    return f"{_MARK}{number}"


def image_number(value: object) -> int | None:
    """The number of the image that a string of the skeleton stands for, or None."""
    found = _NUMBERED.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else None


def image_numbers(value: object) -> list[int]:
    """The numbers of all images in a value of the skeleton, in their order."""
    if isinstance(value, str):
        return [int(number) for number in _NUMBERED.findall(value)]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for one in inner for number in image_numbers(one)]


def without_images(text: str) -> str:
    """A text of the skeleton without what stands for images."""
    return _NUMBERED.sub("", text)


def length_of_cut_address(text: bytes) -> int:
    """How many bytes at the end of `text` may be the beginning of a data: address."""
    lengths = range(min(len(ADDRESS) - 1, len(text)), 0, -1)
    return next((n for n in lengths if ADDRESS.startswith(text[-n:])), 0)
