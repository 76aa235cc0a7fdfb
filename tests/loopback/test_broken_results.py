"""Inline results of a batch job in a document that is broken: read as far as they are whole, and
what is not is kept with its price. Nobody polls for ever, and nothing is bought again.
"""

import base64
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import Batch, Client, TaskOpenError, TruncatedError, read_run, recover_run
from nbp_async._journal.base import JOURNAL
from nbp_async.fake import FakeServer, faults
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import vendor
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, profile
from tests.pictures import png

pytestmark = pytest.mark.looptime

PROMPTS = ["bicycle 0", "bicycle 1", "bicycle 2"]
PICTURE = base64.b64encode(png(1024, 1024, padding=30_000)).decode()
PART = '{"inlineData": {"mimeType": "image/png", "data": "%s"}}'
RESULT = (
    '{"response": {"candidates": [{"content": {"parts": [%s]}, "finishReason": "STOP"}]}, '
    '"metadata": {"key": "%d-1"}}'
)
DOCUMENT = (
    '{"name": "batches/b-1", "metadata": {"state": "BATCH_STATE_SUCCEEDED"}, "done": true, '
    '"response": {"inlinedResponses": {"inlinedResponses": [%s]}}}'
)


def result(item: int) -> str:
    return RESULT % (PART % PICTURE, item)


def look(*results: str, cut: int | None = None) -> faults.Fault:
    """A poll that is answered with these results."""
    body = (DOCUMENT % ", ".join(results)).encode()[:cut]
    return faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def make(gen: Client, server: FakeServer, folder: Path) -> Batch:
    journal = await inline_journal(folder / JOURNAL)
    made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, out=folder)
    await server.drain()
    account = read_run(folder).totals
    # Without token counts the list price counts, which leaves out a cent of text.
    most = (account.spent + account.maybe) * Decimal("1.05")
    assert account.spent <= server.bank.billed <= most
    assert server.bank.images == 3, "bought once"
    return made


def client(server: FakeServer) -> Client:
    return Client(profile(server, "gemini"), KEY, rng=lambda: 0.5)


def images(made: Batch) -> list[bool]:
    return [outcome.ok for outcome in made]


async def test_a_result_that_is_cut_off_is_kept_and_the_call_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Google sends all of them twice, and this one is broken in both places."""
    async with vendor() as server, client(server) as gen:
        server.script(faults.mixed_results(broken=1), match="create")
        made = await make(gen, server, tmp_path)
        assert now() < 3600
        (failure,) = made.failures
        assert isinstance(failure.error, TruncatedError)
        assert failure.billing == "yes"
        assert Path(failure.unread).is_file()
        assert [str(path) for path in (tmp_path / "unread").iterdir()] == [failure.unread]
        assert caplog.text.count("are broken at the vendor") == 1
        requests = server.stats().requests
        again = await make(gen, server, tmp_path)
        assert images(again) == images(made)
        assert server.stats().requests == requests, "what is over is not polled again"
        found = await recover_run(tmp_path)
        assert [one.unread for one in found.failures] == [failure.unread]
        await assert_settled(gen, server, made, out=tmp_path)


@pytest.mark.parametrize("begins_with_key", [False, True])
@pytest.mark.parametrize("keep", [0.3, 0.9])
async def test_results_after_a_broken_one_are_delivered(
    tmp_path: Path, keep: float, begins_with_key: bool
) -> None:
    """Nothing tells where the broken one ends, so that it would swallow what follows."""
    broken = result(2)
    broken = broken[: int(len(broken) * keep)]
    if begins_with_key:
        broken = '{"metadata": {"key": "2-1"}, ' + broken[1:]
    async with vendor() as server, client(server) as gen:
        server.script(*[look(result(1), broken, result(3))] * 20, match="look at")
        made = await make(gen, server, tmp_path)
        assert images(made) == [True, False, True]
        assert {image.read() for image in made.images} == {base64.b64decode(PICTURE)}
        (failure,) = made.failures
        kept = [path.read_bytes() for path in (tmp_path / "unread").iterdir()]
        assert len(kept) == 1
        assert kept[0].partition(b"\n")[2].startswith(broken.encode())
        if begins_with_key:
            assert (failure.unread != "", failure.billing) == (True, "yes")
        else:
            assert "nbp recover" in str(failure.error), "it is kept, and nobody knows whose it is"
            assert failure.billing == "maybe"


async def test_what_never_came_stays_at_the_vendor(tmp_path: Path) -> None:
    """All documents end at one place, as if something on the way cut them: later they are whole."""
    cut = len((DOCUMENT % ", ".join([result(1), result(2)])).encode()) - 100
    async with vendor() as server, client(server) as gen:
        server.script(*[look(*map(result, (1, 2, 3)), cut=cut)] * 4, match="look at")
        made = await make(gen, server, tmp_path)
        assert images(made) == [True, False, False]
        error = made.failures[1].error
        assert isinstance(error, TaskOpenError)
        assert "broken at the vendor: The JSON" in str(error)
        assert made.failures[1].billing == "maybe"
        again = await make(gen, server, tmp_path)
        assert images(again) == [True, True, True]


async def test_documents_that_are_cut_at_other_places_are_read_until_one_is_whole(
    tmp_path: Path,
) -> None:
    whole = [result(item) for item in (1, 2, 3)]
    cuts = [look(*whole, cut=30_000 + 700 * number) for number in range(8)]
    async with vendor() as server, client(server) as gen:
        server.script(*cuts, match="look at")
        made = await make(gen, server, tmp_path)
        assert images(made) == [True, True, True]
        assert not (tmp_path / "unread").exists()
        assert not server.unplayed
        await assert_settled(gen, server, made, out=tmp_path)


async def test_a_web_page_in_place_of_a_document_gives_up_no_job(tmp_path: Path) -> None:
    page = faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")
    async with vendor() as server, client(server) as gen:
        server.script(*[page] * 9, match="look at")
        made = await make(gen, server, tmp_path)
        assert images(made) == [True, True, True]
        await assert_settled(gen, server, made, out=tmp_path)
