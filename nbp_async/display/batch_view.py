"""A batch in a notebook: thumbnails of some of its images, what failed and why, and the bill.

A kernel shows it at once and adds the thumbnails as threads make them, so that calls beside it
are not held up. A page with thousands of originals is what `sheet.py` writes.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape

from nbp_async._base.html import FRAME, LINE, SOFT, line_of
from nbp_async._base.text import plural, printable
from nbp_async._models.outcomes import Image, Outcome
from nbp_async._models.thumbnails import thumbnail, why_no_thumbnail
from nbp_async.display.progress import Progress
from nbp_async.display.progress_html import failures_html
from nbp_async.display.progress_text import facts_of, headline
from nbp_async.display.screen import Screen

MOST_SHOWN = 24  # images
_EDGE = 144  # pixels of a thumbnail's longer side
_MOST_CHARACTERS = 200_000  # of all thumbnails together
_THREADS = 2
_INTERVAL = 1.0  # seconds between two drawings while thumbnails come
_MOST_PROMPT = 100  # characters of a prompt under a thumbnail
_MOST_NUMBERS = 10
_GRID = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(7.4rem,1fr));gap:.6em;margin:.6em 0"
)
_FIGURE = "margin:0;min-width:0;break-inside:avoid"
_BOX = (
    "display:block;box-sizing:border-box;width:100%;height:auto;aspect-ratio:1;margin:0;"
    f"border:1px solid {LINE};border-radius:.25em"
)
_CAPTION = (
    "font-size:.85em;line-height:1.35;margin:.2em 0 0;overflow-wrap:anywhere;overflow:hidden;"
    "display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;max-height:2.7em"
)

Thumbnails = Mapping[int, str | None]
"""Addresses by the place among the images; None where there can be no thumbnail."""


class BatchView:
    """What a notebook shows of these outcomes.

    Args:
        now: The same, counted.
        outcomes: In the order of the batch.
        text: The same in a line, for what shows no HTML.
        facts: Further facts.
    """

    def __init__(
        self, now: Progress, outcomes: Sequence[Outcome], *, text: str, facts: Sequence[str] = ()
    ) -> None:
        self._now = now
        self._facts = facts
        self._text = text
        images = ((index, o) for index, o in enumerate(outcomes) if isinstance(o, Image))
        self._shown = [pair for pair, _ in zip(images, range(MOST_SHOWN), strict=False)]

    def html(self, thumbnails: Thumbnails | None = None) -> str:
        """The view with these thumbnails; if none are given, they are made first: that blocks."""
        if thumbnails is None:
            thumbnails = dict(self._make_thumbnails())
        now = self._now
        facts = line_of([*facts_of(now), *self._facts])
        parts = [f'<div style="{FRAME}"><div><b>{escape(headline(now))}</b> · {facts}</div>']
        parts += [f"<div>{escape(printable(now.note))}</div>"] if now.note else []
        bare = {
            n: why_no_thumbnail(self._shown[n][1]) for n, made in thumbnails.items() if made is None
        }
        if len(bare) < len(self._shown):
            figures = "".join(_figure(o, thumbnails.get(n)) for n, (_, o) in enumerate(self._shown))
            parts.append(f'<div style="{_GRID}">{figures}</div>')
        parts += [f"<div>{escape(line)}</div>" for line in self._without_thumbnail(bare)]
        parts.append(f'<div style="{SOFT}">{escape(self._rest())}</div>' if self._shown else "")
        return "".join([*parts, failures_html(now.reasons), "</div>"])

    def show(self, screen: Screen) -> bool:
        """Show it in the cell that runs now, and add the thumbnails as they are made.

        False if no event loop runs here: it would have to add them.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        name = f"nbp-{secrets.token_hex(8)}"
        screen.show(self._bundle({}), name)
        if self._shown:
            threading.Thread(target=self._fill, args=(loop, screen, name), daemon=True).start()
        return True

    def _fill(self, loop: asyncio.AbstractEventLoop, screen: Screen, name: str) -> None:
        thumbnails: dict[int, str | None] = {}
        drawn_at = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody looks any more
            for number, made in self._make_thumbnails():
                thumbnails[number] = made
                complete = len(thumbnails) == len(self._shown)
                if complete or time.monotonic() - drawn_at >= _INTERVAL:
                    drawn_at = time.monotonic()
                    bundle = self._bundle(thumbnails)
                    loop.call_soon_threadsafe(screen.update, bundle, name)

    def _bundle(self, thumbnails: Thumbnails) -> dict[str, str]:
        return {"text/html": self.html(thumbnails), "text/plain": self._text}

    def _make_thumbnails(self) -> Iterator[tuple[int, str | None]]:
        """Make them, and leave out those that would make the page too large."""
        room = _MOST_CHARACTERS
        with ThreadPoolExecutor(_THREADS) as pool:
            thumbnails = pool.map(lambda pair: thumbnail(pair[1], _EDGE), self._shown)
            for number, made in enumerate(thumbnails):
                room -= len(made or "")
                yield number, made if room >= 0 else ""

    def _without_thumbnail(self, bare: Mapping[int, str]) -> Iterator[str]:
        """Images that have no thumbnail, by the reason."""
        for reason in dict.fromkeys(bare.values()):
            found = [self._shown[n][1].index + 1 for n, why in bare.items() if why == reason]
            numbers = ", ".join(f"{n:,}" for n in found[:_MOST_NUMBERS])
            more = f" and {len(found) - _MOST_NUMBERS:,} more" if len(found) > _MOST_NUMBERS else ""
            yield f"No picture of {numbers}{more}: {reason}"

    def _rest(self) -> str:
        """Where to find the images, those that are not shown included."""
        index, image = self._shown[-1]
        words = f"Image {image.index + 1:,} is batch[{index}]"
        more = self._now.images - len(self._shown)
        if more <= 0:
            return f"{words}."
        have = "is" if more == 1 else "are"
        return f"{words}; {plural(more, 'more image')} {have} in batch.images."


def _figure(image: Image, address: str | None) -> str:
    words = escape(printable(image.prompt.text, _MOST_PROMPT))
    number = image.index + 1
    shown = f'<div style="{_BOX}"></div>'
    if address:
        alt = f"Image {number}: {words}"
        shown = f'<img src="{escape(address)}" alt="{alt}" style="{_BOX};object-fit:contain">'
    caption = f'<figcaption dir="auto" style="{_CAPTION}"><b>{number:,}</b> {words}</figcaption>'
    return f'<figure style="{_FIGURE}">{shown}{caption}</figure>'
