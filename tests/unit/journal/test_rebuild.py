"""A rebuilt journal knows what the manifest, the images and the old journal know, and no less."""

import json
import shutil
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from nbp_async._base.errors import DisconnectedError, JournalError, NoRunError, RunBusyError
from nbp_async._journal.base import JOURNAL, MANIFEST, JournalEntry
from nbp_async._journal.identity import identity
from nbp_async._journal.lost_journal import rebuilt_path
from nbp_async._journal.reader import read_run
from nbp_async._journal.rebuild import rebuild_run
from nbp_async._models.outcomes import Failure, Prompt
from tests.unit.journal.made import MOST, PRICE, attempt, job
from tests.unit.journal.test_lost_journal import NEW, old_copy, run_of
from tests.unit.journal.test_manifest import end, opened

NAME = "000007-5f3a9c01d2e4.png"


async def fail(folder: Path, index: int, billing: str, links: tuple[str, ...] = ()) -> None:
    """End the job of this index without an image."""
    journal = await opened(folder)
    asked = job(f"prompt {index}", index)
    entry = await journal.claim(asked, identity(asked, "me", ()))
    tried = attempt(1, billing, error="DisconnectedError: gone")  # type: ignore[arg-type]
    await journal.arm(entry.item, 1, PRICE, MOST, f"{index:06d}")
    journal.settle(entry.item, tried)
    failure = Failure(
        index=index,
        prompt=Prompt(text=asked.prompt.text),
        error=DisconnectedError("gone"),
        billing=billing,  # type: ignore[arg-type]
        attempts=(tried,),
        links=links,
        link_expires=99.0 if links else None,
    )
    await journal.finish(entry.item, failure)
    await journal.aclose()


async def claimed(folder: Path, indexes: "range | list[int]") -> list[JournalEntry]:
    """What the next call finds for the prompts of these indexes."""
    journal = await opened(folder)
    entries = []
    for index in indexes:
        asked = job(f"prompt {index}", index)
        entries.append(await journal.claim(asked, identity(asked, "me", ())))
    await journal.aclose()
    return entries


def make_plain(folder: Path) -> None:
    """Leave a manifest as version 0.2.0 wrote it."""
    lines = map(json.loads, (folder / MANIFEST).read_text().splitlines())
    plain = [{key: value for key, value in line.items() if key not in NEW} for line in lines]
    (folder / MANIFEST).write_text("".join(json.dumps(line) + "\n" for line in plain))


async def test_from_the_manifest_alone_all_is_as_it_was(tmp_path: Path) -> None:
    await run_of(tmp_path, images=2)
    await fail(tmp_path, 2, "no")
    await fail(tmp_path, 3, "maybe")
    await fail(tmp_path, 4, "yes")
    await fail(tmp_path, 5, "yes", links=("https://cdn.test/x.png",))
    before, rows = read_run(tmp_path), list(read_run(tmp_path).rows())
    (tmp_path / JOURNAL).unlink()

    report = rebuild_run(tmp_path)
    assert (report.matched, report.unclear, report.open, report.without) == (2, 0, 1, 3)
    assert (report.spent, report.maybe) == (before.totals.spent, before.totals.maybe)
    assert report.problems == ()
    after = read_run(tmp_path)
    assert (after.owner, after.states, after.totals) == (before.owner, before.states, before.totals)
    assert list(after.rows()) == rows
    entries = await claimed(tmp_path, range(7))
    assert [entry.state for entry in entries] == [row.state for row in rows] + ["planned"]
    assert entries[0].image is not None
    assert entries[0].image.path == tmp_path / "000000-abc.png"
    assert entries[5].links == ("https://cdn.test/x.png",)
    assert [entry.attempts[-1].billing for entry in entries[:6]] == [
        "yes",
        "yes",
        "no",
        "maybe",
        "yes",
        "yes",
    ]


