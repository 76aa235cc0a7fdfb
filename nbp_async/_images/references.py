"""Loads reference images: read in a thread, recognised by their bytes, checked for size."""

import errno
import os
import re
import stat
from pathlib import Path

import anyio.to_thread

from nbp_async._base.errors import ConfigError
from nbp_async._models.outcomes import Prompt, Reference

MAX_REFERENCE = 7 * 1024 * 1024  # bytes of one image; docs.apiyi.com after Google's Vertex figures
MAX_REQUEST = 70 * 1024 * 1024  # bytes of all: base64 of it stays under Google's 100 MB a request


async def load_references(prompt: Prompt) -> tuple[Reference, ...]:
    """Read the prompt's references; links stay links, for the vendor to fetch.

    Raises:
        ConfigError: A file is missing or unreadable, not an image that the models take, or the
            references are too large. Nothing was sent.
    """
    if not prompt.references:
        return ()
    loaded: list[Reference] = []
    total = 0
    for item in prompt.references:
        loaded.append(await _load(item))
        total += len(loaded[-1].data)
        if total > MAX_REQUEST:
            raise ConfigError(
                f"The references are larger than {MAX_REQUEST / 1e6:.0f} MB together, the most "
                "that one request may hold."
            )
    return tuple(loaded)


def reference_of(data: bytes, what: str) -> Reference:
    """These bytes as a reference.

    Raises:
        ConfigError: They are not an image that the models take, or too many.
    """
    mime = _mime_of(data)
    if mime is None:
        raise ConfigError(f"{what} is not a PNG, JPEG, WebP, HEIC or HEIF image.")
    if len(data) > MAX_REFERENCE:
        raise _too_large(what, len(data))
    return Reference(mime=mime, data=data)


async def _load(item: str | Path | bytes) -> Reference:
    if isinstance(item, str) and re.match(r"(https?|gs)://", item):
        return Reference(mime=_mime_of_name(item), uri=item)
    if isinstance(item, bytes):
        return reference_of(item, "a reference given as bytes")
    try:
        data = await anyio.to_thread.run_sync(_read, item)
    except OSError as exc:
        problem = ConfigError(f"Reference {item}: {exc.strerror or exc}.")
    else:
        return reference_of(data, f"reference {item}")
    raise problem


def _read(path: str | Path) -> bytes:
    """The file's bytes; its size is checked before it is opened."""
    about = os.stat(path)  # noqa: PTH116  to open a pipe would wait for its writer
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is not a file")
    if about.st_size > MAX_REFERENCE:
        raise _too_large(f"reference {path}", about.st_size)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(MAX_REFERENCE + 1)  # it may have grown


def _too_large(what: str, size: int) -> ConfigError:
    return ConfigError(
        f"{what} has {size / 1e6:.1f} MB, and at most {MAX_REFERENCE / 1e6:.1f} MB are allowed: "
        "make it smaller (1.5 MB and 4096 pixels are plenty)."
    )


def _mime_of(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _mime_of_boxes(data)
    return None


def _mime_of_boxes(data: bytes) -> str | None:
    """A file of boxes, by its brands: the first one may name no more than the container."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, size, 4))}
    if brands & {b"avif", b"avis"}:
        return None
    if brands & {b"heic", b"heix", b"hevc"}:
        return "image/heic"
    return "image/heif" if brands & {b"mif1", b"msf1"} else None


def _mime_of_name(link: str) -> str:
    suffix = link.split("?", 1)[0].rsplit(".", 1)[-1].lower()
    known = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic"}
    return known.get(suffix, "image/png")
