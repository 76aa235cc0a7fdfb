"""From a good answer to an Image: its bytes made safe, its links followed, its facts told."""

from collections.abc import Sequence

from nbp_async._dialects.base import Answer
from nbp_async._errors import DownloadError, MalformedReplyError, NbpError
from nbp_async._flow.wiring import Wiring
from nbp_async._images.collect import Collector, Kept
from nbp_async._images.download import Downloader
from nbp_async._models import Attempt, Image, Prompt
from nbp_async._sinks.base import Sink

Brought = tuple[Kept, str]
"""An image that is safe, and the link that it came by, or ""."""


async def store(
    wiring: Wiring,
    sink: Sink,
    answer: Answer,
    collector: Collector,
    stem: str,
    brought: list[Brought],
) -> None:
    """Make the answer's images safe, the wanted one first; of several, some may be broken.

    What is safe is added to `brought` at once: who is cancelled meanwhile finds it there.

    Raises:
        MalformedReplyError: None of them is a whole image.
        DownloadError: None of its links brought one.
        StorageError: They cannot be kept.
    """
    if not answer.images:
        await follow(wiring.downloads, sink, answer.links, stem, brought)
        return
    try:
        await collector.keep(answer.images, stem)
    finally:
        brought += [(one, "") for one in collector.kept]


async def follow(
    downloads: Downloader, sink: Sink, links: Sequence[str], stem: str, brought: list[Brought]
) -> None:
    """Bring the images behind these links; one bad link does not cost us the others.

    Raises:
        NbpError: None of them brought one; what is wrong with the first.
        StorageError: They cannot be kept.
    """
    problem: NbpError | None = None
    for link in links:
        kept: list[Kept] = []
        try:
            stem_of_this = f"{stem}-extra{len(brought)}" if brought else stem
            await downloads.fetch(link, sink, stem_of_this, kept)
        except (DownloadError, MalformedReplyError) as exc:
            problem = problem or exc
        finally:
            brought += [(one, link) for one in kept]
    if not brought:
        raise problem or DownloadError("There is no link to follow.", url="")


def describe(
    brought: Sequence[Brought],
    answer: Answer,
    *,
    index: int,
    prompt: Prompt,
    pixels: tuple[int, int] | None,
    expires: float | None,
    attempts: tuple[Attempt, ...] = (),
    earlier: tuple[Attempt, ...] = (),
) -> Image:
    """Say what came: the first is the image, the others are its extras."""

    def one(
        found: Brought,
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
        )

    extras = tuple(one(found) for found in brought[1:]) if len(brought) > 1 else ()
    return one(brought[0], attempts, earlier, extras)


def mismatch(expected: tuple[int, int] | None, got: tuple[int, int]) -> str:
    """How the pixels differ from what was asked, in words, or ""."""
    if expected is None or expected == got:
        return ""
    return f"asked for {expected[0]}x{expected[1]}, got {got[0]}x{got[1]}"
