"""The images of one answer: those that count are kept, whatever else the answer brings."""

import asyncio
import base64
from pathlib import Path

import pytest

from nbp_async._base.errors import MalformedReplyError, NotAnImageError
from nbp_async._dialects.base import ImageEnd, ImageText, Part
from nbp_async._images.collector import Collector
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from tests.pictures import png

GIF = b"GIF89a" + bytes(200)
WORDS = b"SELECT * FROM pictures; -- not base64 at all"


def memory() -> MemorySink:
    return MemorySink(1 << 20, FileThreads())


def image(number: int, content: bytes) -> list[Part]:
    return [ImageText(number, base64.b64encode(content)), ImageEnd(number)]


@pytest.mark.parametrize("other", [image(0, GIF), [ImageText(0, WORDS), ImageEnd(0)]])
async def test_a_part_that_is_no_image_does_not_spoil_the_one_that_counts(
    other: list[Part],
) -> None:
    collector = Collector(memory())
    await collector.take(other + image(1, png(4, 4)))
    (kept,) = await collector.keep([1], "000000")
    assert kept.stored.held is not None
    assert kept.stored.held.data == png(4, 4)


async def test_a_broken_part_is_fed_no_further_and_leaves_no_file(tmp_path: Path) -> None:
    threads = FileThreads()
    collector = Collector(DirectorySink(tmp_path, threads))
    await collector.take([ImageText(0, base64.b64encode(png(4, 4, padding=300_000)) + b"!")])
    await collector.take([ImageText(0, b"====!!!!")])
    await collector.take([ImageText(0, WORDS), ImageEnd(0)])
    assert list(tmp_path.iterdir()) == []
    threads.close()


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        (image(0, GIF), NotAnImageError),
        ([ImageText(0, WORDS), ImageEnd(0)], MalformedReplyError),
        (image(0, png(4, 4)[:-5]), NotAnImageError),
        ([], MalformedReplyError),
    ],
)
async def test_a_broken_image_that_counts_is_an_error(
    parts: list[Part], error: type[Exception]
) -> None:
    collector = Collector(memory())
    await collector.take(parts)
    with pytest.raises(error):
        await collector.keep([0], "000000")


async def test_of_several_images_that_count_the_whole_ones_are_kept() -> None:
    collector = Collector(memory())
    await collector.take(image(0, GIF) + image(1, png(4, 4)) + image(2, png(5, 5)[:-1]))
    await collector.take(image(3, png(6, 6)))
    kept = await collector.keep([0, 1, 2, 3, 9], "000000")
    assert [(k.facts.width, k.facts.height) for k in kept] == [(4, 4), (6, 6)]


async def test_what_was_not_kept_gives_its_memory_back() -> None:
    sink = memory()
    collector = Collector(sink)
    await collector.take(image(0, GIF) + image(1, png(4, 4)) + image(2, png(5, 5)))
    kept = await collector.keep([1], "000000")
    collector.discard()
    assert sink.held == kept[0].stored.size


async def test_an_image_that_is_committed_while_we_are_cancelled_has_a_name(
    tmp_path: Path,
) -> None:
    threads = FileThreads()
    collector = Collector(DirectorySink(tmp_path, threads))
    await collector.take(image(0, png(4, 4)) + image(1, png(5, 5)))
    task = asyncio.create_task(collector.keep([0, 1], "000000"))
    while not any(tmp_path.iterdir()):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    collector.discard()
    assert collector.kept
    assert {str(path) for path in tmp_path.iterdir()} == {k.stored.path for k in collector.kept}
    assert Path(collector.kept[0].stored.path).read_bytes() == png(4, 4)
    threads.close()
