"""Disks that fill, journals that break, loops that stand still: what is paid for comes back."""

import asyncio
import errno
import shutil
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import (
    Client,
    JournalError,
    Limits,
    Listener,
    Outcome,
    ParkedError,
    Profile,
    StorageError,
    Timeouts,
)
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async.fake import FakeServer
from nbp_async.fake.process import spawn
from tests.failing_disk import Disk
from tests.loopback.durable.kills import assert_books
from tests.loopback.durable.test_signals import start
from tests.loopback.oracle import assert_settled

PRICE = Decimal("0.134")


async def test_a_disk_that_fills_stops_the_run_and_what_came_is_returned_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [f"prompt {n}" for n in range(40)]
    async with FakeServer(latency=30.0, speed=100.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        async with Client(profile, server.key, limits=Limits(max_in_flight=5)) as gen:
            with monkeypatch.context() as patch:
                Disk(patch).fail("write", errno.ENOSPC, after=12)
                batch = await gen.many(prompts, size="1K", out=tmp_path)
            assert isinstance(batch.stopped, StorageError)
            assert "Free space" in str(batch.stopped)
            held = [image for image in batch.images if image.path is None]
            assert held
            assert all(image.read().startswith(b"\x89PNG") for image in held)
            assert len(batch.images) == server.bank.images == server.stats().requests < 40
            assert batch.billing.spent == server.bank.billed
            await assert_settled(gen, server, batch)
            again = await gen.many(prompts, size="1K", out=tmp_path)
        parked = [f for f in again.failures if isinstance(f.error, ParkedError)]
        assert len(parked) == len(held), "they were paid for, and are named"
        assert server.bank.images == 40
        assert read_run(tmp_path).totals.spent == server.bank.billed


async def test_a_journal_that_cannot_be_written_stops_the_run_before_more_is_paid(
    tmp_path: Path,
) -> None:
    async with FakeServer(latency=30.0, speed=100.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        journal = await SqliteJournal.open(
            tmp_path / "j.sqlite3", account="vendor:me", folder=tmp_path, wall_clock=time.time
        )
        await journal._thread.run(lambda db: db.execute("PRAGMA max_page_count=40").fetchall())
        async with Client(profile, server.key, limits=Limits(max_in_flight=5)) as gen:
            prompts = [f"prompt {n} " + "x" * 1000 for n in range(200)]
            batch = await gen.many(prompts, size="1K", out=tmp_path, journal=journal)
            assert isinstance(batch.stopped, JournalError)
            assert "full" in str(batch.stopped)
            assert len(batch.images) == server.bank.images == server.stats().requests < 200
            await assert_settled(gen, server, batch)
            assert batch.billing.spent == server.bank.billed


async def test_no_room_on_the_disk_is_found_out_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    async with FakeServer(latency=0.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        async with Client(profile, server.key) as gen:
            plan = gen.many(["a", "b"], size="1K", out=tmp_path)
            batch = await plan
        assert isinstance(batch.stopped, StorageError)
        assert "Not sent" in str(batch.failures[0].error)
        assert server.stats().requests == 0


async def test_a_loop_that_stood_still_for_two_seconds_misjudges_nothing() -> None:
    """A user's own callback blocks the loop; the answers came meanwhile."""

    class Slow(Listener):
        def on_outcome(self, outcome: Outcome) -> None:
            if outcome.index == 0:
                time.sleep(2)

    async with await spawn(latency="30-170", speed=100.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        timeouts = Timeouts(connect=1.0, read=2.5, body=1.0, silence=0.5)
        limits = Limits(max_in_flight=20)
        async with Client(
            profile, server.key, limits=limits, timeouts=timeouts, listeners=[Slow()]
        ) as gen:
            batch = await gen.many([f"prompt {n}" for n in range(40)], size="1K")
        assert len(batch.images) == 40, batch.failures
        assert batch.billing.spent == (await server.stats()).dollars == 40 * PRICE


async def test_a_machine_that_sleeps_wakes_to_books_that_are_right(tmp_path: Path) -> None:
    async with await spawn(latency=0.4) as server:
        process = await start(server, tmp_path)
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2)
        process.send_signal(signal.SIGCONT)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert b"50 images, 0 unclear" in out
        report = await assert_books(server, tmp_path)
        assert report.totals.spent == (await server.stats()).dollars


async def test_a_consumer_that_leaves_a_stream_early_leaves_books_that_are_right(
    tmp_path: Path,
) -> None:
    async with FakeServer(latency=30.0, speed=100.0) as server:
        profile = Profile(name="vendor", base_url=server.openai_url)
        prompts = [f"prompt {n}" for n in range(40)]
        async with Client(profile, server.key, limits=Limits(max_in_flight=8)) as gen:
            async with gen.stream(prompts, size="1K", out=tmp_path) as stream:
                async for _ in stream:
                    break
            await server.drain()
            account = read_run(tmp_path).totals
            assert account.spent <= server.bank.billed <= account.spent + account.maybe
            batch = await gen.many(prompts, size="1K", out=tmp_path)
            assert len(batch.images) + len(batch.billing.unclear) == 40
            account = read_run(tmp_path).totals
            assert account.spent <= server.bank.billed <= account.spent + account.maybe
