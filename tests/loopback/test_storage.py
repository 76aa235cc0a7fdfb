"""A disk that fails in the middle of a run, before the bank: what is paid for is handed out."""

import errno
import itertools
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import ParkedError, StoppedError, StorageError
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image, MemoryBytes, Stored
from nbp_async._models.settings import Limits
from nbp_async._vendors.profiles import Profile
from nbp_async.fake import FakeServer
from nbp_async.testing.journal import inline_journal
from nbp_async.testing.sink import NowhereSink, NowhereWriter
from tests.loopback.oracle import assert_settled

pytestmark = pytest.mark.looptime

PROMPTS = [f"bicycle {n}" for n in range(20)]


def full_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """The disk takes so many files, and is full then."""
    fsync, taken = os.fsync, itertools.count(1)  # several threads write, and each counts once

    def fsync_or_not(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode) and next(taken) > files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fsync_or_not)


def client(server: FakeServer, **options: Any) -> Client:
    profile = Profile(name="vendor", base_url=server.openai_url)
    return Client(profile, server.key, limits=Limits(max_in_flight=4), **options)


async def test_a_disk_that_fills_up_stops_the_buying_and_hands_out_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    async with FakeServer(latency=30.0) as server:
        async with client(server) as gen:
            full_after(monkeypatch, 6)
            batch = await gen.many(PROMPTS, size="1K", out=out)
            monkeypatch.undo()
            in_memory = [image for image in batch.images if image.path is None]
            await assert_settled(gen, server, batch, out=out)
        assert server.stats().requests == len(batch.images)
    assert isinstance(batch.stopped, StorageError)
    assert len(batch.images) - len(in_memory) == 6
    assert 1 <= len(in_memory) <= 6
    assert {type(failure.error) for failure in batch.failures} == {StoppedError}


async def test_what_was_in_memory_when_a_run_ended_is_not_taken_for_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    async with FakeServer(latency=30.0) as server:
        async with client(server) as gen:
            full_after(monkeypatch, 6)
            first = await gen.many(PROMPTS, size="1K", out=out)
            monkeypatch.undo()
            lost = {image.index for image in first.images if image.path is None}
            again = await gen.many(PROMPTS, size="1K", out=out)
            await assert_settled(gen, server, [*first.images, *again.images], out=out)
        assert server.stats().requests == len(PROMPTS)
        assert sum(o.spent + o.spent_earlier for o in again) == server.bank.billed
    assert lost
    for outcome in again:
        if outcome.index in lost:
            assert isinstance(outcome, Failure)
            assert isinstance(outcome.error, ParkedError)
            assert "memory" in str(outcome.error)
        else:
            assert isinstance(outcome, Image)
            assert outcome.path is not None


async def test_one_image_in_the_file_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It replaces none, before and after the image is paid for; a full disk leaves it in memory."""
    async with FakeServer(latency=30.0) as server, client(server) as gen:
        image = await gen.one("a", size="1K", out=tmp_path / "shop" / "x.webp")
        assert image.path == tmp_path / "shop" / "x.png"
        assert [path.name for path in (tmp_path / "shop").iterdir()] == ["x.png"]
        with pytest.raises(StorageError, match=r"x\.png exists, and is not overwritten"):
            await gen.one("b", size="1K", out=tmp_path / "shop" / "x.png")
        assert server.stats().requests == 1
        second = await gen.one("b", size="1K", out=tmp_path / "shop" / "x.jpg")
        assert second.path == tmp_path / "shop" / "x-2.png"
        full_after(monkeypatch, 0)
        third = await gen.one("c", size="1K", out=tmp_path / "y.png")
        monkeypatch.undo()
        assert third.path is None
        assert len(third.read()) == third.stored.size
        await assert_settled(gen, server, [image, second, third])
    assert not (tmp_path / "y.png").exists()


class FullSink(NowhereSink):
    """A place of the user's own that takes so many images, and then leaves them in memory."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes
        self.error: StorageError | None = None

    async def open(self) -> "FullWriter":
        return FullWriter(self)


class FullWriter(NowhereWriter):
    def __init__(self, sink: FullSink) -> None:
        super().__init__(sink)
        self._place = sink
        self._data = b""

    async def write(self, data: bytes) -> None:
        await super().write(data)
        self._data += data

    async def commit(self, stem: str, suffix: str) -> Stored:
        stored = await super().commit(stem, suffix)
        if self._place.images > self._place.takes:
            self._place.error = StorageError("no space left")
            self.stored = Stored(stored.size, stored.digest, MemoryBytes(self._data))
        assert self.stored is not None
        return self.stored


async def test_what_a_sink_of_ones_own_could_not_take_is_named_by_the_next_call(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal.sqlite3"
    async with FakeServer(latency=30.0) as server, client(server) as gen:
        first = await gen.many(
            PROMPTS[:4], size="1K", out=FullSink(2), journal=await inline_journal(journal)
        )
        lost = [image for image in first.images if image.stored.held is not None]
        assert lost
        assert len(first.images) - len(lost) == 2
        kept = next(image for image in first.images if image.stored.held is None)
        assert "given to the call's own sink" in repr(kept)
        with pytest.raises(StorageError, match="given to the call's own sink"):
            kept.read()
        again = await gen.many(
            PROMPTS[:4], size="1K", out=NowhereSink(), journal=await inline_journal(journal)
        )
        named = [o for o in again if isinstance(o, Failure)]
        assert len(named) == len(lost)
        for failure in named:
            assert isinstance(failure.error, ParkedError)
            assert "its sink had failed" in str(failure.error)
        assert server.stats().requests == 4, "nothing was bought twice in silence"
        repaired = await gen.many(
            PROMPTS[:4],
            size="1K",
            out=NowhereSink(),
            journal=await inline_journal(journal),
            retry_failed=True,
        )
        assert len(repaired.images) == 4
        assert server.bank.billed == first.billing.spent + again.billing.spent + (
            repaired.billing.spent
        )
