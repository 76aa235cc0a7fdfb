"""Parts of an answer become images while they arrive: text to bytes, checked, into the sink.

An answer may hold drafts that nobody wants, and says which they are only at its end. So every
image is written as it comes and stays invisible until `keep` commits the ones that count.
"""

from collections.abc import Sequence

import msgspec

from nbp_async._dialects.base import ImageText, Part
from nbp_async._errors import MalformedReplyError, NbpError, StorageError
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

    async def keep(self, stem: str, kept: list[Kept]) -> None:
        """Check that it is a whole image, and commit it.

        It is added to `kept`, for that is known even if we are cancelled while it is committed.
        """
        facts = self._sniffer.close()
        stored: Stored | None = None
        try:
            stored = await self._writer.commit(stem, SUFFIX[facts.format])
        finally:
            stored = self._writer.stored if stored is None else stored
            if stored is not None:
                kept.append(Kept(stored, facts))

    def discard(self) -> None:
        self._writer.discard()


class _Arriving:
    """One image of an answer while it comes; broken ones wait until it is known if they count."""

    __slots__ = ("_text", "broken", "intake")

    def __init__(self, writer: Writer) -> None:
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
        self.kept: list[Kept] = []
        self._sink = sink
        self._images: dict[int, _Arriving] = {}

    async def take(self, parts: list[Part]) -> None:
        """Decode and write what the parts bring.

        A draft, or a string that only looks like an image's, may be anything: what is wrong with
        it is said by `keep`, if it counts.

        Raises:
            StorageError: The sink cannot keep it.
        """
        for part in parts:
            image = self._images.get(part.image)
            if image is None:
                image = self._images[part.image] = _Arriving(await self._sink.open())
            await image.take(part)

    async def keep(self, images: Sequence[int], stem: str) -> list[Kept]:
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
            raise problem or MalformedReplyError("The answer names no image.")
        return self.kept

    async def _keep(self, number: int, stem: str) -> None:
        image = self._images.get(number)
        if image is None:
            raise MalformedReplyError("The answer names an image that it does not hold.")
        if image.broken is not None:
            raise image.broken
        await image.intake.keep(stem, self.kept)

    def discard(self) -> None:
        """Leave no trace of what was not kept."""
        for image in self._images.values():
            image.intake.discard()
        self._images.clear()
