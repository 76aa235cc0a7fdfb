"""Links that are the result: billed, nothing downloaded, and fetched later if it is wanted."""

import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    Client,
    ConfigError,
    Image,
    LinkExpiredError,
    Profile,
    StorageError,
    fetch_run,
    read_run,
)
from nbp_async._journal.base import MANIFEST
from nbp_async._sinks.disk_space import MIN_FREE
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled

pytestmark = pytest.mark.looptime

WEEK = 604800.0
SIGNED = "https://b.example/a%2Fb.png?X-Amz-Date=20991129T120000Z&X-Amz-Expires=3600"


@asynccontextmanager
async def relay(**options: Any) -> AsyncIterator[tuple[FakeServer, Client]]:
    """A vendor that answers with base64 or links, as it is asked."""
    async with FakeServer(latency=30.0, **options.pop("server", {})) as server:
        profile = Profile(
            name="vendor", base_url=server.openai_url, link_lifetime=WEEK, **options.pop("has", {})
        )
        async with Client(profile, server.key, **options) as gen:
            yield server, gen


async def test_the_link_is_the_result_and_nothing_is_downloaded() -> None:
    async with relay(links="keep") as (server, gen):
        batch = await gen.many(["a red bicycle", "a blue one"], size="1K")
        await assert_settled(gen, server, batch)
        assert server.stats().downloads == 0
        assert batch.billing.spent == server.bank.billed
    assert batch.images == list(batch)
    image = batch.images[0]
    assert image.ok
    assert image.links == (image.url,) == (image.location,)
    assert image.url.startswith(server.base_url)
    assert image.url_expires == pytest.approx(time.time() + WEEK, abs=600)
    assert (image.path, image.pixels, image.format) == (None, (0, 0), "")
    assert image.url in repr(image)
    assert "kept as a link" in image._repr_html_()
    batch.raise_for_failures()
    frame = batch.to_pandas()
    assert list(frame["state"]) == ["answered", "answered"]
    assert list(frame["ok"]) == [True, True]


async def test_bytes_that_are_not_here_are_refused_with_the_way_to_get_them() -> None:
    async with relay() as (_, gen):
        image = await gen.one("a red bicycle", size="1K", links="keep")
    with pytest.raises(StorageError, match=r"kept as a link.* `url`.*fetch_run\(\)"):
        image.read()
    with pytest.raises(StorageError, match="kept as a link"):
        await image.aread()
    with pytest.raises(StorageError, match="kept as a link"):
        image.save("bicycle.png")
    assert not Path("bicycle.png").exists()


async def test_a_run_of_kept_links_is_bought_once_and_fetched_later(tmp_path: Path) -> None:
    async with relay() as (server, gen):
        first = await gen.many(["a", "b"], size="1K", out=tmp_path, links="keep")
        assert read_run(tmp_path).states == {"answered": 2}
        lines = (tmp_path / MANIFEST).read_bytes()

        again = await gen.many(["b", "a"], size="1K", out=tmp_path, links="keep")
        assert [one.links for one in again.images] == [one.links for one in reversed(first.images)]
        assert all(one.resumed for one in again.images)
        assert (tmp_path / MANIFEST).read_bytes() == lines
        assert server.stats().downloads == 0

        fetched = await fetch_run(tmp_path, allow_private=True)
        assert [one.path is not None for one in fetched.images] == [True, True]
        await assert_settled(gen, server, first)
        assert read_run(tmp_path).states == {"stored": 2}
        known = await gen.many(["a", "b"], size="1K", out=tmp_path, links="keep")
        assert all(one.resumed and one.path is not None for one in known.images)
        assert server.stats().requests == 2
        assert server.bank.billed == first.billing.spent == read_run(tmp_path).totals.spent


