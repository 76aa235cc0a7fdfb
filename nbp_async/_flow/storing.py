"""From a complete answer to an Image: store its bytes, follow its links, describe it."""

from collections.abc import Sequence

from nbp_async._base.errors import DownloadError, MalformedReplyError, NbpError
from nbp_async._dialects.base import Answer
from nbp_async._flow.call_state import CallState
from nbp_async._images.collector import Collector, KeptImage
from nbp_async._images.download import Downloader
from nbp_async._images.sniff import ImageFacts
from nbp_async._models.outcomes import Attempt, Image, Prompt, Stored
from nbp_async._sinks.base import Sink

ReceivedImage = tuple[KeptImage, str]
"""An image that is safe, and the link that it came by, or ""."""


async def store(
    downloads: Downloader,
    call: CallState,
    answer: Answer,
    collector: Collector,
    stem: str,
    received: list[ReceivedImage],
) -> None:
    """Store the answer's images, the wanted one first; of several, some may be broken.

    What is safe is added to `received` at once: a caller that is cancelled finds it there. In a
    call that keeps links they are what such an answer brings, and nothing is downloaded.

    Raises:
        MalformedReplyError: None of them is a whole image.
        DownloadError: None of its links leads to one.
        StorageError: They cannot be kept.
    """
    if not answer.images and call.keeps_links:
        received += kept_links(answer.links)
        return
    if not answer.images:
        await follow(downloads, call.sink, answer.links, stem, received)
        return
    try:
        await collector.keep(answer.images, stem)
    finally:
        received += [(one, "") for one in collector.kept]


def kept_links(links: Sequence[str]) -> list[ReceivedImage]:
    """Links as what was received: there are no bytes, and nothing is known of the image."""
    nothing = KeptImage(Stored(0, b""), ImageFacts("", 0, 0))
    return [(nothing, link) for link in links]


async def follow(
    downloads: Downloader,
    sink: Sink,
    links: Sequence[str],
    stem: str,
    received: list[ReceivedImage],
) -> None:
    """Fetch the images behind these links; one bad link does not cost us the others.

    Raises:
        NbpError: None of them leads to an image; what is wrong with the first.
        StorageError: They cannot be kept.
    """
    first_error: NbpError | None = None
    for link in links:
        kept: list[KeptImage] = []
        try:
            stem_of_this = f"{stem}-extra{len(received)}" if received else stem
            await downloads.fetch(link, sink, stem_of_this, kept)
        except (DownloadError, MalformedReplyError) as exc:
            first_error = first_error or exc
        finally:
            received += [(one, link) for one in kept]
    if not received:
        raise first_error or DownloadError("There is no link to follow.", url="")


def describe(
    received: Sequence[ReceivedImage],
    answer: Answer,
    *,
    index: int,
    prompt: Prompt,
    pixels: tuple[int, int] | None,
    expires: float | None,
    attempts: tuple[Attempt, ...] = (),
    earlier: tuple[Attempt, ...] = (),
) -> Image:
    """Describe what came: the first is the image, the others are its extras."""

    def one(
        found: ReceivedImage,
        attempts: tuple[Attempt, ...] = (),
        earlier: tuple[Attempt, ...] = (),
        extras: tuple[Image, ...] = (),
    ) -> Image:
        kept, url = found
        facts = kept.facts
        return Image(
            index=index,
            prompt=prompt,
            attempts=attempts,
            earlier=earlier,
            stored=kept.stored,
            format=facts.format,
            width=facts.width,
            height=facts.height,
            url=url,
            url_expires=expires if url else None,
            model=answer.model,
            usage=answer.usage,
            mismatch=mismatch(pixels, (facts.width, facts.height)),
            extras=extras,
            notes=answer.notes + facts.notes,
        )

    return one(received[0], attempts, earlier, tuple(map(one, received[1:])))


def mismatch(expected: tuple[int, int] | None, got: tuple[int, int]) -> str:
    """How the pixels differ from what was requested, in words, or ""."""
    if expected is None or got in (expected, (0, 0)):  # an SVG may not say
        return ""
    return f"asked for {expected[0]}x{expected[1]}, got {got[0]}x{got[1]}"
