"""What becomes of an item that several journals have, and of its attempts and files."""

import shutil
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async import JournalError, merge_runs
from nbp_async._journal.base import JOURNAL, JournalEntry
from nbp_async._journal.identity import identity
from nbp_async._journal.limit_records import LimitRecord
from nbp_async._journal.lost_journal import merging_path
from nbp_async._journal.reader import read_run
from nbp_async._models.outcomes import Job
from tests.unit.journal.made import MOST, PRICE, attempt, job
from tests.unit.journal.test_manifest import end, opened

ORPHAN = "000000-5f3a9c01d2e4.png"


async def arm(folder: Path, index: int = 0) -> None:
    """A process that is killed while the request of this index is out."""
    journal = await opened(folder)
    asked = job(f"prompt {index}", index)
    entry = await journal.claim(asked, identity(asked, "me", ()))
    await journal.arm(entry.item, 1, PRICE, MOST, f"{index:06d}")
    await journal.aclose()


async def make(folder: Path, *indexes: int, fails: bool = False) -> None:
    journal = await opened(folder)
    for index in indexes:
        await end(journal, index, fails=fails)
    await journal.aclose()


async def claim(folder: Path, *jobs: Job) -> list[JournalEntry]:
    journal = await opened(folder)
    found = [await journal.claim(asked, identity(asked, "me", ())) for asked in jobs]
    await journal.aclose()
    return found


