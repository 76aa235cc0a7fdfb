"""`manifest.jsonl` tells what the journal tells, whenever and however a process ended."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbp_async._base.errors import DisconnectedError
from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.identity import identity
from nbp_async._journal.reader import read_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Failure, Prompt
from nbp_async._models.rows import Row
from tests.unit.journal.made import MOST, PRICE, attempt, image, job


async def opened(folder: Path, **more: Any) -> SqliteJournal:
    return await SqliteJournal.open(
        folder / JOURNAL,
        account="me",
        folder=folder,
        wall_clock=lambda: 0.0,
        manifest=folder / MANIFEST,
        **more,
    )


async def end(journal: SqliteJournal, index: int, *, fails: bool = False, number: int = 1) -> None:
    """Claim the job of this index and end it."""
    asked = job(f"prompt {index}", index)
    entry = await journal.claim(asked, identity(asked, "me", ()))
    tried = attempt(number, "no" if fails else "yes")
    await journal.arm(entry.item, number, PRICE, MOST, f"{index:06d}")
    journal.settle(entry.item, tried)
    if not fails:
        made = image(journal.path.parent, index, attempts=(tried,), earlier=entry.attempts)
        await journal.finish(entry.item, msgspec.structs.replace(made, prompt=asked.prompt))
        return
    error = DisconnectedError("gone")
    failure = Failure(
        index=index,
        prompt=Prompt(text=asked.prompt.text),
        error=error,
        billing="no",
        attempts=(tried,),
    )
    await journal.finish(entry.item, failure)


def told(folder: Path) -> list[tuple[int, str]]:
    lines = (folder / MANIFEST).read_text().splitlines()
    return [(row["index"], row["state"]) for row in map(json.loads, lines)]


def rows_in(folder: Path) -> list[Row]:
    decode = msgspec.json.Decoder(Row).decode
    return [decode(line) for line in (folder / MANIFEST).read_bytes().splitlines()]


async def kill(journal: SqliteJournal, to: Path) -> Path:
    """What a kill at this moment would leave, in another folder."""
    await journal.totals()  # what was posted is written
    shutil.copytree(journal.path.parent, to)
    return to


async def test_a_line_is_there_when_its_outcome_is_durable(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    for index in range(3):
        await end(journal, index, fails=index == 1)
        await journal.totals()  # lines follow their commit; this one comes after both
        assert len(told(tmp_path)) == index + 1
    row = json.loads((tmp_path / MANIFEST).read_text().splitlines()[0])
    assert (row["path"], row["spent_usd"]) == ("000000-abc.png", 0.134)
    assert rows_in(tmp_path) == list(read_run(tmp_path).rows())
    await journal.aclose()
    assert told(tmp_path) == [(0, "stored"), (1, "failed"), (2, "stored")]


async def test_a_line_has_what_a_new_journal_needs(tmp_path: Path) -> None:
    """The item's number, its identity, and who paid: the same when it is written again."""
    journal = await opened(tmp_path)
    for index in range(2):
        await end(journal, index)
    await journal.aclose()
    written = (tmp_path / MANIFEST).read_bytes()
    for index, line in enumerate(map(json.loads, written.splitlines())):
        digest = identity(job(f"prompt {index}", 7), "me", ()).hex()
        assert (line["item"], line["identity"], line["account"]) == (index + 1, digest, "me")
    (tmp_path / MANIFEST).unlink()
    await (await opened(tmp_path)).aclose()
    assert (tmp_path / MANIFEST).read_bytes() == written


async def test_a_line_that_was_overtaken_goes_when_the_run_ends(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await end(journal, 0, fails=True)
    await journal.aclose()
    journal = await opened(tmp_path)
    await end(journal, 0, number=2)
    await journal.aclose()
    assert told(tmp_path) == [(0, "stored")]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["{first}", "{first}"],
        ["{first}", "{second"],
        ["{first}", "no json"],
        ["{first}", '{"index":1}'],
        ["{first}", "\x00" * 50],
        ["{first}", "{second}", "{third}"],
    ],
)
async def test_a_file_that_tells_otherwise_is_written_anew(
    tmp_path: Path, lines: Sequence[str]
) -> None:
    journal = await opened(tmp_path)
    for index in range(2):
        await end(journal, index)
    await journal.aclose()
    first, second = (tmp_path / MANIFEST).read_text().splitlines()
    known = {"{first}": first, "{second}": second, "{second": second[:-9], "{third}": second}
    (tmp_path / MANIFEST).write_text("".join(known.get(line, line) + "\n" for line in lines))
    await (await opened(tmp_path)).aclose()
    assert told(tmp_path) == [(0, "stored"), (1, "stored")]
    assert (tmp_path / MANIFEST).read_text().splitlines() == [first, second]
    assert rows_in(tmp_path) == list(read_run(tmp_path).rows())


async def test_one_line_lost_and_one_overtaken_are_not_taken_for_none(tmp_path: Path) -> None:
    """As many lines as outcomes, and yet not theirs."""
    journal = await opened(tmp_path / "a")
    await end(journal, 0, fails=True)
    await journal.aclose()
    journal = await opened(tmp_path / "a")
    await end(journal, 0, number=2)
    await end(journal, 1)
    left = await kill(journal, tmp_path / "b")
    await journal.aclose()
    lines = (left / MANIFEST).read_text().splitlines(keepends=True)
    assert len(lines) == 3
    (left / MANIFEST).write_text("".join(lines[:2]))  # it came to the kill before its line
    await (await opened(left)).aclose()
    assert told(left) == [(0, "stored"), (1, "stored")]


async def test_an_image_that_was_made_again_and_lost_its_line_is_told_of(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await end(journal, 0)
    await journal.aclose()
    before = (tmp_path / MANIFEST).read_bytes()
    journal = await opened(tmp_path)
    asked = job("prompt 0")
    entry = await journal.claim(asked, identity(asked, "me", ()))
    again = image(tmp_path)
    stored = msgspec.structs.replace(again.stored, digest=b"\xff" * 32)
    await journal.finish(entry.item, msgspec.structs.replace(again, stored=stored))
    await journal.aclose()
    (tmp_path / MANIFEST).write_bytes(before)
    await (await opened(tmp_path)).aclose()
    assert b"ff" * 32 in (tmp_path / MANIFEST).read_bytes()


async def test_a_manifest_that_agrees_is_not_written_again(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await end(journal, 0)
    await journal.aclose()
    before = (tmp_path / MANIFEST).stat()
    await (await opened(tmp_path)).aclose()
    after = (tmp_path / MANIFEST).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_a_manifest_that_cannot_be_written_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MANIFEST).mkdir()
    journal = await opened(tmp_path)
    await end(journal, 0)
    await journal.aclose()
    assert read_run(tmp_path).totals.images == 1
    assert "manifest was not written" in caplog.text
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))
    (tmp_path / MANIFEST).rmdir()
    await (await opened(tmp_path)).aclose()
    assert told(tmp_path) == [(0, "stored")]
