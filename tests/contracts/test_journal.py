"""What every journal promises: SQLite on a thread of its own and inline, and PostgreSQL."""

import asyncio
import os
import sqlite3
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import DisconnectedError, JournalError, RunBusyError
from nbp_async._base.http import Billing, Usage
from nbp_async._base.task_handle import Handle
from nbp_async._journal.base import Journal
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Failure, Prompt
from tests.contracts.journals import Journals, claim
from tests.unit.journal.made import MOST, PRICE, attempt, image, job


async def leave_one_in_each_state(journal: Journal, folder: Path) -> None:
    """a planned, b armed, c answered, d stored, e failed."""
    for index, text in enumerate("abcde"):
        entry = await claim(journal, job(text, index))
        assert (entry.state, entry.item, len(entry.nonce)) == ("planned", index + 1, 32)
        if text == "a":
            continue
        await journal.arm(entry.item, 1, PRICE, MOST, f"{index:06d}")
        if text == "c":
            await journal.record_answer(
                entry.item, 1, ("https://x/1", "https://x/2"), 99.0, "req-7"
            )
        elif text == "d":
            journal.settle(entry.item, attempt())
            await journal.finish(entry.item, image(folder, index))
        elif text == "e":
            tried = attempt(billing="maybe")
            journal.settle(entry.item, tried)
            failure = Failure(
                index=index,
                prompt=Prompt(text=text),
                error=DisconnectedError("gone"),
                billing="maybe",
                attempts=(tried,),
            )
            await journal.finish(entry.item, failure)


async def test_an_item_goes_through_its_states_and_the_next_process_sees_them(
    opened: Journals, tmp_path: Path
) -> None:
    await leave_one_in_each_state(await opened(), tmp_path)
    journal = await opened()
    found = {text: await claim(journal, job(text, n + 10)) for n, text in enumerate("abcde")}
    assert [(e.item, e.index) for e in found.values()] == [(n + 1, n + 10) for n in range(5)]
    states = [entry.state for entry in found.values()]
    assert states == ["planned", "armed", "answered", "stored", "failed"]
    (out,) = found["b"].pending
    assert (out.price, out.most, out.armed_at, out.stem) == (PRICE, MOST, 1000.0, "000001")
    assert found["c"].links == ("https://x/1", "https://x/2")
    assert (found["c"].link_expires, found["c"].pending[0].request_id) == (99.0, "req-7")
    kept = found["d"].image
    assert kept is not None
    assert (kept.index, kept.stored) == (13, image(tmp_path, 3).stored)
    assert found["d"].attempts == (attempt(),)
    assert found["e"].error == "DisconnectedError: gone"
    account = await journal.totals()
    assert account.spent == PRICE
    assert account.maybe == MOST * 2 + PRICE, "what was never settled may cost what was set aside"
    assert account.images == 1
    assert [entry.item for entry in await journal.unsettled()] == [2, 3]


async def test_equal_jobs_are_claimed_in_turn_and_by_each_process_anew(opened: Journals) -> None:
    for _ in range(3):
        journal = await opened()
        items = [(await claim(journal, job("a", index))).item for index in range(4)]
        assert items == [1, 2, 3, 4]


async def test_equal_jobs_keep_their_order_after_a_run_that_drew_few_of_them(
    opened: Journals,
) -> None:
    for count in (4, 1, 2, 5):
        journal = await opened()
        items = [(await claim(journal, job("a", index))).item for index in range(count)]
        assert items == list(range(1, count + 1))


async def test_a_number_is_armed_once_and_what_it_cost_stays(
    opened: Journals, tmp_path: Path
) -> None:
    journal = await opened()
    entry = await claim(journal, job())
    await journal.arm(entry.item, 1, PRICE, MOST, "x")
    journal.settle(entry.item, attempt())
    assert (await journal.totals()).spent == PRICE
    with pytest.raises(JournalError):
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
    await journal.aclose()
    assert opened.read().totals.spent == PRICE


async def test_a_closed_journal_refuses_and_keeps_nobody_waiting(opened: Journals) -> None:
    journal = await opened()
    entry = await claim(journal, job())
    await journal.aclose()
    with pytest.raises(JournalError, match="closed"):
        await asyncio.wait_for(journal.arm(entry.item, 1, PRICE, MOST, "x"), 5)
    with pytest.raises(JournalError, match="closed"):
        await asyncio.wait_for(journal.totals(), 5)


async def test_a_settlement_raises_nothing_and_the_next_to_wait_hears_of_it(
    in_a_file: Journals,
) -> None:
    journal = await in_a_file()
    entry = await claim(journal, job())
    await journal.arm(entry.item, 1, PRICE, MOST, "x")
    await journal._thread.run(lambda db: db.execute("PRAGMA query_only=1"))
    journal.settle(entry.item, attempt())
    with pytest.raises(JournalError, match="readonly"):
        await claim(journal, job("b", 1))


