"""A batch in a notebook: some of its images as small pictures, what failed and why, and the bill.

Shown by a kernel it is there at once, and its pictures come as threads have made them, so that
calls that go on beside it are not held up. A page of thousands of originals is `sheet.py`'s.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape

from nbp_async._html import FRAME, LINE, SOFT, line_of
from nbp_async._models import Image, Outcome
from nbp_async._thumbnail import thumbnail, why_none
from nbp_async._words import plural, printable
from nbp_async.display.bar import facts_of, headline, reasons_html
from nbp_async.display.screen import Screen
from nbp_async.display.state import Progress

MOST = 24  # pictures
_EDGE = 144  # pixels of a picture's longer side
_ROOM = 200_000  # characters of all pictures together
_THREADS = 2
_EVERY = 1.0  # seconds between two drawings while pictures come
_PROMPT = 100  # characters of a prompt under a picture
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

Pictures = Mapping[int, str | None]
"""Small pictures by their place among the images; None where there can be none."""


class Contact:
    """What a notebook shows of these outcomes.

    Args:
        now: How they came out.
        outcomes: In the order of the batch.
        text: The same in a line, for what shows no HTML.
        also: Further facts.
    """

    def __init__(
        self, now: Progress, outcomes: Sequence[Outcome], *, text: str, also: Sequence[str] = ()
    ) -> None:
        self._now = now
        self._also = also
        self._text = text
        pairs = ((place, o) for place, o in enumerate(outcomes) if isinstance(o, Image))
        self._shown = [pair for pair, _ in zip(pairs, range(MOST), strict=False)]

    def html(self, pictures: Pictures | None = None) -> str:
        """The sheet with these pictures; without any given, they are made first: that blocks."""
        if pictures is None:
            pictures = dict(self._made())
        facts = line_of([*facts_of(self._now), *self._also])
        parts = [f'<div style="{FRAME}"><div><b>{escape(headline(self._now))}</b> · {facts}</div>']
        parts += [f"<div>{escape(printable(self._now.why))}</div>"] if self._now.why else []
        bare = {n: why_none(self._shown[n][1]) for n, found in pictures.items() if found is None}
        if len(bare) < len(self._shown):
            figures = "".join(_figure(o, pictures.get(n)) for n, (_, o) in enumerate(self._shown))
            parts.append(f'<div style="{_GRID}">{figures}</div>')
        parts += [f"<div>{escape(line)}</div>" for line in self._without(bare)]
        parts.append(f'<div style="{SOFT}">{escape(self._more())}</div>' if self._shown else "")
        return "".join([*parts, reasons_html(self._now.reasons), "</div>"])

    def show(self, screen: Screen) -> bool:
        """Show it in the cell that runs now, and go on adding pictures to it; False if no event
        loop runs, which would have to add them.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        name = f"nbp-{secrets.token_hex(8)}"
        screen.show(self._bundle({}), name)
        if self._shown:
            filling = threading.Thread(target=self._fill, args=(loop, screen, name), daemon=True)
            filling.start()
        return True

    def _fill(self, loop: asyncio.AbstractEventLoop, screen: Screen, name: str) -> None:
        pictures: dict[int, str | None] = {}
        drawn_at = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and who looked is gone
            for number, found in self._made():
                pictures[number] = found
                whole = len(pictures) == len(self._shown)
                if whole or time.monotonic() - drawn_at >= _EVERY:
                    drawn_at = time.monotonic()
                    bundle = self._bundle(pictures)
                    loop.call_soon_threadsafe(screen.update, bundle, name)

    def _bundle(self, pictures: Pictures) -> dict[str, str]:
        return {"text/html": self.html(pictures), "text/plain": self._text}

    def _made(self) -> Iterator[tuple[int, str | None]]:
        """Make the pictures, as many as there is room for."""
        room = _ROOM
        with ThreadPoolExecutor(_THREADS) as pool:
            made = pool.map(lambda pair: thumbnail(pair[1], _EDGE), self._shown)
            for number, found in enumerate(made):
                room -= len(found or "")
                yield number, found if room >= 0 else ""

    def _without(self, bare: Mapping[int, str]) -> Iterator[str]:
        """Images that have no picture, by the reason why."""
        for reason in dict.fromkeys(bare.values()):
            found = [self._shown[n][1].index + 1 for n, why in bare.items() if why == reason]
            numbers = ", ".join(f"{n:,}" for n in found[:_MOST_NUMBERS])
            more = f" and {len(found) - _MOST_NUMBERS:,} more" if len(found) > _MOST_NUMBERS else ""
            yield f"No picture of {numbers}{more}: {reason}"

    def _more(self) -> str:
        place, image = self._shown[-1]
        words = f"Image {image.index + 1:,} is batch[{place}]"
        more = self._now.images - len(self._shown)
        if more <= 0:
            return f"{words}."
        have = "is" if more == 1 else "are"
        return f"{words}; {plural(more, 'more image')} {have} in batch.images."


def _figure(image: Image, picture: str | None) -> str:
    words = escape(printable(image.prompt.text, _PROMPT))
    number = image.index + 1
    shown = f'<div style="{_BOX}"></div>'
    if picture:
        address = escape(picture)
        alt = f"Image {number}: {words}"
        shown = f'<img src="{address}" alt="{alt}" style="{_BOX};object-fit:contain">'
    caption = f'<figcaption dir="auto" style="{_CAPTION}"><b>{number:,}</b> {words}</figcaption>'
    return f'<figure style="{_FIGURE}">{shown}{caption}</figure>'