async def test_equal_prompts_stay_as_many_as_they_were(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    for _ in range(3):
        await end(journal, 0)
    await journal.aclose()
    (tmp_path / JOURNAL).unlink()
    assert rebuild_run(tmp_path).matched == 3
    states = [entry.state for entry in await claimed(tmp_path, [0, 0, 0, 0])]
    assert states == ["stored", "stored", "stored", "planned"]


async def test_a_line_that_was_overtaken_counts_once(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await end(journal, 0, fails=True)
    await journal.aclose()
    failed = (tmp_path / MANIFEST).read_bytes()
    journal = await opened(tmp_path)
    await end(journal, 0, number=2)
    await journal.aclose()
    stored = (tmp_path / MANIFEST).read_bytes()
    (tmp_path / JOURNAL).unlink()
    (tmp_path / MANIFEST).write_bytes(failed + stored)
    report = rebuild_run(tmp_path)
    assert (report.matched, report.without, report.spent) == (1, 0, PRICE)


async def test_a_plain_manifest_parks_its_prompts_and_keeps_the_dollars(tmp_path: Path) -> None:
    await run_of(tmp_path, images=2)
    await fail(tmp_path, 2, "no")
    await fail(tmp_path, 3, "maybe")
    make_plain(tmp_path)
    (tmp_path / JOURNAL).unlink()
    report = rebuild_run(tmp_path)
    assert (report.matched, report.unclear, report.without) == (0, 3, 0)
    assert (report.spent, report.maybe) == (2 * PRICE, PRICE)
    entries = await claimed(tmp_path, range(5))
    assert [e.state for e in entries] == ["failed", "failed", "planned", "failed", "planned"]
    assert "maybe" in {a.billing for a in entries[0].attempts}, "not sent again by retry_failed"
    assert "its image may be 000000-abc.png" in entries[0].error
    again = await claimed(tmp_path, [0])
    assert again[0].item == entries[0].item, "from now on it is the item of this prompt"


async def test_an_image_without_a_line_parks_its_place_once(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"paid")
    (tmp_path / "cat.png").write_bytes(b"mine")
    report = rebuild_run(tmp_path)
    assert (report.matched, report.unclear, report.spent) == (0, 1, Decimal(0))
    entries = await claimed(tmp_path, [6, 7, 8])
    assert [entry.state for entry in entries] == ["planned", "failed", "planned"]
    assert NAME in entries[1].error
    (tmp_path / NAME).rename(tmp_path / NAME)
    assert rebuild_run(tmp_path).unclear == 0, "its prompt has taken it over"
    assert [entry.state for entry in await claimed(tmp_path, [7])] == ["failed"]


async def test_a_broken_line_is_named_and_its_image_is_unclear(tmp_path: Path) -> None:
    await run_of(tmp_path, images=2)
    lines = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    (tmp_path / MANIFEST).write_bytes(lines[0] + lines[1][:100])
    (tmp_path / JOURNAL).unlink()
    (tmp_path / "000001-5f3a9c01d2e4.png").write_bytes(b"paid")
    report = rebuild_run(tmp_path)
    assert (report.matched, report.unclear) == (1, 1)
    assert report.problems == ("1 line of manifest.jsonl",)
    states = [entry.state for entry in await claimed(tmp_path, range(3))]
    assert states == ["stored", "failed", "planned"]


@pytest.mark.parametrize("plain", [False, True])
async def test_an_old_copy_of_the_journal_and_a_newer_manifest(tmp_path: Path, plain: bool) -> None:
    copy = await old_copy(tmp_path, plain=plain)
    report = rebuild_run(copy)
    assert (report.matched, report.unclear) == ((2, 3) if plain else (5, 0))
    assert report.spent == 5 * PRICE
    states = [entry.state for entry in await claimed(copy, range(6))]
    assert states == ["stored"] * 2 + (["failed"] if plain else ["stored"]) * 3 + ["planned"]


async def test_an_armed_item_of_an_old_copy_that_was_stored_later(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    journal = await opened(live)
    asked = job("prompt 0")
    entry = await journal.claim(asked, identity(asked, "me", ()))
    await journal.arm(entry.item, 1, PRICE, MOST, "000000")
    shutil.copytree(live, copy)
    await journal.aclose()
    shutil.rmtree(live)
    await run_of(live, images=1)
    shutil.copy(live / MANIFEST, copy)
    report = rebuild_run(copy)
    assert (report.matched, report.open, report.spent, report.maybe) == (1, 0, PRICE, Decimal(0))


async def test_the_log_alone_gives_all_back(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    journal = await opened(live)
    asked = job("prompt 0")
    entry = await journal.claim(asked, identity(asked, "me", ()))
    await journal.arm(entry.item, 1, PRICE, MOST, "000000")
    shutil.copytree(live, copy, ignore=shutil.ignore_patterns(JOURNAL, "*-shm"))
    await journal.aclose()
    report = rebuild_run(copy)
    assert (report.open, report.maybe, report.problems) == (1, MOST, ())
    (found,) = await claimed(copy, [0])
    assert (found.state, found.nonce) == ("armed", entry.nonce)
    assert (copy / "journal.old-1.sqlite3-wal").exists()
    assert not (copy / f"{JOURNAL}-wal").exists()


async def test_every_damaged_page_costs_no_more_than_its_rows(tmp_path: Path) -> None:
    """What the journal has lost the manifest has; the dollars are never less than the truth."""
    await run_of(tmp_path / "whole", images=60)
    size = (tmp_path / "whole" / JOURNAL).stat().st_size
    for page in range(size // 4096):
        folder = tmp_path / f"page{page}"
        shutil.copytree(tmp_path / "whole", folder)
        with (folder / JOURNAL).open("r+b") as file:
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
        report = rebuild_run(folder)
        assert report.spent >= 60 * PRICE, page
        entries = await claimed(folder, range(60))
        unsafe = [e.index for e in entries if e.state not in ("stored", "failed")]
        assert not unsafe, (page, unsafe)
        assert all(entry.attempts for entry in entries), page
        with sqlite3.connect(folder / JOURNAL) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


async def test_a_truncated_journal_is_kept_aside_under_a_free_name(tmp_path: Path) -> None:
    await run_of(tmp_path)
    whole = (tmp_path / JOURNAL).read_bytes()
    for number in (1, 2):
        (tmp_path / JOURNAL).write_bytes(whole[:9000])
        report = rebuild_run(tmp_path)
        kept = tmp_path / f"journal.old-{number}.sqlite3"
        assert kept in report.kept
        assert kept.read_bytes() == whole[:9000]
        assert kept.with_suffix(".jsonl").read_bytes() == (tmp_path / MANIFEST).read_bytes()
        assert (report.matched, report.spent) == (3, 3 * PRICE)
    assert not list(tmp_path.glob(".*.part"))


async def test_a_whole_journal_is_copied_row_by_row(tmp_path: Path) -> None:
    await run_of(tmp_path)
    journal = await opened(tmp_path)
    await journal.save_batch("b", "{}")
    asked = job("prompt 9", 9)
    entry = await journal.claim(asked, identity(asked, "me", ()))
    await journal.arm(entry.item, 1, PRICE, MOST, "000009")
    await journal.aclose()
    before = read_run(tmp_path)
    assert rebuild_run(tmp_path).open == 1
    after = read_run(tmp_path)
    assert (after.states, after.totals) == (before.states, before.totals)
    journal = await opened(tmp_path)
    assert await journal.batches() == {"b": "{}"}
    assert [one.nonce for one in await journal.unsettled()] == [entry.nonce]
    await journal.aclose()


async def test_what_is_no_run_or_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NoRunError, match="no manifest, no images of a run and no journal"):
        rebuild_run(tmp_path)
    with pytest.raises(NoRunError, match="does not exist"):
        rebuild_run(tmp_path / "nowhere" / "x")
    db = sqlite3.connect(tmp_path / JOURNAL)
    db.execute("PRAGMA application_id=7")
    db.close()
    (tmp_path / NAME).write_bytes(b"paid")
    before = (tmp_path / JOURNAL).read_bytes()
    with pytest.raises(JournalError, match=r"not a journal of nbp_async\. Nothing was changed"):
        rebuild_run(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == before


async def test_a_run_that_is_in_use_is_refused(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await end(journal, 0)
    with pytest.raises(RunBusyError):
        rebuild_run(tmp_path)
    await journal.aclose()


async def test_an_interrupted_rebuild_is_refused_by_calls_and_finished_by_the_next(
    tmp_path: Path,
) -> None:
    await run_of(tmp_path)
    (tmp_path / JOURNAL).rename(rebuilt_path(tmp_path / JOURNAL))
    with pytest.raises(JournalError, match=r"A rebuild of .* was interrupted"):
        await opened(tmp_path)
    assert rebuild_run(tmp_path).matched == 3
    assert [e.state for e in await claimed(tmp_path, range(3))] == ["stored"] * 3


async def test_a_journal_elsewhere_than_its_images(tmp_path: Path) -> None:
    await run_of(tmp_path / "out")
    (tmp_path / "out" / JOURNAL).unlink()
    report = rebuild_run(tmp_path / "books.sqlite3", out=tmp_path / "out")
    assert report.matched == 3
    paths = [row.path for row in read_run(tmp_path / "books.sqlite3").rows()]
    assert paths == [f"out/00000{index}-abc.png" for index in range(3)]


async def test_a_failure_of_an_old_copy_that_a_plain_line_calls_stored(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    await fail(live, 0, "no")
    shutil.copytree(live, copy)
    journal = await opened(live)
    await end(journal, 0, number=2)
    await journal.aclose()
    shutil.copy(live / MANIFEST, copy)
    make_plain(copy)
    report = rebuild_run(copy)
    assert (report.unclear, report.spent) == (1, PRICE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="fork")
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_journal(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.journal.killed_rebuild", str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] > 20, counts
    assert counts["refused or whole"] == counts["kills"], counts
    assert counts["rebuilt"] == counts["kills"] + 1, counts