async def test_a_copy_that_knows_less_adds_nothing(tmp_path: Path) -> None:
    await arm(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    journal = await opened(tmp_path / "run")
    entry = (await journal.unsettled())[0]
    journal.settle(entry.item, attempt(1, "no", error="DisconnectedError: gone"))
    await journal.aclose()
    for number, order in enumerate((("run", "copy"), ("copy", "run"))):
        out = tmp_path / f"all-{number}"
        report = merge_runs(out, *(tmp_path / name for name in order))
        assert (report.items, report.spent, report.maybe) == (1, Decimal(0), Decimal(0))
        found = (await claim(out, job("prompt 0")))[0]
        assert [each.billing for each in found.attempts] == ["no"]
        assert found.pending == ()


async def test_an_image_is_nearer_than_what_may_be_sent_again(tmp_path: Path) -> None:
    await make(tmp_path / "failed", 0, fails=True)
    await make(tmp_path / "made", 0)
    await claim(tmp_path / "planned", job("prompt 0"))
    out = tmp_path / "all"
    report = merge_runs(out, *(tmp_path / name for name in ("planned", "failed", "made")))
    assert (report.items, report.images, report.twice) == (2, 1, ())
    assert [entry.state for entry in await claim(out, job("prompt 0"), job("prompt 0", 1))] == [
        "stored",
        "failed",
    ]


async def test_what_may_have_been_billed_comes_before_what_was_not(tmp_path: Path) -> None:
    await make(tmp_path / "refused", 0, fails=True)
    await arm(tmp_path / "out")
    merge_runs(tmp_path / "all", tmp_path / "refused", tmp_path / "out")
    found = (await claim(tmp_path / "all", job("prompt 0")))[0]
    assert (found.state, len(found.pending)) == ("armed", 1)


async def test_an_image_that_nobody_recorded_stays_that_of_its_own_request(tmp_path: Path) -> None:
    await make(tmp_path / "made", 0)
    (tmp_path / "made" / "000000-abc.png").write_bytes(b"\0" * 1234)
    await arm(tmp_path / "killed")
    (tmp_path / "killed" / ORPHAN).write_bytes(b"stored, and then it was killed")
    out = tmp_path / "all"
    report = merge_runs(out, tmp_path / "made", tmp_path / "killed")
    assert [one.index for one in report.twice] == [0]
    journal = await opened(out)
    pending = (await journal.unsettled())[0].pending[0]
    await journal.aclose()
    assert len(pending.stem) == len("000000-5f3a9c")
    assert sorted(path.name for path in out.glob("0*")) == sorted(
        ["000000-abc.png", f"{pending.stem}-5f3a9c01d2e4.png"]
    )
    assert merge_runs(out, tmp_path / "made", tmp_path / "killed").files == 0


async def test_a_name_that_another_file_has_is_not_overwritten(tmp_path: Path) -> None:
    await make(tmp_path / "a", 0)
    await make(tmp_path / "b", 1)
    for run, content in (("a", b"one"), ("b", b"another")):
        (tmp_path / run / ORPHAN).write_bytes(content)
    out = tmp_path / "all"
    merge_runs(out, tmp_path / "a", tmp_path / "b")
    merge_runs(out, tmp_path / "a", tmp_path / "b")
    assert sorted(path.read_bytes() for path in out.glob("000000-*")) == [b"another", b"one"]


async def test_batch_jobs_come_along_as_far_as_they_have_come(tmp_path: Path) -> None:
    for run, state in (("a", "creating"), ("b", "over"), ("c", "created")):
        journal = await opened(tmp_path / run)
        await journal.save_batch("nbp-1", f'{{"name":"nbp-1","state":"{state}"}}')
        await journal.save_batch(f"nbp-{run}", f'{{"state":"{state}"}}')
        await journal.aclose()
    merge_runs(tmp_path / "all", *(tmp_path / run for run in "abc"))
    journal = await opened(tmp_path / "all")
    found = await journal.batches()
    await journal.aclose()
    assert found["nbp-1"] == '{"name":"nbp-1","state":"over"}'
    assert sorted(found) == ["nbp-1", "nbp-a", "nbp-b", "nbp-c"]


async def test_of_learned_limits_the_latest_is_kept(tmp_path: Path) -> None:
    for run, limit, written in (("a", 40, 7.0), ("b", 30, 9.0), ("c", 20, 8.0)):
        journal = await opened(tmp_path / run)
        record = LimitRecord("google", "me", "a-model", limit, written)
        journal.note(record.name, record.text())
        await journal.aclose()
    merge_runs(tmp_path / "all", *(tmp_path / run for run in "abc"))
    assert [one.limit for one in read_run(tmp_path / "all").learned] == [30]


async def test_a_journal_of_the_first_version_is_merged_too(tmp_path: Path) -> None:
    await make(tmp_path / "old", 0)
    db = sqlite3.connect(tmp_path / "old" / JOURNAL, isolation_level=None)
    db.executescript(
        "DROP TABLE batch; DROP TABLE note; ALTER TABLE attempt DROP COLUMN handle; "
        "PRAGMA user_version=1"
    )
    db.close()
    await make(tmp_path / "new", 1)
    assert merge_runs(tmp_path / "all", tmp_path / "old", tmp_path / "new").images == 2
    assert read_run(tmp_path / "all").totals.spent == 2 * PRICE


async def test_an_interrupted_merge_is_finished_before_anything_else(tmp_path: Path) -> None:
    await make(tmp_path / "a", 0)
    await make(tmp_path / "all", 1)
    sign = merging_path(tmp_path / "all" / JOURNAL)
    sign.touch()
    (tmp_path / "all" / ORPHAN).write_bytes(b"it came before the kill")
    assert merge_runs(tmp_path / "all", tmp_path / "a").images == 2
    assert not sign.exists()


async def test_a_queue_is_refused(tmp_path: Path) -> None:
    await make(tmp_path / "a", 0)
    await make(tmp_path / "queue", 1)
    with sqlite3.connect(tmp_path / "queue" / JOURNAL) as db:
        db.execute("UPDATE item SET ticket = 'order-7', payer = 'me'")
    db.close()
    for out, source in (("all", "queue"), ("queue", "a")):
        with pytest.raises(JournalError, match=r"is a queue: tickets, purses and budgets cannot"):
            merge_runs(tmp_path / out, tmp_path / source)
    assert not merging_path(tmp_path / "queue" / JOURNAL).exists()
