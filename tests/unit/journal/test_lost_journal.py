"""A run whose journal is missing, blank or an old copy is refused: nothing is bought twice."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from nbp_async._base.errors import JournalError
from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.compatibility import connect
from tests.unit.journal.made import job
from tests.unit.journal.test_manifest import end, opened

IMAGE = "000012-5f3a9c01d2e4.png"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and path.name not in ("journal.lock", f"{JOURNAL}-shm")
    }


async def assert_refused(folder: Path, words: str) -> None:
    before = contents(folder)
    with pytest.raises(JournalError, match=words) as caught:
        await opened(folder)
    assert "Nothing was changed, nothing was sent." in str(caught.value)
    assert "nbp rebuild" in caught.value.hint
    assert contents(folder) == before


async def run_of(folder: Path, images: int = 3) -> None:
    journal = await opened(folder)
    for index in range(images):
        await end(journal, index)
    await journal.aclose()


async def test_a_missing_journal_beside_a_manifest(tmp_path: Path) -> None:
    await run_of(tmp_path)
    (tmp_path / JOURNAL).unlink()
    await assert_refused(tmp_path, r"is missing, but there was a run: manifest.jsonl with 3 outc")
    await assert_refused(tmp_path, r"\$0.40 spent|\$0.402 spent")


@pytest.mark.parametrize("content", [b"", None])
async def test_a_blank_journal_beside_images_of_a_run(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        connect(tmp_path / JOURNAL, wait_for_disk=True).close()
    else:
        (tmp_path / JOURNAL).write_bytes(content)
    (tmp_path / IMAGE).write_bytes(b"paid")
    (tmp_path / "000013-extra1-5f3a9c01d2e4.jpg").write_bytes(b"paid, too")
    (tmp_path / "000014-5f3a9c01d2e4.heic").write_bytes(b"paid, too")
    await assert_refused(tmp_path, "is blank, but there was a run: 3 images")


async def test_a_copy_without_its_log_beside_the_images(tmp_path: Path) -> None:
    """What a plain `cp` of a running run leaves out: all of its tables are in the log."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    journal = await opened(live)
    await end(journal, 0)
    await journal.totals()
    shutil.copytree(live, copy, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    await journal.aclose()
    await assert_refused(copy, "is blank, but there was a run: manifest.jsonl with 1 outcome")


async def test_a_log_without_its_journal_is_neither_deleted_nor_overlooked(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    journal = await opened(live)
    await journal.claim(job(), bytes(32))
    await journal.totals()
    shutil.copytree(live, copy, ignore=shutil.ignore_patterns(JOURNAL, "*-shm", MANIFEST))
    await journal.aclose()
    await assert_refused(copy, "is missing, but there was a run: journal.sqlite3-wal")
    (copy / JOURNAL).touch()
    await assert_refused(copy, "is blank, but there was a run: journal.sqlite3-wal")


async def test_a_log_that_was_damaged_in_the_copy(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    journal = await opened(live)
    await journal.claim(job(), bytes(32))
    await journal.totals()
    shutil.copytree(live, copy, ignore=shutil.ignore_patterns("*-shm", MANIFEST))
    await journal.aclose()
    log = copy / f"{JOURNAL}-wal"
    content = bytearray(log.read_bytes())
    content[100] ^= 0xFF  # the first page: SQLite reads nothing of the log any more
    log.write_bytes(content)
    await assert_refused(copy, "is blank, but there was a run: journal.sqlite3-wal")


async def test_an_index_whose_log_was_not_copied(tmp_path: Path) -> None:
    (tmp_path / f"{JOURNAL}-shm").write_bytes(bytes(32768))
    await assert_refused(tmp_path, "is missing, but there was a run: journal.sqlite3-shm")


async def test_one_that_was_killed_while_it_made_its_tables_is_begun_again(tmp_path: Path) -> None:
    """Its log has pages, and no commit."""
    db = connect(tmp_path / JOURNAL, wait_for_disk=True)
    db.execute("PRAGMA cache_size=1")
    db.execute("PRAGMA cache_spill=1")
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE run (x)")
    db.executemany("INSERT INTO run VALUES (?)", [("x" * 3000,) for _ in range(40)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("journal*"):
        shutil.copy(path, copy)
    db.close()
    assert (copy / f"{JOURNAL}-wal").stat().st_size > 4096, "pages were written"
    journal = await opened(copy)
    assert (await journal.claim(job(), bytes(32))).item == 1
    await journal.aclose()


@pytest.mark.parametrize(
    "name", ["cat.png", "12-cat.png", "000012.png", "000012-cat.png", "IMG-000012-5f3a9c01d2e4.png"]
)
async def test_a_folder_with_other_images_can_be_used(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    (tmp_path / MANIFEST).touch()
    await run_of(tmp_path, images=1)
    assert (tmp_path / name).read_bytes() == b"mine"


async def test_a_manifest_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    text = '{"file": "cat.png", "caption": "a cat"}\n' * 3
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(JournalError, match="is not a manifest of nbp_async, and this run would"):
        await opened(tmp_path)
    assert (tmp_path / MANIFEST).read_text() == text


async def test_images_elsewhere_than_the_journal_count(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / IMAGE).write_bytes(b"paid")
    from nbp_async._journal.sqlite import SqliteJournal

    with pytest.raises(JournalError, match="is missing, but there was a run: 1 image"):
        await SqliteJournal.open(
            tmp_path / "books.sqlite3",
            account="me",
            folder=tmp_path / "out",
            wall_clock=lambda: 0.0,
            manifest=tmp_path / "out" / MANIFEST,
        )


async def old_copy(tmp_path: Path, *, plain: bool) -> Path:
    """A run whose journal is that of three images ago; `plain`: with a manifest of 0.2.0."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    await run_of(live, images=2)
    shutil.copytree(live, copy)
    journal = await opened(live)
    for index in range(2, 5):
        await end(journal, index)
    await journal.aclose()
    lines = (live / MANIFEST).read_text().splitlines()
    if plain:
        lines = [
            json.dumps({k: v for k, v in json.loads(line).items() if k not in NEW})
            for line in lines
        ]
    (copy / MANIFEST).write_text("".join(f"{line}\n" for line in lines))
    return copy


NEW = {"item", "identity", "account"}


@pytest.mark.parametrize("plain", [False, True])
async def test_a_journal_that_is_older_than_its_manifest(tmp_path: Path, plain: bool) -> None:
    copy = await old_copy(tmp_path, plain=plain)
    await assert_refused(copy, r"older than .*manifest.jsonl, which has 3 outcomes \(\$0.40")


async def test_a_failure_that_cost_nothing_may_be_missing_in_the_journal(tmp_path: Path) -> None:
    """It would be sent again in any case."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    await run_of(live, images=1)
    shutil.copytree(live, copy)
    journal = await opened(live)
    await end(journal, 1, fails=True)
    await journal.aclose()
    shutil.copy(live / MANIFEST, copy)
    await (await opened(copy)).aclose()
    assert (copy / MANIFEST).read_text().count("\n") == 1


async def test_a_truncated_journal_is_refused_with_the_way_out(tmp_path: Path) -> None:
    await run_of(tmp_path)
    path = tmp_path / JOURNAL
    for size in (path.stat().st_size // 2, 5000, 4096, 100, 50, 1):
        path.write_bytes(path.read_bytes()[:size])
        before = path.read_bytes()
        with pytest.raises(JournalError) as caught:
            await opened(tmp_path)
        assert "nbp rebuild" in caught.value.hint, size
        assert path.read_bytes() == before


async def test_its_tables_are_looked_for_before_anything_is_written(tmp_path: Path) -> None:
    """An empty database with a manifest beside it stays without tables."""
    sqlite3.connect(tmp_path / JOURNAL).close()
    (tmp_path / IMAGE).write_bytes(b"paid")
    await assert_refused(tmp_path, "1 image")
