"""A run moves from a file into a database and back, and goes on there as if it had never moved."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbp_async import copy_journal
from nbp_async._base.errors import ConfigError, JournalError, NoRunError
from nbp_async._journal.run_queue import QueueTerms
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import ZERO, Reference
from nbp_async.cli.app import app
from tests.contracts.journals import ACCOUNT, Journals, claim
from tests.contracts.test_journal import leave_one_in_each_state
from tests.contracts.test_run_queue import LATER, drawn_texts, end, queued, submit
from tests.unit.journal.made import MOST, PRICE, job


async def begin(folder: Path) -> None:
    """A run with an item in each state, and three equal jobs, of which a later call drew two."""
    given = {"account": ACCOUNT, "folder": folder, "wall_clock": lambda: 1000.0}
    journal = await SqliteJournal.open(folder / "journal.sqlite3", **given)  # type: ignore[arg-type]
    await leave_one_in_each_state(journal, folder)
    for index in range(3):
        await claim(journal, job("same", index))
    await journal.save_batch("nbp-1", "{}")
    journal.note("a limit", "40")
    await journal.aclose()
    journal = await SqliteJournal.open(folder / "journal.sqlite3", **given)  # type: ignore[arg-type]
    for index in range(2):
        await claim(journal, job("same", index))
    await journal.aclose()


async def test_there_and_back_it_is_the_same_run(shared: Journals, tmp_path: Path) -> None:
    await begin(tmp_path)
    before = Journals(kind="thread", folder=tmp_path).read()
    rows = [row.json() for row in before.rows()]
    aside = copy_journal(tmp_path, shared.address)
    assert Path(aside).name == "journal.sqlite3.copied"
    assert not (tmp_path / "journal.sqlite3").exists()
    there = shared.read()
    assert [row.json() for row in there.rows()] == rows
    assert (there.totals, there.owner, there.folder) == (before.totals, ACCOUNT, tmp_path)
    assert there.processes == before.processes
    assert "a%20run" in repr(there)

    journal = await shared.join(place=str(tmp_path))
    assert len(await journal.unsettled()) == 2
    assert await journal.batches() == {"nbp-1": "{}"}
    assert await journal.notes() == {"a limit": "40"}
    drawn = [await claim(journal, job("same", index)) for index in range(4)]
    assert [entry.item - drawn[0].item for entry in drawn[:3]] == [0, 1, 2]
    with pytest.raises(JournalError, match="1 processes work on"):
        copy_journal(shared.address, tmp_path)
    await journal.aclose()

    assert "copied to" in copy_journal(shared.address, tmp_path / "journal.sqlite3")
    back = Journals(kind="thread", folder=tmp_path).read()
    assert [row.json() for row in back.rows()][:8] == rows
    assert back.totals == before.totals
    with pytest.raises(NoRunError, match="There is no run"):
        shared.read()
    given = {"account": ACCOUNT, "folder": tmp_path, "wall_clock": lambda: 1000.0}
    file = await SqliteJournal.open(tmp_path / "journal.sqlite3", **given)  # type: ignore[arg-type]
    again = [await claim(file, job("same", index)) for index in range(4)]
    assert [entry.item for entry in again] == [6, 7, 8, 9], "the fourth was drawn in the database"
    assert [entry.nonce for entry in again] == [entry.nonce for entry in drawn]
    assert await file.notes() == {"a limit": "40"}
    await file.aclose()


async def test_nothing_is_copied_over_another_run_or_to_its_own_kind(
    shared: Journals, tmp_path: Path
) -> None:
    await begin(tmp_path)
    await shared.join()
    with pytest.raises(JournalError, match=r"There is a run .* already. Nothing was changed"):
        copy_journal(tmp_path, shared.address)
    assert (tmp_path / "journal.sqlite3").exists()
    with pytest.raises(ConfigError, match="one of the two must be a folder"):
        copy_journal(tmp_path, tmp_path / "other")
    with pytest.raises(NoRunError):
        copy_journal(tmp_path / "nothing", shared.address, out="s3://a/b")


async def test_the_command_says_where_the_old_journal_is_now(
    shared: Journals, tmp_path: Path
) -> None:
    await begin(tmp_path)
    done = CliRunner().invoke(app, ["journal", "copy", str(tmp_path), shared.address])
    assert (done.exit_code, done.output.split()[-1]) == (
        0,
        str(tmp_path / "journal.sqlite3.copied"),
    )
    shown = CliRunner().invoke(app, ["show", shared.address, "--table"])
    assert len(shown.output.splitlines()) == 8
    done = CliRunner().invoke(app, ["journal", "copy", str(tmp_path), shared.address])
    assert done.exit_code == 2
    assert "There is no journal in" in done.output


async def test_a_queue_moves_with_its_run(shared: Journals, tmp_path: Path) -> None:
    files = Journals(kind="thread", folder=tmp_path)
    journal = await files()
    data = b"\x89PNG\r\n\x1a\n" + bytes(100)
    await journal.queue.keep_reference(b"d" * 32, Reference("image/png", data))
    await journal.queue.set_budget("ann", "day", 9 * MOST)
    items = await submit(journal.queue, "a", "b", "c", owner="ann")
    await submit(journal.queue, "later", owner="bob", not_before=LATER)
    await journal.queue.draw(2)
    await end(journal, items[0], tmp_path)
    await journal.queue.pause("it moves")
    purse = await journal.queue.purse(None, None, None)
    assert (purse.held, purse.spent) == (3 * MOST, PRICE)
    await files.close()

    for source, target in ((tmp_path, shared.address), (shared.address, tmp_path)):
        copy_journal(source, target)
        opened = await (shared.join(place=str(tmp_path)) if target != tmp_path else files())
        queue = opened.queue
        counts = await queue.counts()
        assert (counts.ready, counts.later, counts.paused) == (2, 1, "it moves")
        assert await queue.purse(None, None, None) == purse
        assert await queue.budgets("ann") == {"day": 9 * MOST}
        assert await queue.reference(b"d" * 32) == data
        await queue.pause("")
        assert await drawn_texts(queue) == ["b", "c"]
        (refused,) = await queue.submit([queued("d")], QueueTerms(cap=purse.held + purse.spent))
        assert (refused.said, refused.left) == ("cap", ZERO)
        await queue.pause("it moves")
        await opened.aclose()


async def test_a_file_of_an_older_version_is_brought_up_to_date_first(
    shared: Journals, tmp_path: Path
) -> None:
    await begin(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db:
        for column in ("day", "reserved", "cancelled"):
            db.execute(f"ALTER TABLE item DROP COLUMN {column}")
        for index in ("ticket", "queue", "of_payer", "changed"):
            db.execute(f"DROP INDEX item_{index}")
        for column in ("ticket", "payer", "priority", "turn", "not_before", "changed"):
            db.execute(f"ALTER TABLE item DROP COLUMN {column}")
        for column in ("turn", "paused"):
            db.execute(f"ALTER TABLE run DROP COLUMN {column}")
        db.execute("ALTER TABLE attempt DROP COLUMN account")
        for table in ("purse", "budget", "reference", "note"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version=2")
    copy_journal(tmp_path, shared.address)
    assert len(list(shared.read().rows())) == 8
