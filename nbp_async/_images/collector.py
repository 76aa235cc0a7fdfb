"""Turns the parts of an answer into images while they arrive: decodes, checks and writes them.

An answer may contain drafts, and says which images are drafts only at its end. So each image is
written as it arrives and stays invisible until `keep` commits the ones that count.
"""

from collections.abc import Sequence

import msgspec

from nbp_async._base.errors import MalformedReplyError, NbpError, StorageError
from nbp_async._dialects.base import ImageText, Part
from nbp_async._images.base64_stream import Base64Stream
from nbp_async._images.sniff import SUFFIX, ImageFacts, ImageSniffer
from nbp_async._models.outcomes import Stored
from nbp_async._sinks.base import ImageWriter, Sink


class KeptImage(msgspec.Struct, frozen=True):
    """An image that is safe: where it is, and what its bytes say about it."""

    stored: Stored
    facts: ImageFacts


class ByteIntake:
    """Bytes of one image on their way to the sink, checked as they pass."""

    __slots__ = ("_sniffer", "_writer")

    def __init__(self, writer: ImageWriter) -> None:
        self._writer = writer
        self._sniffer = ImageSniffer()

    async def take(self, data: bytes) -> None:
        if data:
            self._sniffer.feed(data)
            await self._writer.write(data)

    async def keep(self, stem: str, kept: list[KeptImage], *, is_framed: bool = True) -> None:
        """Check that it is a whole image, and commit it.

        It is added to `kept` instead of returned, because it may be committed although this call is
        cancelled meanwhile: then the caller still finds it there.
        """
        facts = self._sniffer.close(is_framed=is_framed)
        stored: Stored | None = None
        try:
            stored = await self._writer.commit(stem, SUFFIX[facts.format])
        finally:
            stored = self._writer.stored if stored is None else stored
            if stored is not None:
                kept.append(KeptImage(stored, facts))

    def discard(self) -> None:
        self._writer.discard()


class _IncomingImage:
    """One image of an answer while it arrives. A broken one matters only if it counts."""

    __slots__ = ("_text", "broken", "intake")

    def __init__(self, writer: ImageWriter) -> None:
        self._text = Base64Stream()
        self.intake = ByteIntake(writer)
        self.broken: MalformedReplyError | None = None

    async def take(self, part: Part) -> None:
        if self.broken is not None:
            return
        text = self._text
        try:
            data = text.feed(part.text) if isinstance(part, ImageText) else text.close()
            if data:
                await self.intake.take(data)
        except MalformedReplyError as exc:
            self.broken = exc.with_traceback(None)  # whose frames hold what was being decoded
            self.intake.discard()


class Collector:
    """The images of one answer, from their first character to the sink.

    Attributes:
        kept: The images that are safe, the wanted one first; `discard` leaves them. An image that
            was being committed when `keep` was cancelled is among them.
    """

    __slots__ = ("_images", "_sink", "kept")

    def __init__(self, sink: Sink) -> None:
        self.kept: list[KeptImage] = []
        self._sink = sink
        self._images: dict[int, _IncomingImage] = {}

    async def take(self, parts: list[Part]) -> None:
        """Decode and write what the parts bring.

        A draft, or a string under the key of an image, may be anything: `keep` raises what is wrong
        with it, if it counts.

        Raises:
            StorageError: The sink cannot keep it.
        """
        for part in parts:
            image = self._images.get(part.image)
            if image is None:
                image = self._images[part.image] = _IncomingImage(await self._sink.open())
            await image.take(part)

    async def keep(self, images: Sequence[int], stem: str) -> list[KeptImage]:
        """Commit the images that count, in this order; the others are dropped by `discard`.

        Raises:
            MalformedReplyError: None of them is a whole image; what is wrong with the first.
            StorageError: They cannot be kept.
        """
        problem: NbpError | None = None
        for place, number in enumerate(images):
            try:
                await self._keep(number, f"{stem}-extra{place}" if self.kept else stem)
            except (MalformedReplyError, StorageError) as exc:
                problem = problem or exc  # one bad image does not cost us the others
        if not self.kept:
            raise problem or MalformedReplyError("The response names no image.")
        return self.kept

    async def _keep(self, number: int, stem: str) -> None:
        image = self._images.get(number)
        if image is None:
            raise MalformedReplyError("The response names an image that it does not contain.")
        if image.broken is not None:
            raise image.broken
        await image.intake.keep(stem, self.kept)

    def discard(self) -> None:
        """Leave no trace of what was not kept."""
        for image in self._images.values():
            image.intake.discard()
        self._images.clear()
