"""Undoes the compression of a body, although none was asked for: a box on the way may add it.

    body bytes ──► Stage per coding ──► plain bytes     gzip, deflate, br, zstd

The bytes decide, the label only helps. Some servers say `gzip`, `none` or `utf-8` over plain
bytes, others compress without saying so. A compressed body says itself where it ends, so one that
was cut is an error. What it inflates to is bounded by what came: 20 kB must not become 20 GB.
"""

import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Protocol

from nbp_async._base.errors import BodyTooLargeError, MalformedReplyError, TruncatedError

MOST_RATIO = 200  # bytes out for each byte in; base64 of an image has 1.3
FREE = 1024 * 1024  # bytes that may come out whatever came in

_SLICE = 16 * 1024  # bytes that are inflated at once
_ZSTD_SLICE = 1024  # bytes; zstandard has no bound on what one call gives: up to 128 KiB for 4
_ZSTD_WINDOW = 8 * 1024 * 1024  # bytes; RFC 9659, the most that zstd may ask of an HTTP client
_START = 16  # bytes that tell what a body is
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PLAIN = re.compile(
    rb"\xef\xbb\xbf|\x89PNG|\xff\xd8\xff|RIFF|.{4}ftyp|[\t\r\n\x20-\x7e]*\Z", re.DOTALL
)
_PACKAGES = {"br": "brotli", "zstd": "zstandard"}
_KNOWN = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "br": "br", "zstd": "zstd"}


class Inflater(Protocol):
    """Decompresses one coding."""

    @property
    def ended(self) -> bool:
        """The compressed data said that it is complete."""
        ...

    def inflate(self, data: bytes, most: int) -> bytes:
        """Decompress `data`; with more than `most` bytes in it, at least `most` of them.

        Raises:
            ValueError: It is not of this coding.
        """
        ...


class ContentDecoder:
    """The codings of one body.

    Args:
        header: The Content-Encoding of the response, or "".
        vendor: What messages call the other side.
    """

    __slots__ = ("_stages", "_vendor")

    def __init__(self, header: str, vendor: str) -> None:
        labels = [_KNOWN.get(label.strip().lower(), "") for label in header[:200].split(",")]
        self._vendor = vendor
        self._stages = [_Stage(label) for label in reversed(list(filter(None, labels)) or [""])]

    def feed(self, data: bytes) -> bytes:
        """Take a piece of the body, and return what is in it; it may be nothing yet.

        Raises:
            MalformedReplyError: It cannot be decompressed, or a package for that is missing.
            BodyTooLargeError: It inflates beyond all measure.
        """
        for stage in self._stages:
            data = self._run(stage, data, at_end=False)
        return data

    def close(self) -> bytes:
        """The body ended: return what was held back.

        Raises:
            TruncatedError: The compressed data is not complete.
            MalformedReplyError: As with `feed`.
        """
        data = b""
        for stage in self._stages:
            data = self._run(stage, data, at_end=True)
            if stage.is_cut:
                raise TruncatedError(
                    f"{self._vendor}: the response was cut off within its compressed data "
                    f"({stage.coding})."
                )
        return data

    def _run(self, stage: "_Stage", data: bytes, *, at_end: bool) -> bytes:
        try:
            return stage.run(data, at_end=at_end)
        except MemoryError:  # an inflater's own word for too much
            problem: MalformedReplyError = BodyTooLargeError(
                f"{self._vendor}: the compressed response ({stage.coding}) inflates to more than "
                f"{MOST_RATIO} times its size."
            )
        except ModuleNotFoundError as exc:
            problem = MalformedReplyError(
                f"{self._vendor}: the response is compressed ({stage.coding}), which was not asked "
                f"for, and {exc.name} is not installed. The image was made and is billed.",
                hint="Before the next call: pip install 'nbp-async[compression]'.",
            )
        except Exception:  # noqa: BLE001  zlib.error, brotli.error, ZstdError: no common base
            problem = MalformedReplyError(
                f"{self._vendor}: the compressed response ({stage.coding}) is damaged."
            )
        raise problem


def inflate(chunks: Iterable[bytes], codings: str) -> Iterator[bytes]:
    """A whole body without the compression that `codings` names or its bytes have.

    Raises:
        MalformedReplyError: As `ContentDecoder`.
    """
    content = ContentDecoder(codings, "a kept answer")
    for chunk in chunks:
        yield content.feed(chunk)
    yield content.close()


