"""Links that lead on: followed three times, each place checked, each spelling kept."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nbp_async import Client, DownloadError, Failure, Image, Outcome, Profile
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled
from tests.loopback.stores import Seen, StoreServer, found, redirect
from tests.pictures import png

pytestmark = pytest.mark.looptime

SIGNED = "/k%2Fey/%7Ea//b.png?X-Amz-Credential=AK%2F1%2Fs3&X-Amz-Date=1&a=%27~&b=%2f&e=%40"


@asynccontextmanager
async def linked(
    link: Callable[[StoreServer], str], store: StoreServer, **options: Any
) -> AsyncIterator[Callable[[], Any]]:
    """A vendor that answers with this link, and a function that makes one image there."""
    async with store, FakeServer(latency=30.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url, response_format="url")

        async def one() -> Outcome:
            body = {"created": 1, "data": [{"url": link(store)}]}
            server.script(faults.status(200, body=body, billed=True))
            async with Client(profile, server.key, rng=lambda: 1.0, **options) as gen:
                batch = await gen.many(["a red bicycle"], size="1K")
                await assert_settled(gen, server, batch)
            return batch[0]

        yield one


@pytest.mark.parametrize("steps", [1, 2, 3])
async def test_a_link_may_lead_on_three_times(steps: int) -> None:
    def answer(seen: Seen) -> bytes:
        step = int(seen.target.removeprefix("/files/"))
        return found(png(4, 4)) if step == steps else redirect(f"/files/{step + 1}")

    store = StoreServer(answer)
    async with linked(lambda store: store.url + "/files/0", store) as one:
        outcome = await one()
    assert isinstance(outcome, Image)
    assert outcome.url.endswith("/files/0")
    assert [seen.target for seen in store.seen] == [f"/files/{n}" for n in range(steps + 1)]
    assert not any("authorization" in seen.headers for seen in store.seen)
    assert {seen.headers["user-agent"] for seen in store.seen} == {"nbp-async"}


async def test_a_fourth_redirect_ends_it_at_once() -> None:
    store = StoreServer(lambda _: redirect("/round"))
    async with linked(lambda store: store.url + "/round", store) as one:
        outcome = await one()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert "redirects more than 3 times" in str(outcome.error)
    assert outcome.links == (store.url + "/round",)
    assert len(store.seen) == 4


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("ftp://b.example/a.png", "ftp:// is not http"),
        ("http://user:pw@b.example/a.png", "it contains a user name"),
        ("http://evil.example/a.png", "evil.example is not among the allowed hosts"),
        ("http://", "it is not a valid link"),
    ],
)
async def test_a_redirect_to_a_refused_place_ends_it_at_once(place: str, words: str) -> None:
    store = StoreServer(lambda _: redirect(place))
    hosts = ["127.0.0.1", "b.example"]
    async with linked(lambda store: store.url + "/a", store, link_hosts=hosts) as one:
        outcome = await one()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert f"The redirect of the image's link was not followed: {words}" in str(outcome.error)
    assert outcome.billing == "yes"
    assert len(store.seen) == 1


async def test_a_cut_download_behind_a_redirect_goes_on_where_it_was_cut() -> None:
    image, etag = png(64, 64), '"v1"'
    half = len(image) // 2

    def answer(seen: Seen) -> bytes:
        if seen.target == "/files/1":
            return redirect(f"/bucket/1?visit={len(store.seen)}")
        if "range" not in seen.headers:
            return found(image, etag=etag)[:-half]
        rest = f"bytes {len(image) - half}-{len(image) - 1}/{len(image)}"
        return found(image[-half:], status="206 Partial Content", etag=etag, content_range=rest)

    store = StoreServer(answer)
    async with linked(lambda store: store.url + "/files/1", store) as one:
        outcome = await one()
        assert isinstance(outcome, Image)
        assert await outcome.aread() == image
    asked = [(seen.target, seen.headers.get("range")) for seen in store.seen]
    rest = f"bytes={len(image) - half}-"
    assert asked == [
        ("/files/1", None),
        ("/bucket/1?visit=1", None),
        ("/files/1", rest),
        ("/bucket/1?visit=3", rest),
    ]
    assert store.seen[3].headers["if-range"] == etag


@pytest.mark.parametrize(
    ("spelled", "sent"),
    [
        (SIGNED, SIGNED),
        ("/ä/%2f%C3%a4.png?k=%2F&ü=%40", "/%C3%A4/%2f%C3%a4.png?k=%2F&%C3%BC=%40"),
    ],
)
async def test_a_signed_link_is_asked_for_as_it_is_spelled(spelled: str, sent: str) -> None:
    def answer(seen: Seen) -> bytes:
        again = len(store.seen) > 1
        return found(png(4, 4)) if again else redirect(store.url + spelled)

    store = StoreServer(answer)
    async with linked(lambda store: store.url + spelled, store) as one:
        assert (await one()).ok
    assert [seen.target for seen in store.seen] == [sent, sent]
