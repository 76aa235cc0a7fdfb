"""The image store: whole, in ranges, converted, and only for seven days."""

import io
from unittest.mock import patch

import aiohttp
import pytest
from PIL import Image

from nbp_async.fake import faults as f
from tests.loopback.fake.api_client import vendor

DAY = 86400.0


class Clock:
    """Seconds since 1970, set by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_link_can_be_fetched_without_a_key() -> None:
    async with vendor() as call:
        reply = await call.get(await call.link("a cat"))
        inline = await call.images("a cat")
        assert reply.body == inline.image
        assert call.server.stats().downloads == 1
        assert reply.headers["x-request-id"].startswith("req_")


async def test_a_download_resumes_where_it_was_cut() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        whole = await call.get(link)
        etag = whole.headers["etag"]
        rest = await call.get(link, Range="bytes=1000-", If_Range=etag)
        part = await call.get(link, Range="bytes=10-19")
        tail = await call.get(link, Range="bytes=-5")
    size = len(whole.body)
    assert whole.headers["accept-ranges"] == "bytes"
    assert (rest.status, rest.body) == (206, whole.body[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{size - 1}/{size}"
    assert rest.headers["etag"] == etag
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert (tail.status, tail.body) == (206, whole.body[-5:])


async def test_a_range_of_another_image_gets_the_whole() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        reply = await call.get(link, Range="bytes=1000-", If_Range='"another"')
        whole = await call.get(link)
    assert (reply.status, reply.body) == (200, whole.body)


@pytest.mark.parametrize("asked", ["bytes=9999999-", "bytes=20-10"])
async def test_a_range_beyond_the_end_is_416(asked: str) -> None:
    async with vendor() as call:
        reply = await call.get(await call.link("a cat"), Range=asked)
    assert reply.status == 416
    assert reply.headers["content-range"].startswith("bytes */")


@pytest.mark.parametrize("asked", ["bytes=-", "lines=1-2", "bytes=0-1,4-5"])
async def test_an_unreadable_range_gets_the_whole(asked: str) -> None:
    async with vendor() as call:
        assert (await call.get(await call.link("a cat"), Range=asked)).status == 200


async def test_an_etag_that_matches_gets_304() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        etag = (await call.get(link)).headers["etag"]
        reply = await call.get(link, If_None_Match=etag)
    assert (reply.status, reply.body) == (304, b"")


async def test_head_has_the_size_and_no_body() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        whole = await call.get(link)
        async with call.session.head(link) as answer:
            assert answer.status == 200
            assert int(answer.headers["Content-Length"]) == len(whole.body)
            assert await answer.read() == b""


async def test_a_link_expires_after_seven_days_of_the_servers_clock() -> None:
    clock = Clock()
    async with vendor(clock=clock, speed=1000) as call:
        link = await call.link("a cat")
        clock.now += 6.99 * DAY
        fresh = await call.get(link)
        clock.now += 0.02 * DAY
        late = await call.get(link)
        assert (fresh.status, late.status) == (200, 403)
        assert fresh.headers["cache-control"] == f"private, max-age={int(0.01 * DAY)}"
        assert b"expired" in late.body


async def test_an_unknown_link_is_404() -> None:
    async with vendor() as call, vendor(seed=1) as other:
        foreign = (await other.link("a cat")).replace(other.server.base_url, call.server.base_url)
        changed = (await call.link("a cat")).replace("1024x1024", "9999x9999")
        for url in (foreign, changed, f"{call.server.base_url}/images/../stats.png"):
            assert (await call.get(url)).status == 404


async def test_webp_is_made_on_request() -> None:
    async with vendor() as call:
        link = await call.link("a cat")
        plain = await call.get(link)
        webp = await call.get(f"{link}?format=webp")
        half = await call.get(f"{link}?format=webp", Range="bytes=0-99")
        gif = await call.get(f"{link}?format=gif")
    assert webp.headers["content-type"] == "image/webp"
    assert webp.headers["etag"] != plain.headers["etag"]
    assert half.body == webp.body[:100]
    with Image.open(io.BytesIO(webp.body)) as image, Image.open(io.BytesIO(plain.body)) as png:
        assert image.format == "WEBP"
        assert image.convert("RGB").tobytes() == png.convert("RGB").tobytes()
    assert gif.status == 415


async def test_webp_without_pillow_is_415_with_a_reason() -> None:
    async with vendor(seed=77) as call:
        with patch.dict("sys.modules", {"PIL": None}):
            reply = await call.get(f"{await call.link('no pillow')}?format=webp")
    assert reply.status == 415
    assert b"Pillow" in reply.body


async def test_downloads_take_faults_of_their_own() -> None:
    async with vendor(weight=300_000) as call:
        reset = f.download(f.reset())  # twice: aiohttp repeats a GET once by itself
        call.server.script(f.cut_download(0.6), f.download(f.status(503)), reset, reset)
        link = await call.link("a cat")
        with pytest.raises(aiohttp.ClientPayloadError):
            await call.get(link)
        assert (await call.get(link)).status == 503
        with pytest.raises(aiohttp.ClientOSError):
            await call.get(link)
        whole = await call.get(link)
        assert len(whole.body) >= 300_000
        assert call.server.bank.images == 1
        assert call.server.stats().by_status == {200: 1}
