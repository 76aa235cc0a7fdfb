"""Reference images made ready: read off the loop, recognised by their bytes, checked for size."""

import errno
import os
import re
import stat
from pathlib import Path

import anyio.to_thread

from nbp_async._errors import ConfigError
from nbp_async._models import Prompt, Reference

MAX_REFERENCE = 7 * 1024 * 1024  # bytes of one image; docs.apiyi.com after Google's Vertex figures
MAX_REQUEST = 70 * 1024 * 1024  # bytes of all: base64 of it stays under Google's 100 MB a request


async def load_references(prompt: Prompt) -> tuple[Reference, ...]:
    """Read the prompt's references; links stay links, for the vendor to fetch.

    Raises:
        ConfigError: A file is missing or unreadable, is no image that the models take, or they
            are too large. Nothing was sent.
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
                f"The references are over {MAX_REQUEST / 1e6:.0f} MB together: more does not fit "
                "into one request. Nothing was sent."
            )
    return tuple(loaded)


async def _load(item: str | Path | bytes) -> Reference:
    if isinstance(item, str) and re.match(r"(https?|gs)://", item):
        return Reference(mime=_mime_of_name(item), uri=item)
    if isinstance(item, bytes):
        return _checked(item, "a reference given as bytes")
    try:
        data = await anyio.to_thread.run_sync(_read, item)
    except OSError as exc:
        problem = ConfigError(f"Reference {item}: {exc.strerror or exc}. Nothing was sent.")
    else:
        return _checked(data, f"reference {item}")
    raise problem


def _read(path: str | Path) -> bytes:
    """The file's bytes, if it is no larger than a reference may be; its size is asked first."""
    about = os.stat(path)  # noqa: PTH116  a pipe would be waited for if it were opened
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is no file")
    if about.st_size > MAX_REFERENCE:
        raise _too_large(f"reference {path}", about.st_size)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(MAX_REFERENCE + 1)  # it may have grown


def _too_large(what: str, size: int) -> ConfigError:
    return ConfigError(
        f"{what} has {size / 1e6:.1f} MB; at most {MAX_REFERENCE / 1e6:.1f} MB are taken: make it "
        "smaller (1.5 MB and 4096 pixels are plenty). Nothing was sent."
    )


def _checked(data: bytes, what: str) -> Reference:
    mime = _mime_of(data)
    if mime is None:
        raise ConfigError(f"{what} is no PNG, JPEG, WebP, HEIC or HEIF image. Nothing was sent.")
    if len(data) > MAX_REFERENCE:
        raise _too_large(what, len(data))
    return Reference(mime=mime, data=data)


def _mime_of(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in (b"heic", b"heix", b"hevc"):
            return "image/heic"
        if brand in (b"mif1", b"msf1"):
            return "image/heif"
    return None


def _mime_of_name(link: str) -> str:
    suffix = link.split("?", 1)[0].rsplit(".", 1)[-1].lower()
    known = {"jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic"}
    return known.get(suffix, "image/png")