class _Stage:
    """One coding: held until its first bytes tell what it is, then inflated or passed on."""

    __slots__ = ("_held", "_inflater", "_is_plain", "_label", "_received", "_returned", "coding")

    def __init__(self, label: str) -> None:
        self._label = label
        self._held = b""
        self._is_plain = False
        self._inflater: Inflater | None = None
        self._received = 0
        self._returned = 0
        self.coding = label

    @property
    def is_cut(self) -> bool:
        return self._inflater is not None and not self._inflater.ended

    def run(self, data: bytes, *, at_end: bool) -> bytes:
        if self._is_plain:
            return data
        if self._inflater is None:
            data = self._held + data
            if not at_end and len(data) < _START and self._may_be_coded(data):
                self._held = data
                return b""
            self._held = b""
            self.coding = self._coding_of(data[:_START])
            if not self.coding:
                self._is_plain = True
                return data
            self._inflater = _open(self.coding)
        return self._inflate(self._inflater, data)

    def _may_be_coded(self, start: bytes) -> bool:
        """Nothing is held of a body that has no label and cannot be compressed."""
        return bool(self._label) or start[:1] in (_GZIP[:1], _ZSTD[:1])

    def _coding_of(self, start: bytes) -> str:
        """What the bytes are; "" if they are plain."""
        if self._label == "br" and start and not _PLAIN.match(start):
            return "br"
        if start.startswith(_GZIP):
            return "gzip"
        if start.startswith(_ZSTD):
            return "zstd"
        if self._label == "deflate" and start and not _PLAIN.match(start):
            is_zlib = start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0
            return "deflate" if is_zlib else "raw deflate"
        return ""

    def _inflate(self, inflater: Inflater, data: bytes) -> bytes:
        found: list[bytes] = []
        for at in range(0, len(data), _SLICE):
            piece = data[at : at + _SLICE]
            self._received += len(piece)
            most = max(FREE, MOST_RATIO * self._received) - self._returned + 1
            found.append(inflater.inflate(piece, most))
            self._returned += len(found[-1])
            if len(found[-1]) >= most:
                raise MemoryError
        return b"".join(found)


def _open(coding: str) -> Inflater:
    package = _PACKAGES.get(coding)
    if package is not None and find_spec(package) is None:
        raise ModuleNotFoundError(name=package)
    if coding == "br":
        return _Brotli()
    if coding == "zstd":
        return _Zstd()
    return _Zlib({"gzip": 31, "deflate": 15, "raw deflate": -15}[coding])


class _PartedStream(ABC):
    """A coding whose data may have several parts: the members of gzip, the frames of zstd."""

    def __init__(self, magic: bytes) -> None:
        self._stream = self._open()
        self._next = _NextPart(magic)

    @property
    def ended(self) -> bool:
        return self._stream.eof and not self._next.held

    def inflate(self, data: bytes, most: int) -> bytes:
        found: list[bytes] = []
        while data and most > 0:
            if self._stream.eof:
                data = self._next.begins(data)
                if not data:
                    break
                self._stream = self._open()
            piece, later = self._step(data, most)
            found.append(piece)
            most -= len(piece)
            data = (self._stream.unused_data if self._stream.eof else b"") + later
        return b"".join(found)

    @abstractmethod
    def _open(self) -> Any:
        """The decompressor of one part."""

    @abstractmethod
    def _step(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """Decompress some of the data; what came out, and the data that is for later."""


class _Zlib(_PartedStream):
    """gzip; and deflate, with the header of zlib or without, which has one part."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        super().__init__(_GZIP if wbits == 31 else b"")

    def _open(self) -> Any:
        return zlib.decompressobj(self._wbits)

    def _step(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        return self._stream.decompress(data, most), b""


class _Zstd(_PartedStream):
    def __init__(self) -> None:
        import zstandard

        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        super().__init__(_ZSTD)

    def _open(self) -> Any:
        return self._context.decompressobj()

    def _step(self, data: bytes, most: int) -> tuple[bytes, bytes]:  # noqa: ARG002  see _ZSTD_SLICE
        return self._stream.decompress(data[:_ZSTD_SLICE]), data[_ZSTD_SLICE:]


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._stream = brotli.Decompressor()

    @property
    def ended(self) -> bool:
        ended: bool = self._stream.is_finished()
        return ended

    def inflate(self, data: bytes, most: int) -> bytes:
        if self._stream.is_finished():
            return b""  # filling after the end
        found = [self._stream.process(data, output_buffer_limit=most)]
        while (left := most - sum(map(len, found))) > 0 and not self._stream.can_accept_more_data():
            found.append(self._stream.process(b"", output_buffer_limit=left))
        return b"".join(found)


class _NextPart:
    """What follows the end of a part: another one, if it begins like one; else filling."""

    def __init__(self, magic: bytes) -> None:
        self._magic = magic
        self._is_over = not magic
        self.held = b""

    def begins(self, data: bytes) -> bytes:
        """The beginning of the next part; nothing as long as that cannot be known."""
        data = self.held + data
        self.held = b""
        if self._is_over or data.startswith(self._magic):
            return b"" if self._is_over else data
        if self._magic.startswith(data):
            self.held = data
        else:
            self._is_over = True
        return b""
