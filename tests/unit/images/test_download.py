"""Fetching a paid image: places and patience in virtual time, bodies that are none, cancelling."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import DownloadError, LinkExpiredError
from nbp_async._images.collector import KeptImage
from nbp_async._images.download import Downloader, LinkPolicy
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._transports.transport_errors import RefusedAddressError
from nbp_async.testing.transport import Canned, FakeTransport
from tests.pictures import png

pytestmark = pytest.mark.looptime

LINK = "https://images.example/a.png"


def downloader(transport: FakeTransport, **options: Any) -> Downloader:
    settings = {"at_once": 16, "patience": 1800.0, "max_body": 10_000_000, "rng": lambda: 1.0}
    settings["wall_clock"] = lambda: 0.0
    return Downloader(transport, policy=LinkPolicy(), **{**settings, **options})


def memory() -> MemorySink:
    return MemorySink(1 << 20, FileThreads())


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_who_waits_to_try_again_lets_others_have_the_place() -> None:
    busy = Canned(b"", status=503)
    transport = FakeTransport(busy, default=Canned(png(4, 4), hold=0.5))
    downloads = downloader(transport, at_once=1)
    first = asyncio.create_task(downloads.fetch(LINK, memory(), "000000"))
    second = asyncio.create_task(downloads.fetch(LINK, memory(), "000001"))
    await second
    assert now() == pytest.approx(0.5)
    await first
    assert now() == pytest.approx(2.5)
    assert transport.peak == 1


async def test_patience_begins_with_the_first_place() -> None:
    """Two fetches of 100 s before it use up none of the ten seconds that it has."""
    slow, busy, good = Canned(png(4, 4), hold=50), Canned(b"", status=503), Canned(png(4, 4))
    transport = FakeTransport(slow, slow, busy, good)
    downloads = downloader(transport, at_once=1, patience=60.0)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(downloads.fetch(LINK, memory(), f"{number:06d}"))
    assert now() == pytest.approx(102)


async def test_patience_ends_the_tries() -> None:
    transport = FakeTransport(default=Canned(b"", status=503))
    with pytest.raises(DownloadError, match="2 tries"):
        await downloader(transport, patience=5.0).fetch(LINK, memory(), "000000")
    assert now() == pytest.approx(2)


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 4.5), (1.0, 7.5)])
async def test_a_store_that_denies_the_image_is_asked_five_times_in_some_seconds(
    status: int, draw: float, seconds: float
) -> None:
    transport = FakeTransport(default=Canned(b"", status=status))
    with pytest.raises(LinkExpiredError, match=rf"HTTP {status}, in 5 tries"):
        await downloader(transport, rng=lambda: draw).fetch(LINK, memory(), "000000")
    assert len(transport.requests) == 5
    assert now() == pytest.approx(seconds)


async def test_a_store_that_denies_the_image_at_first_costs_nothing() -> None:
    denials = [Canned(b"", status=status) for status in (404, 403, 404, 403)]
    kept = await downloader(FakeTransport(*denials, Canned(png(4, 4)))).fetch(
        LINK, memory(), "000000"
    )
    assert kept.facts.width == 4


async def test_a_link_that_was_denied_for_less_than_that_is_not_given_up() -> None:
    """Patience ended before the fifth try: the link may still work."""
    transport = FakeTransport(default=Canned(b"", status=404))
    with pytest.raises(DownloadError, match="3 tries") as caught:
        await downloader(transport, patience=2.0).fetch(LINK, memory(), "000000")
    assert not isinstance(caught.value, LinkExpiredError)


async def test_gone_is_final_at_once() -> None:
    transport = FakeTransport(default=Canned(b"", status=410))
    with pytest.raises(LinkExpiredError, match=r"HTTP 410\)"):
        await downloader(transport).fetch(LINK, memory(), "000000")
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("status", "asked", "waited"),
    [
        (503, "7", 7.0),
        (503, "3600", 60.0),
        (429, "0", 2.0),
        (404, "3", 3.0),
        (403, "3600", 60.0),
        (404, "Thu, 01 Jan 1970 00:00:09 GMT", 9.0),
        (503, "soon", 2.0),
    ],
)
async def test_the_wait_that_a_store_asks_for_is_kept_within_bounds(
    status: int, asked: str, waited: float
) -> None:
    busy = Canned(b"", status=status, headers={"retry-after": asked})
    await downloader(FakeTransport(busy, Canned(png(4, 4)))).fetch(LINK, memory(), "000000")
    assert now() == pytest.approx(waited)


async def test_an_address_that_the_guard_refuses_is_final_at_once() -> None:
    refused = RefusedAddressError("no", reason="it leads to 10.0.0.1, which is a private address")
    transport = FakeTransport(default=Canned(error=refused))
    with pytest.raises(DownloadError, match=r"was not followed: it leads to 10\.0\.0\.1"):
        await downloader(transport).fetch(LINK, memory(), "000000")
    assert now() == 0

    leads_inside = Canned(status=302, headers={"location": "https://inside.example/"})
    transport = FakeTransport(leads_inside, default=Canned(error=refused))
    with pytest.raises(DownloadError, match="The redirect of the image's link was not followed"):
        await downloader(transport).fetch(LINK, memory(), "000000")
    assert now() == 0


@pytest.mark.parametrize("place", ["http://images.example/a", "https://images.example:81/a"])
async def test_a_redirect_is_checked_as_the_link_is(place: str) -> None:
    transport = FakeTransport(default=Canned(status=302, headers={"location": place}))
    with pytest.raises(DownloadError, match="The redirect of the image's link was not followed"):
        await downloader(transport).fetch(LINK, memory(), "000000")
    assert [request.url for request in transport.requests] == [LINK]
    assert now() == 0


@pytest.mark.parametrize(
    "body",
    [b"", png(4, 4)[:-5], b"<html>one moment</html>", b"GIF89a" + bytes(300_000)],
    ids=["empty", "cut", "page", "large"],
)
async def test_a_body_that_is_no_image_is_fetched_again_once(body: bytes) -> None:
    good = FakeTransport(Canned(body), Canned(png(4, 4)))
    kept = await downloader(good).fetch(LINK, memory(), "000000")
    assert kept.facts.width == 4

    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
    bad = FakeTransport(Canned(body), Canned(pieces))
    with pytest.raises(DownloadError, match="not an image"):
        await downloader(bad).fetch(LINK, memory(), "000000")
    assert len(bad.requests) == 2


async def test_what_was_no_image_is_not_continued() -> None:
    headers = {"etag": '"a"'}
    page = Canned(b"<html>one moment</html>", headers=headers)
    transport = FakeTransport(page, Canned(png(4, 4), headers=headers))
    await downloader(transport).fetch(LINK, memory(), "000000")
    assert all("Range" not in request.headers for request in transport.requests)


async def test_an_image_that_is_committed_while_we_are_cancelled_has_a_name(
    tmp_path: Path,
) -> None:
    threads = FileThreads()
    sink = DirectorySink(tmp_path, threads)
    (await sink.open()).discard()
    kept: list[KeptImage] = []
    task = asyncio.create_task(
        downloader(FakeTransport(Canned(png(4, 4)))).fetch(LINK, sink, "000000", kept)
    )
    while not any(tmp_path.iterdir()):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    (one,) = kept
    assert Path(one.stored.path).read_bytes() == png(4, 4)
    assert list(tmp_path.iterdir()) == [Path(one.stored.path)]
    threads.close()