async def test_a_thousand_callers_at_once_are_each_answered(opened: Journals) -> None:
    journal = await opened()

    async def pass_through(index: int) -> int:
        entry = await claim(journal, job(f"prompt {index}", index))
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
        journal.settle(entry.item, attempt())
        return entry.item

    items = await asyncio.gather(*map(pass_through, range(1000)))
    assert len(set(items)) == 1000
    assert (await journal.totals()).spent == 1000 * PRICE


class Model:
    """Six jobs, two equal ones of each kind, in a journal and in plain dictionaries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.state: dict[int, str] = dict.fromkeys(range(6), "planned")
        self.tries: defaultdict[int, list[Billing | None]] = defaultdict(list)

    async def open(self) -> None:
        """A new process draws them all."""
        self.journal = await SqliteJournal.open(
            self._folder / "j.sqlite3",
            account="a",
            folder=self._folder,
            wall_clock=lambda: 0.0,
            inline=True,
        )
        jobs = [(job(str(n // 2), n), bytes([n // 2]) * 32) for n in range(6)]
        self.items = [(await self.journal.claim(*one)).item for one in jobs]
        assert sorted(self.items) == [1, 2, 3, 4, 5, 6]

    async def step(self, which: int, step: str) -> None:
        item, tries = self.items[which], self.tries[self.items[which]]
        if step == "a":
            tries.append(None)
            await self.journal.arm(item, len(tries), PRICE, MOST, "x")
            self.state[item] = "armed"
        elif step in "ms" and tries:
            bill: Billing = "maybe" if step == "m" else "yes"
            tries[-1] = bill
            self.journal.settle(item, attempt(len(tries), bill))
        elif step == "f":
            await self.journal.finish(item, image(self._folder, which))
            self.state[item] = "stored"
        elif step == "r":
            await self.journal.aclose()
            await self.open()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("armsf")), max_size=60))
def test_it_says_what_a_plain_dictionary_would(steps: list[tuple[int, str]]) -> None:
    """Any order of steps on six jobs, with a new process in between now and then."""

    async def play(model: Model) -> None:
        await model.open()
        for which, step in steps:
            await model.step(which, step)
        account = await model.journal.totals()
        bills = [bill for tries in model.tries.values() for bill in tries]
        assert account.spent == bills.count("yes") * PRICE
        assert account.maybe == bills.count("maybe") * PRICE + bills.count(None) * MOST
        assert account.images == list(model.state.values()).count("stored")
        await model.journal.aclose()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Model(Path(folder))))


async def test_what_was_recorded_comes_back_whole(opened: Journals, tmp_path: Path) -> None:
    asked = job(
        'ä\n"',
        3,
        size="2K",
        aspect_ratio="16:9",
        seed=5,
        extra={"b": [1, {"c": None}]},
        references=("a.png", b"bytes"),
    )
    full = image(
        tmp_path,
        3,
        url="https://x/a.png",
        url_expires=5.0,
        model="m-1",
        mismatch="smaller",
        notes=("its JPEG has no end mark",),
        usage=Usage(1, 2, 3, 6),
        extras=(image(tmp_path, 3, url="https://x/b.png"),),
    )
    journal = await opened()
    entry = await claim(journal, asked)
    tried = attempt(backoff=2.5, status=200, request_id="req", error="")
    await journal.arm(entry.item, 1, PRICE, MOST, "000003")
    journal.settle(entry.item, tried)
    await journal.finish(entry.item, full)
    journal = await opened()
    again = await claim(journal, asked)
    assert again.attempts == (tried,)
    assert again.image is not None
    assert again.image.prompt.extra == {"b": [1, {"c": None}]}
    assert again.image.stored == full.stored
    assert (again.image.usage, again.image.extras[0].url) == (full.usage, "https://x/b.png")
    assert again.pixels == asked.canvas.pixels


async def test_the_clock_has_no_say_in_what_came_first(opened: Journals) -> None:
    times = iter([5000.0, *[1400.0] * 50])  # an hour back after the first look
    journal = await opened(wall_clock=lambda: next(times))
    for index in range(3):
        entry = await claim(journal, job(str(index), index))
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
    assert [entry.item for entry in await journal.unsettled()] == [1, 2, 3]
    assert len((await journal.totals(600.0)).recent) == 3


async def test_a_second_opener_is_refused_and_told_who_holds_it(in_a_file: Journals) -> None:
    journal = await in_a_file()
    with pytest.raises(RunBusyError) as caught:
        await SqliteJournal.open(
            journal.path, account="vendor:me", folder=journal.path.parent, wall_clock=lambda: 0.0
        )
    assert caught.value.pid == os.getpid()
    entry = await claim(journal, job())
    assert entry.item == 1, "the first one works on"


async def test_a_newer_journal_and_a_damaged_page_are_refused_and_kept(
    in_a_file: Journals, tmp_path: Path
) -> None:
    journal = await in_a_file()
    for index in range(300):
        await claim(journal, job(f"prompt {index} " + "x" * 200, index))
    await journal.aclose()
    path = tmp_path / "journal.sqlite3"
    whole = path.read_bytes()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    newer = path.read_bytes()
    with pytest.raises(JournalError, match=r"newer nbp_async .*Nothing was changed"):
        await in_a_file()
    assert path.read_bytes() == newer
    assert "newer" in read_run(tmp_path).problem
    assert len(list(read_run(tmp_path).rows())) == 300
    broken = bytearray(whole)
    broken[8192:16384] = b"\xff" * 8192
    path.write_bytes(bytes(broken))
    with pytest.raises(JournalError, match=r"damaged.*Nothing was changed"):
        await in_a_file()
    assert path.read_bytes() == bytes(broken)


async def test_a_disk_that_is_full_fails_everybody_who_waits_and_then_nothing_is_armed(
    in_a_file: Journals, tmp_path: Path
) -> None:
    journal = await in_a_file()
    entry = await claim(journal, job())
    await journal._thread.run(lambda db: db.execute("PRAGMA max_page_count=1"))
    big = job("x" * 200_000, 1)
    waiting = [asyncio.ensure_future(claim(journal, big)) for _ in range(5)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(result, JournalError) for result in results)
    with pytest.raises(JournalError, match=r"full.*Free space"):
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
    journal.settle(entry.item, attempt())  # nobody waits: it must not raise
    await journal.aclose()
    assert read_run(tmp_path).states.get("armed") is None


async def test_no_row_that_was_acknowledged_is_missing_after_a_power_cut(tmp_path: Path) -> None:
    """The file and the synced part of its log are what a power cut leaves: cut it anywhere."""
    journal = await SqliteJournal.open(
        tmp_path / "a" / "j.sqlite3", account="a", folder=None, wall_clock=lambda: 0.0
    )
    log = tmp_path / "a" / "j.sqlite3-wal"
    acknowledged = []  # (length of the log, items armed by then)
    for index in range(40):
        entry = await journal.claim(job(str(index), index), bytes([index]) * 32)
        await journal.arm(entry.item, 1, PRICE, MOST, "x")
        acknowledged.append((log.stat().st_size, index + 1))
    main, whole = (tmp_path / "a" / "j.sqlite3").read_bytes(), log.read_bytes()
    await journal.aclose()
    for cut in range(0, len(whole) + 1, 4096 * 3):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "j.sqlite3").write_bytes(main)
        (folder / "j.sqlite3-wal").write_bytes(whole[:cut])
        sure = max((count for size, count in acknowledged if size <= cut), default=0)
        again = await SqliteJournal.open(
            folder / "j.sqlite3", account="a", folder=None, wall_clock=lambda: 0.0
        )
        assert len(await again.unsettled()) >= sure
        await again.aclose()
        with sqlite3.connect(folder / "j.sqlite3") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


async def test_a_reader_may_look_while_the_run_goes_on(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(
        tmp_path / "journal.sqlite3", account="a", folder=tmp_path, wall_clock=lambda: 0.0
    )
    reader = sqlite3.connect(f"file:{tmp_path}/journal.sqlite3?mode=ro", uri=True)
    reader.execute("BEGIN")
    for index in range(50):
        await journal.claim(job(str(index), index), bytes([index]) * 32)
        reader.execute("SELECT count(*) FROM item").fetchone()
    assert read_run(tmp_path).states == {"planned": 50}
    reader.close()
    await journal.aclose()
    assert not (tmp_path / "journal.sqlite3-wal").exists()


async def test_the_journal_has_one_thread_and_ends_it(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # some of which may be about to end
    journal = await SqliteJournal.open(
        tmp_path / "j.sqlite3", account="a", folder=None, wall_clock=lambda: 0.0
    )
    (ours,) = set(threading.enumerate()) - before
    await journal.aclose()
    await journal.aclose()
    ours.join(10)
    assert not ours.is_alive()


async def test_the_last_note_of_a_name_is_kept_for_later_calls(opened: Journals) -> None:
    journal = await opened()
    assert await journal.notes() == {}
    for text in ("38", "40"):
        journal.note("a limit", text)
    journal.note("another", "7")
    assert await journal.notes() == {"a limit": "40", "another": "7"}
    assert await (await opened()).notes() == {"a limit": "40", "another": "7"}


async def test_what_the_vendor_works_on_is_known_by_its_handle(opened: Journals) -> None:
    journal = await opened()
    handles = [
        Handle("task", "t-1", look="https://vendor.example/t-1"),
        Handle("batch", "nbp-1", key="7"),
    ]
    for index, handle in enumerate(handles):
        entry = await claim(journal, job("abc"[index], index))
        await journal.arm(entry.item, 1, PRICE, MOST, f"{index:06d}")
        await journal.record_submission(entry.item, 1, handle, f"req-{index}")
    assert (await journal.totals()).maybe == 2 * MOST
    journal = await opened()
    found = await journal.unsettled()
    assert [entry.state for entry in found] == ["submitted", "submitted"]
    assert [entry.handle for entry in found] == handles
    assert [entry.pending[0].request_id for entry in found] == ["req-0", "req-1"]
    journal.settle(1, attempt(1))
    await journal.finish(1, image(opened.folder))
    assert [entry.item for entry in await journal.unsettled()] == [2]
    rows = list(opened.read().rows())
    assert [row.state for row in rows] == ["stored", "submitted"]
    assert rows[1].maybe_usd == MOST
