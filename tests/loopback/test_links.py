"""Images that come as links: fetched at once, without the key, resumed, and never from within."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import DownloadError, LinkExpiredError, NoImageError
from nbp_async._client.client import Client
from nbp_async._images.download import LinkPolicy
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async._models.settings import Limits
from nbp_async._vendors.profiles import Profile
from nbp_async.fake import FakeServer, faults
from nbp_async.testing.transport import Canned, FakeTransport
from tests.loopback.oracle import assert_settled

pytestmark = pytest.mark.looptime


@asynccontextmanager
async def linked(**options: Any) -> AsyncIterator[tuple[FakeServer, Client]]:
    """A server that answers with links, and a client of it."""
    settings = {"latency": 30.0, **options.pop("server", {})}
    async with FakeServer(**settings) as server:
        profile = Profile(
            name="vendor", base_url=server.openai_url, response_format="url", link_lifetime=604800
        )
        options.setdefault("rng", lambda: 0.5)
        async with Client(profile, server.key, **options) as gen:
            yield server, gen


async def one(server: FakeServer, gen: Client, out: Path | None = None) -> Outcome:
    batch = await gen.many(["a red bicycle"], size="1K", out=out)
    await assert_settled(gen, server, batch, out=out)
    return batch[0]


async def test_a_link_is_fetched_at_once_and_remembered(tmp_path: Path) -> None:
    async with linked() as (server, gen):
        outcome = await one(server, gen, tmp_path / "out")
    assert isinstance(outcome, Image)
    assert outcome.url.startswith(server.base_url)
    assert outcome.url_expires is not None
    assert outcome.pixels == (1024, 1024)
    assert outcome.path is not None


async def test_the_key_does_not_go_to_the_image_store() -> None:
    seen: list[dict[str, str]] = []
    async with linked() as (server, gen):
        downloads = gen._open().resources.downloads
        send = downloads._transport.send

        def watched(request: Any, timer: Any) -> Any:
            seen.append(request.headers)
            return send(request, timer)

        downloads._transport.send = watched  # type: ignore[method-assign]
        assert (await one(server, gen)).ok
    assert seen
    assert not any(server.key in "".join(headers.values()) for headers in seen)
    assert not any("uthorization" in name for headers in seen for name in headers)


@pytest.mark.parametrize("cuts", [1, 3, 7])
async def test_a_cut_download_goes_on_where_it_was_cut(cuts: int) -> None:
    async with linked(server={"weight": 60_000}) as (server, gen):
        server.script(*[faults.cut_download(0.5) for _ in range(cuts)])
        outcome = await one(server, gen)
        stats = server.stats()
    assert isinstance(outcome, Image)
    assert stats.requests == 1
    assert stats.downloads == cuts + 1
    # What was there was not sent again: together little more than one image.
    assert stats.bytes_out < 1.3 * outcome.stored.size + 20_000


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.status(429, 1),
        faults.status(503),
        faults.disconnect(),
        faults.reset(),
        faults.slow_body(50),
        faults.hang(),
        faults.gzipped(),
    ],
    ids=repr,
)
async def test_a_failed_download_is_tried_again_for_nothing(fault: faults.Fault) -> None:
    async with linked() as (server, gen):
        server.script(faults.download(fault))
        outcome = await one(server, gen)
        assert server.stats().requests == 1
    assert isinstance(outcome, Image)


async def test_a_download_that_never_works_keeps_the_link_in_the_error() -> None:
    async with linked() as (server, gen):
        server.script(*[faults.download(faults.status(500)) for _ in range(20)])
        outcome = await one(server, gen)
        assert server.stats().downloads == 8
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert outcome.error.url.startswith(server.base_url)
    assert outcome.billing == "yes"


@pytest.mark.parametrize(("status", "tries"), [(403, 5), (404, 5), (410, 1)])
async def test_a_link_that_is_gone_is_given_up_after_some_seconds(status: int, tries: int) -> None:
    async with linked() as (server, gen):
        server.script(*[faults.download(faults.status(status)) for _ in range(8)])
        outcome = await one(server, gen)
        assert server.stats().downloads == tries
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, LinkExpiredError)
    assert outcome.billing == "yes"


@pytest.mark.parametrize("status", [403, 404])
async def test_a_store_that_knows_the_image_a_little_later(status: int) -> None:
    async with linked() as (server, gen):
        server.script(*[faults.download(faults.status(status)) for _ in range(4)])
        outcome = await one(server, gen)
        assert server.stats().downloads == 5
    assert isinstance(outcome, Image)


async def test_a_store_that_fails_between_two_pieces_does_not_cost_the_first() -> None:
    async with linked(server={"weight": 60_000}) as (server, gen):
        server.script(faults.cut_download(0.8), faults.download(faults.status(503)))
        outcome = await one(server, gen)
        stats = server.stats()
    assert isinstance(outcome, Image)
    assert stats.downloads == 3
    assert stats.bytes_out < 1.3 * outcome.stored.size + 20_000


async def test_the_rest_of_another_image_is_not_sewn_to_the_first_half() -> None:
    """A store that obeys Range and ignores If-Range answers 206 with another ETag."""
    other = (
        b'HTTP/1.1 206 Partial Content\r\nETag: "another"\r\nContent-Range: bytes %d-%d/%d\r\n'
        b"Content-Length: 4\r\n\r\n\xff\xff\xff\xff"
    )
    async with linked(server={"weight": 60_000}) as (server, gen):
        server.script(faults.cut_download(0.5))
        outcome = await one(server, gen)
        assert isinstance(outcome, Image)
        size = outcome.stored.size
        half = size // 2
        rest = other % (half, half + 3, half + 4)
        server.script(faults.cut_download(0.5), faults.download(faults.raw(rest)))
        again = await gen.many(["a red bicycle"], size="1K")
        await assert_settled(gen, server, [outcome, *again])
    assert isinstance(again[0], Image)
    assert again[0].stored.size == size


def page(words: str) -> faults.Fault:
    return faults.download(faults.status(200, body=f"<!DOCTYPE html><title>{words}</title>"))


async def test_a_page_that_passes_does_not_cost_the_image() -> None:
    async with linked() as (server, gen):
        server.script(page("One moment, request 4711"), page("One moment, request 4712"))
        outcome = await one(server, gen)
        assert server.stats().downloads == 3
    assert isinstance(outcome, Image)


async def test_a_page_that_comes_again_word_for_word_is_all_there_is() -> None:
    async with linked() as (server, gen):
        server.script(*[page("This is no image") for _ in range(8)])
        outcome = await one(server, gen)
        assert server.stats().downloads == 2
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert outcome.billing == "yes"


async def test_pages_that_never_end_the_same_are_given_eight_tries() -> None:
    async with linked() as (server, gen):
        server.script(*[page(f"Request {n}") for n in range(20)])
        outcome = await one(server, gen)
        assert server.stats().downloads == 8
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert outcome.error.url.startswith(server.base_url)


def answers_with(link: str) -> FakeTransport:
    return FakeTransport(Canned(b'{"data":[{"url":"' + link.encode() + b'"}]}'))


@pytest.mark.parametrize(
    "link",
    [
        "http://images.example/a.png",
        "ftp://images.example/a.png",
        "file:///etc/passwd",
        "https://user:pw@images.example/a.png",
        "https://images.example:8443/a.png",
        "https:///a.png",
        "https://images.example/a b.png",
        "https://127.0.0.1/a.png",
        "https://10.0.0.8/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://[64:ff9b::7f00:1]/a.png",
        "https://0x7f.1/a.png",
        "https://localhost/a.png",
    ],
)
async def test_a_link_that_leads_inside_or_off_the_web_is_never_followed(link: str) -> None:
    transport = answers_with(link)
    dialled: list[str] = []
    async with Client("https://relay.example/v1", "sk-123456789012", transport=transport) as gen:
        downloads = gen._open().resources.downloads
        guard = downloads._transport.guard  # type: ignore[attr-defined]

        def watched(address: str) -> None:
            guard(address)
            dialled.append(address)

        downloads._transport.guard = watched  # type: ignore[attr-defined]
        (outcome,) = await gen.many(["a"])
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, DownloadError)
    assert outcome.billing == "yes"
    assert dialled == []


async def test_a_plain_link_names_the_option_that_allows_it() -> None:
    transport = answers_with("http://images.example/a.png")
    async with Client("https://relay.example/v1", "sk-123456789012", transport=transport) as gen:
        (outcome,) = await gen.many(["a"])
    assert isinstance(outcome, Failure)
    assert "it is http://, not https://. Pass allow_http=True." in str(outcome.error)
    assert outcome.links == ("http://images.example/a.png",)


@pytest.mark.filterwarnings("ignore:The key and the prompts go to relay")
@pytest.mark.parametrize(
    ("endpoint", "allow_http"),
    [("https://relay.example/v1", True), ("http://relay.example/v1", None)],
)
async def test_plain_links_that_are_allowed_still_lead_nowhere_inside(
    endpoint: str, allow_http: bool | None
) -> None:
    transport = answers_with("http://127.0.0.1:9/a.png")
    options: dict[str, Any] = {"allow_http": allow_http, "transport": transport}
    async with Client(endpoint, "sk-123456789012", **options) as gen:
        (outcome,) = await gen.many(["a"])
    assert isinstance(outcome, Failure)
    assert "it leads to 127.0.0.1, which is this machine itself" in str(outcome.error)


async def test_plain_http_is_a_choice_of_its_own() -> None:
    policy = LinkPolicy(http=True)
    for link in ("http://images.example/a", "http://images.example:16888/a", "HTTP://i.example/"):
        assert policy.refusal_of(link) is None
    for link in ("https://images.example:81/a", "ftp://i.example/", "http://u:p@i.example/"):
        assert policy.refusal_of(link) is not None
    assert LinkPolicy(http=True, hosts=frozenset({"a.example"})).refusal_of("http://b.example/")


async def test_only_the_hosts_that_were_allowed() -> None:
    policy = LinkPolicy(hosts=frozenset({"images.example"}))
    assert policy.refusal_of("https://images.example/a") is None
    assert policy.refusal_of("https://eu.images.example/a?b#c") is None
    for link in (
        "https://example/a",
        "https://notimages.example/a",
        "https://images.example.evil/a",
    ):
        assert policy.refusal_of(link) is not None


async def test_many_links_are_fetched_a_few_at_a_time() -> None:
    limits = Limits(max_in_flight=100, max_downloads=3)
    async with linked(limits=limits, server={"latency": 1.0}) as (server, gen):
        peak = 0

        async def watch() -> None:
            nonlocal peak
            places = gen._open().resources.downloads._places
            while True:
                peak = max(peak, 3 - places._value)
                await asyncio.sleep(0.001)

        server.script(*[faults.download(faults.slow_body(20_000)) for _ in range(40)])
        watcher = asyncio.create_task(watch())
        batch = await gen.many([f"prompt {n}" for n in range(40)], size="1K")
        watcher.cancel()
        await assert_settled(gen, server, batch)
    assert len(batch.images) == 40
    assert peak == 3


async def test_cancelling_a_download_leaves_nothing_and_says_that_it_was_paid(
    tmp_path: Path,
) -> None:
    async with linked() as (server, gen):
        server.script(faults.download(faults.hang()))
        plan = gen.many(["a red bicycle"], size="1K", out=tmp_path / "out")
        task = asyncio.create_task(plan)
        while not server.stats().in_flight:  # the folder is made in a thread, in real time
            await asyncio.sleep(0.01)
        await asyncio.sleep(40)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (dropped,) = plan.partial
        assert isinstance(dropped, Failure)
        assert dropped.billing == "yes"
        await server.drain()
        assert server.bank.billed == dropped.spent
        assert not list((tmp_path / "out").glob("0*"))


async def test_gemini_links_in_a_text_are_fetched_too() -> None:
    async with FakeServer(latency=30.0, delivery="url") as server:
        async with Client(server.gemini_url, server.key) as gen:
            batch = await gen.many(["a red bicycle"], size="2K")
            await assert_settled(gen, server, batch)
        assert batch[0].ok


async def test_a_page_that_a_refusal_in_words_cites_is_not_fetched() -> None:
    words = "I cannot draw this. See https://policy.example/rules for what may be drawn."
    async with FakeServer(latency=30.0) as server:
        server.script(faults.no_image("STOP", words))
        async with Client(server.gemini_url, server.key) as gen:
            batch = await gen.many(["a red bicycle"], size="2K")
            await assert_settled(gen, server, batch)
        assert server.stats().downloads == 0
    (outcome,) = batch
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, NoImageError)
    assert outcome.error.text == words
