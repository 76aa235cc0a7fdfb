"""Parts of an answer become images while they arrive: text to bytes, checked, into the sink.

An answer may hold drafts that nobody wants, and says which they are only at its end. So every
image is written as it comes and stays invisible until `keep` commits the ones that count.
"""

from collections.abc import Sequence

import msgspec

from nbp_async._dialects.base import ImageText, Part
from nbp_async._errors import MalformedReplyError
from nbp_async._images.base64_stream import Base64Stream
from nbp_async._images.sniff import SUFFIX, ImageFacts, ImageSniffer
from nbp_async._models import Stored
from nbp_async._sinks.base import Sink, Writer


class Kept(msgspec.Struct, frozen=True):
    """An image that is safe: where it is, and what its bytes say of it."""

    stored: Stored
    facts: ImageFacts


class ByteIntake:
    """Bytes of one image on their way to the sink, looked at as they pass."""

    __slots__ = ("_sniffer", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._sniffer = ImageSniffer()

    async def take(self, data: bytes) -> None:
        if data:
            self._sniffer.feed(data)
            await self._writer.write(data)

    async def keep(self, stem: str) -> Kept:
        """Check that it is a whole image, and commit it."""
        facts = self._sniffer.close()
        return Kept(await self._writer.commit(stem, SUFFIX[facts.format]), facts)

    def discard(self) -> None:
        self._writer.discard()


class Collector:
    """The images of one answer, from their first character to the sink."""

    __slots__ = ("_images", "_sink")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._images: dict[int, tuple[Base64Stream, ByteIntake]] = {}

    async def take(self, parts: list[Part]) -> None:
        """Decode and write what the parts bring.

        Raises:
            MalformedReplyError: An image's text is not base64.
            StorageError: The sink cannot keep it.
        """
        for part in parts:
            entry = self._images.get(part.image)
            if entry is None:
                entry = Base64Stream(), ByteIntake(await self._sink.open())
                self._images[part.image] = entry
            text, intake = entry
            await intake.take(text.feed(part.text) if isinstance(part, ImageText) else text.close())

    async def keep(self, images: Sequence[int], stem: str) -> list[Kept]:
        """Commit the images that count, in this order; the others are dropped by `discard`.

        Raises:
            NotAnImageError: None of them is a whole image; what is wrong with the last.
            StorageError: It cannot be kept.
        """
        kept: list[Kept] = []
        for place, number in enumerate(images):
            if number not in self._images:
                raise MalformedReplyError("The answer names an image that it does not hold.")
            _, intake = self._images[number]
            try:
                kept.append(await intake.keep(f"{stem}-extra{place}" if kept else stem))
            except MalformedReplyError:
                if not kept and place == len(images) - 1:
                    raise
                continue  # broken, and not the only one
            del self._images[number]
        return kept

    def discard(self) -> None:
        """Leave no trace of what was not kept."""
        for _, intake in self._images.values():
            intake.discard()
        self._images.clear()