async def test_kept_links_need_no_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what comes as base64 all the same does: the endpoint has no choice."""
    room = MIN_FREE + 100
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(room, 0, room))
    async with relay() as (server, gen):
        plan = gen.many(["a", "b"], size="4K", out=tmp_path, links="keep")
        found = plan.preview()
        assert (found.to_send, found.disk_needed, found.fits) == (2, 0, True)
        assert "disk" not in "\n".join(found.lines())
        assert len((await plan).images) == 2
        kept = gen.many(["a", "b"], size="4K", out=tmp_path, links="keep")
        assert (kept.preview().there, kept.preview().linked) == (2, 0)
        fetched = gen.many(["a", "b"], size="4K", out=tmp_path)
        assert (fetched.preview().there, fetched.preview().linked) == (0, 2)
        kept.close()
        fetched.close()
        google = Profile(name="vendor", base_url=server.gemini_url, dialect="gemini")
        async with Client(google, server.key, links="keep") as other:
            plan = other.many(["a", "b"], size="4K", out=tmp_path / "other")
            assert not plan.preview().fits
            assert isinstance((await plan).stopped, StorageError)
        assert server.stats().requests == 2


async def test_the_same_call_without_keep_downloads_what_was_kept(tmp_path: Path) -> None:
    async with relay() as (server, gen):
        first = await gen.many(["a"], size="1K", out=tmp_path, links="keep")
        (image,) = await gen.many(["a"], size="1K", out=tmp_path)
        assert isinstance(image, Image)
        assert (image.path, image.links) == (Path(image.stored.path), ())
        assert image.url == first.images[0].url
        assert server.stats().requests == 1
        await assert_settled(gen, server, first)


async def test_a_link_that_could_not_be_fetched_can_be_kept(tmp_path: Path) -> None:
    hosts = ["elsewhere.example"]
    async with relay(link_hosts=hosts, has={"response_format": "url"}) as (server, gen):
        (failure,) = (await gen.many(["a"], size="1K", out=tmp_path)).failures
        (image,) = (await gen.many(["a"], size="1K", out=tmp_path, links="keep")).images
        await assert_settled(gen, server, [failure])
    assert image.links == failure.links
    assert (image.resumed, image.cost) == (True, failure.cost)
    assert [row.ok for row in read_run(tmp_path).rows()] == [True]


async def test_what_a_run_says_of_a_kept_link(tmp_path: Path) -> None:
    async with relay() as (_, gen):
        (image,) = (await gen.many(["a"], size="1K", out=tmp_path, links="keep")).images
    (row,) = read_run(tmp_path).rows()
    assert (row.ok, row.state, row.url, row.path) == (True, "answered", image.url, "")
    assert (row.width, row.size_bytes, row.sha256, row.reason) == (None, None, "", "")
    assert row.url_expires == image.url_expires
    assert row.spent_usd == image.cost


async def test_a_kept_link_that_has_gone_is_named_when_it_is_fetched(tmp_path: Path) -> None:
    async with relay() as (server, gen):
        batch = await gen.many(["a"], size="1K", out=tmp_path, links="keep")
        server.script(faults.download(faults.status(410)))
        (failure,) = (await fetch_run(tmp_path, allow_private=True)).failures
        assert isinstance(failure.error, LinkExpiredError)
        assert failure.spent_earlier == server.bank.billed
        await assert_settled(gen, server, batch)


async def test_base64_in_a_call_that_keeps_links_is_an_image() -> None:
    async with relay(links="keep", has={"response_format": None}) as (server, gen):
        image = await gen.one("a red bicycle", size="1K")
        assert len(await image.aread()) == image.stored.size
        assert image.links == ()
        await assert_settled(gen, server, [image])


async def test_a_signed_link_says_itself_when_it_ends() -> None:
    async with relay(links="keep") as (server, gen):
        body = {"created": 1, "data": [{"url": SIGNED}, {"url": SIGNED + "&n=2"}]}
        server.script(faults.status(200, body=body, billed=True))
        image = await gen.one("a red bicycle", size="1K")
    assert image.url == SIGNED
    assert image.links == (SIGNED, SIGNED + "&n=2")
    assert [extra.links for extra in image.extras] == [(SIGNED + "&n=2",)]
    assert image.url_expires == datetime(2099, 11, 29, 13, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("via", ["poll", "held"])
async def test_links_of_tasks_are_kept_as_well(via: Any, tmp_path: Path) -> None:
    async with Client.fake(server={"latency": 5.0}, links="keep") as gen:
        assert gen.server is not None
        batch = await gen.many(["a"], size="1K", via=via, out=tmp_path)
        assert batch.images[0].links
        assert gen.server.stats().downloads == 0
        await assert_settled(gen, gen.server, batch)


async def test_a_file_that_would_never_be_written_is_refused(tmp_path: Path) -> None:
    async with relay() as (server, gen):
        with pytest.raises(ConfigError, match="links='keep': only the link would be kept"):
            await gen.one("a", size="1K", out=tmp_path / "bike.png", links="keep")
        with pytest.raises(ConfigError, match=r"response_format='b64_json'.*have no links"):
            await gen.one("a", size="1K", links="keep", response_format="b64_json")
        assert server.stats().requests == 0
