"""Odd lines in the results of batch jobs: each is joined, kept or named, before the bank."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from nbp_async import (
    Batch,
    Client,
    Failure,
    Image,
    StoppedError,
    TaskLostError,
    TaskOpenError,
    TruncatedError,
    read_run,
    recover_run,
)
from nbp_async._batch_api import batch_pool, gemini_batch
from nbp_async._journal.base import JOURNAL
from nbp_async.fake import FakeServer, faults
from nbp_async.testing.journal import inline_journal
from tests.loopback.batches import ONLY_GOOGLE, each_dialect, small_jobs, vendor, vendor_profile
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY

pytestmark = [pytest.mark.looptime, ONLY_GOOGLE]
__all__ = ["each_dialect", "small_jobs"]  # fixtures: they apply by being here

PROMPTS = ["bicycle 0", "bicycle 1", "bicycle 2"]


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that came inline are answered inline, in their order."""
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 19_000_000)


async def make(server: FakeServer, folder: Path, *, strays: int = 0) -> Batch:
    """One call on the run of `folder`; the bank agrees, and so many results belong to no line."""
    async with Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        journal = await inline_journal(folder / JOURNAL)
        made = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, out=folder)
        assert len(stray_files(folder)) == strays
        await assert_settled(gen, server, made)
        return made


def stray_files(folder: Path) -> list[Path]:
    return sorted((folder / "unread").glob("unknown-*.reply"))


def digests(outcomes: Sequence[object]) -> dict[str, bytes]:
    return {o.prompt.text: o.stored.digest for o in outcomes if isinstance(o, Image)}


async def drawn(folder: Path) -> dict[str, bytes]:
    """What the fake draws for each prompt."""
    async with vendor() as server:
        return digests(await make(server, folder))


@pytest.mark.usefixtures("inline")
async def test_results_without_keys_are_joined_by_their_order(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.mixed_results(keyless=True), match="create")
        server.script(faults.blocked(), match="bicycle 1")
        made = await make(server, tmp_path / "a")
    assert [outcome.ok for outcome in made] == [True, False, True]
    assert all("by its place among the results" in str(image.notes) for image in made.images)
    right = await drawn(tmp_path / "b")
    assert digests(made) == {text: right[text] for text in (PROMPTS[0], PROMPTS[2])}


@pytest.mark.usefixtures("inline")
async def test_without_keys_and_with_one_missing_nothing_is_guessed(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.mixed_results(missing=1, keyless=True), match="create")
        made = await make(server, tmp_path, strays=2)
    for failure in made.failures:
        assert isinstance(failure.error, TaskLostError)
        assert failure.billing == "maybe"
        assert "are kept: 2" in failure.error.hint
    found = await recover_run(tmp_path)
    assert {image.path.name[:8] for image in found.images if image.path} == {"unknown-"}
    assert len({image.stored.digest for image in found.images}) == 2
    assert not stray_files(tmp_path)


async def test_results_of_a_file_without_keys_are_kept(tmp_path: Path) -> None:
    async with vendor() as server:
        server.script(faults.mixed_results(keyless=True), match="create")
        made = await make(server, tmp_path, strays=3)
    assert {type(failure.error) for failure in made.failures} == {TaskLostError}
    assert len((await recover_run(tmp_path)).images) == 3


async def test_broken_and_doubled_lines_of_a_file_are_kept_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with vendor() as server:
        server.script(faults.mixed_results(twice=2, changed=2, unknown=1, broken=1), match="create")
        server.script(faults.download(faults.cut_body(0.97)))
        made = await make(server, tmp_path, strays=2)
    assert caplog.text.count("a second result for") == 2
    assert "nobody-0" in caplog.text
    (broken,) = made.failures
    assert isinstance(broken.error, TruncatedError)
    assert broken.billing == "yes"
    found = await recover_run(tmp_path)
    assert len(found.images) == 2
    assert [failure.prompt.text for failure in found.failures] == [broken.prompt.text]
    assert Path(broken.unread).is_file(), "another version may read it"


async def test_a_file_that_ends_within_a_line_is_not_read_for_ever(tmp_path: Path) -> None:
    body = b'{"key":"1-1","response":{"candidates":[{"content'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with vendor() as server:
        server.script(faults.download(faults.raw(head + body)))
        cut, *lost = await make(server, tmp_path)
    assert isinstance(cut, Failure)
    assert isinstance(cut.error, TruncatedError)
    assert cut.unread
    assert {type(failure.error) for failure in lost if not failure.ok} == {TaskLostError}


async def test_a_file_that_is_cut_at_one_place_is_not_read_for_ever(tmp_path: Path) -> None:
    """Nothing says how long it is: what came is delivered or kept, the rest stays at the vendor."""
    cut = faults.download(faults.cut_body(0.5, "close"))
    async with vendor() as server:
        server.script(*[cut] * 4)
        made = await make(server, tmp_path, strays=1)
        assert len(made.images) == 1
        assert {type(f.error): f.billing for f in made.failures} == {TaskOpenError: "maybe"}
        assert "nbp recover" in str(made.failures[0].error)
        assert not server.unplayed
        async with Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            again = await gen.many(PROMPTS, size="1K", via="batch", journal=journal, out=tmp_path)
        assert len(again.images) == 3, "it was whole at the vendor"
        assert read_run(tmp_path).totals.spent == server.bank.billed
        assert server.bank.images == 3


async def test_lines_that_cannot_be_read_stop_the_call(tmp_path: Path) -> None:
    """Three lines in a row that are billed and broken: no more jobs are created."""
    async with vendor() as server, Client(vendor_profile(server), KEY, rng=lambda: 0.5) as gen:
        server.script(faults.mixed_results(broken=3), match="create")
        journal = await inline_journal(tmp_path / JOURNAL)
        prompts = [f"bicycle {number}" for number in range(9)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch_pool, "MOST_JOBS", 1)
            made = await gen.many(prompts, size="1K", via="batch", journal=journal, out=tmp_path)
        assert [type(f.error) for f in made.failures] == [TruncatedError] * 3 + [StoppedError] * 6
        assert "3 attempts in a row ended alike" in str(made.failures[-1].error)
        assert server.bank.images == 3
        await assert_settled(gen, server, made)
