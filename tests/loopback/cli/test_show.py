"""`nbp show`: a run is told as it is, and not a byte of it is changed."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nbp_async import Batch, Client, Limits, Outcome
from nbp_async._base.text import format_dollars
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.limit_records import LimitRecord
from nbp_async.cli.app import app
from nbp_async.fake import FakeServer, faults
from tests.loopback.cli.vendor import Shell, Vendor
from tests.loopback.durable.kills import kill_at
from tests.loopback.oracle import assert_settled

EVIL = "a cat\x1b[2J\t=1+1 <script>alert(1)</script>"


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0) as running:
        yield running


async def mixed(server: FakeServer, out: Path) -> Batch:
    """A run of an image, one that may have been billed, one that was not, and one lost."""
    server.script(
        faults.ok(), faults.disconnect(), faults.status(400), faults.bad_json(), faults.ok()
    )
    async with Client(server.openai_url, server.key) as gen:
        outcomes: list[Outcome] = []
        for prompt in ("a red bicycle", EVIL, "b", "c", "d"):
            outcomes += await gen.many([prompt], size="1K", out=out)
        await assert_settled(gen, server, outcomes, out=out)
    return Batch(outcomes)


def show(*words: object) -> Result:
    return CliRunner().invoke(app, ["show", *map(str, words)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_the_sums_are_those_of_the_bank_and_nothing_is_changed(
    server: FakeServer, tmp_path: Path
) -> None:
    batch = await mixed(server, tmp_path)
    before = contents(tmp_path)
    for words in ((), ("--table",), ("--json",), ("--html", tmp_path.parent / "page.html")):
        assert show(tmp_path, *words).exit_code == 0
    assert contents(tmp_path) == before
    said = " ".join(show(tmp_path).stdout.split())
    assert "images 2 of 5" in said
    assert "1 billed, 1 may have been billed, 1 not billed" in said
    assert "processes 5" in said
    bill = batch.billing
    assert (
        f"spent {format_dollars(bill.spent)} may be spent {format_dollars(bill.maybe)} more" in said
    )
    assert bill.spent <= server.bank.billed <= bill.spent + bill.maybe
    assert f"#1 {format_dollars(bill.maybe)} a cat [2J =1+1 <script>" in said


async def test_what_was_learned_of_a_limit_is_shown_with_its_age(
    server: FakeServer, tmp_path: Path
) -> None:
    async with Client(server.openai_url, server.key, limits=Limits(max_in_flight="auto")) as gen:
        batch = await gen.many(["a red bicycle"], size="1K", out=tmp_path)
        await assert_settled(gen, server, batch, out=tmp_path)
    record = LimitRecord("google", "google:me", "a-model", 1200, time.time() - 7200.0)
    with sqlite3.connect(tmp_path / JOURNAL) as db:
        db.execute("INSERT INTO note VALUES (?, ?)", (record.name, record.text()))
    db.close()
    lines = show(tmp_path).stdout.splitlines()
    assert lines[-1] == "learned limit  1,200 in flight, 2 h 0 m ago (a-model at google)"


async def test_json_has_a_line_for_each_item(server: FakeServer, tmp_path: Path) -> None:
    await mixed(server, tmp_path)
    rows = [json.loads(line) for line in show(tmp_path, "--json").stdout.splitlines()]
    assert [row["state"] for row in rows] == ["stored", "failed", "failed", "failed", "stored"]
    assert (tmp_path / rows[0]["path"]).stat().st_size == rows[0]["size_bytes"]
    assert rows[1]["prompt"] == EVIL


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (("--failed",), ["unclear", "failed", "lost"]),
        (("--unclear",), ["unclear"]),
        (("--failed", "--unclear"), ["unclear", "failed", "lost"]),
        (("--table",), ["image", "unclear", "failed", "lost", "image"]),
    ],
)
async def test_a_table_for_other_programs_has_a_tab_between_two_columns(
    words: tuple[str, ...], states: list[str], server: FakeServer, tmp_path: Path
) -> None:
    await mixed(server, tmp_path)
    lines = [line.split("\t") for line in show(tmp_path, *words).stdout.splitlines()]
    assert [line[1] for line in lines] == states
    assert {len(line) for line in lines} == {7}


async def test_the_page_shows_images_and_lists_what_is_unclear(
    server: FakeServer, tmp_path: Path
) -> None:
    await mixed(server, tmp_path / "run")
    done = show(tmp_path / "run", "--html", tmp_path / "page.html")
    assert done.stdout.strip() == str(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count('<img src="run/') == 2
    assert "may have been billed: $0.147" in page
    assert "<script>" not in page
    assert show(tmp_path / "run", "--html").stdout.strip() == str(tmp_path / "run/index.html")
    assert '<img src="0' in (tmp_path / "run/index.html").read_text("utf-8")


async def test_a_killed_run_is_read_without_touching_its_log(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        task = {"url": server.openai_url, "key": server.key, "folder": str(tmp_path)}
        assert await kill_at({**task, "prompts": 3, "at": "body", "nth": 1, "in_flight": 1})
    assert (tmp_path / f"{JOURNAL}-wal").stat().st_size
    before = contents(tmp_path)
    done = show(tmp_path)
    assert done.exit_code == 0
    assert "or when the run was killed" in done.stdout
    assert "$0.147  prompt 0" in done.stdout
    assert contents(tmp_path) == before


async def test_a_run_that_is_at_work_is_read_as_it_stands(shell: Shell, vendor: Vendor) -> None:
    vendor.release.clear()
    nbp = await shell.nbp("many", "-", "--out", "shop", "--max-in-flight", "2", text="a\nb\nc\n")
    await vendor.arrived(2)
    done = show(shell.folder / "shop")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[2].startswith("in flight")
    vendor.release.set()
    assert (await nbp.end())[0] == 0
    assert "images     3 of 3" in show(shell.folder / "shop").stdout
    assert len(vendor.asked) == 3


async def damage(folder: Path, statement: str) -> None:
    db = sqlite3.connect(folder / JOURNAL)
    db.execute(statement)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("statement", "told", "lines"),
    [
        ("PRAGMA user_version=99", "newer nbp_async", 5),
        ("UPDATE item SET asked='{' WHERE id=3", "the rest cannot be read", 2),
        ("UPDATE item SET image='[]' WHERE id=1", "the rest cannot be read", 0),
        ("UPDATE attempt SET record='{}' WHERE item=4", "the rest cannot be read", 3),
        ("ALTER TABLE item RENAME COLUMN image TO picture", "the rest cannot be read", 0),
    ],
)
async def test_what_cannot_be_read_is_told_and_the_rest_is_given(
    statement: str, told: str, lines: int, server: FakeServer, tmp_path: Path
) -> None:
    await mixed(server, tmp_path)
    await damage(tmp_path, statement)
    done = show(tmp_path, "--json")
    assert done.exit_code == 3
    assert told in " ".join(done.stderr.split())
    assert len(done.stdout.splitlines()) == lines
    assert show(tmp_path).exit_code == 3


@pytest.mark.parametrize("damaged", [b"", b"not a database", b"SQLite format 3\x00" + bytes(4080)])
async def test_a_file_that_is_no_journal_ends_with_3(damaged: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(damaged)
    done = show(tmp_path)
    assert done.exit_code == 3
    assert "Error:" in done.stderr
    assert "Traceback" not in done.output


async def test_a_page_that_was_overwritten_is_told(server: FakeServer, tmp_path: Path) -> None:
    async with Client(server.openai_url, server.key) as gen:
        await gen.many([f"prompt {n}" for n in range(60)], size="1K", out=tmp_path)
    data = bytearray((tmp_path / JOURNAL).read_bytes())
    data[-6 * 4096 : -4096] = b"\xa5" * (5 * 4096)
    (tmp_path / JOURNAL).write_bytes(data)
    done = show(tmp_path, "--json")
    assert done.exit_code == 3
    assert "amaged" in done.stderr or "cannot be read" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none",), "There is no run in none: it does not exist"),
        (("empty",), f"There is no run in empty: it has no {JOURNAL}."),
        (("empty", "--json", "--table"), "Choose one"),
    ],
)
def test_where_no_run_is_it_ends_with_2(
    words: tuple[Any, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = show(*words)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
    assert not list((tmp_path / "empty").iterdir())


async def test_a_terminal_that_lacks_characters_gets_them_spelled(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Client(server.openai_url, server.key) as gen:
        await gen.many(["自行车 — red"], size="1K", out=tmp_path)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    shell = Shell(tmp_path, server.openai_url)
    for words in (("--table",), ()):
        code, out, err = await (await shell.nbp("show", ".", *words)).end()
        assert (code, err) == (0, "")
        assert out
    table = await (await shell.nbp("show", ".", "--table")).end()
    assert "\\u81ea\\u884c\\u8f66 \\u2014 red" in "\n".join(table[1])
