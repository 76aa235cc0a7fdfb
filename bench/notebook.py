"""What the notebooks share: pictures that a notebook shows, a contact sheet, one plain call."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from io import BytesIO
from typing import Any, TypeVar

import requests
from PIL import Image as Pixels

from bench.page.pictures import Bar, Flight, Lane
from bench.page.standalone import alone
from nbp_async import Batch, Image
from nbp_async.display.lanes import counts_over_time, lanes_of
from nbp_async.testing.virtual_time import run_virtual

T = TypeVar("T")
_SLACK = 1e-6  # seconds by which two clocks may differ


def draw(url: str, key: str, number: int) -> tuple[float, float]:
    """Buy one image and wait for it; when that began and ended, on the machine's clock."""
    began = time.monotonic()
    answer = requests.post(
        f"{url}/images/generations",
        json={"model": "gemini-3-pro-image", "prompt": f"picture {number}", "n": 1},
        headers={"Authorization": f"Bearer {key}"},
        timeout=600,
    )
    answer.raise_for_status()
    return began, time.monotonic()


async def simulate(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time: an hour takes seconds. Its loop has a thread of its own."""
    return await asyncio.to_thread(run_virtual, main)


class Drawing:
    """A picture of `bench.page.pictures` with its style inside, for light and dark."""

    def __init__(self, svg: str) -> None:
        self._svg = alone(svg)

    def _repr_svg_(self) -> str:
        return self._svg

    def __repr__(self) -> str:
        return "Drawing"


def lane(name: str, spans: Iterable[tuple[float, float]], *, scale: float = 1) -> Lane:
    """Rows of a Gantt chart: each span in the lowest slot that is free, the first one at 0 s."""
    return _lane(name, [(start, end, "image") for start, end in spans], scale)


def lane_of(name: str, batch: Batch) -> Lane:
    """The slots of a batch: red bars failed, yellow ones were tried again."""
    bars = []
    for outcome in batch:
        for attempt in outcome.attempts:
            timings = attempt.timings
            if timings.connecting is not None:
                last = attempt is outcome.attempts[-1]
                ended = "again" if not last else "image" if outcome.ok else "failed"
                bars.append((timings.connecting, timings.done, ended))
    return _lane(name, bars, 1)


def _lane(name: str, spans: list[tuple[float, float, Any]], scale: float) -> Lane:
    spans = sorted(spans)
    zero = spans[0][0]
    slots = lanes_of(((start, end) for start, end, _ in spans), slack=_SLACK)
    bars = [
        Bar(slot, (start - zero) * scale, (end - zero) * scale, ended)
        for slot, (start, end, ended) in zip(slots, spans, strict=True)
    ]
    return Lane(name, bars, max(bar.end for bar in bars))


def flight_of(name: str, batch: Batch, *, limit: int, server_peak: int) -> Flight:
    """Requests in flight over time, by the attempts of a batch."""
    bars = lane_of(name, batch).bars
    points = counts_over_time([(bar.start, bar.end) for bar in bars])
    return Flight(name, points, limit, server_peak)


def sheet(images: Iterable[Image], *, across: int = 10, width: int = 72) -> Pixels.Image:
    """Thumbnails of images on one sheet."""
    small = []
    for image in images:
        with Pixels.open(BytesIO(image.read())) as opened:
            opened.thumbnail((width, width))
            small.append(opened.convert("RGB"))
    down = -(-len(small) // across)
    paper = Pixels.new("RGB", (across * (width + 6) - 6, down * (width + 6) - 6), "#8a8f98")
    for number, thumbnail in enumerate(small):
        paper.paste(thumbnail, (number % across * (width + 6), number // across * (width + 6)))
    return paper
