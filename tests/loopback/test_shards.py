"""Parts of one list, made on machines that share nothing and merged: as if one had made all."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nbp_async import (
    Client,
    ConfigError,
    JournalError,
    NoRunError,
    Profile,
    RunBusyError,
    StorageError,
    merge_runs,
    read_run,
)
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.run_lock import RunLock, lock_path
from nbp_async._sinks import gathered_files
from nbp_async._sinks.disk_space import MIN_FREE
from nbp_async.fake import FakeServer, faults
from tests.object_server import CREDENTIALS, object_server

PROMPTS: list[Any] = ["a", "b", "a", {"text": "c", "n": 3}, "d", "a", "e", {"text": "c", "n": 3}]
IMAGES = 12


def client(server: FakeServer, account: str = "shop") -> Client:
    profile = Profile(name="vendor", base_url=server.openai_url, response_format=None)
    return Client(profile, server.key, account=account)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0, delivery="b64_json") as running:
        yield running


@pytest.fixture
async def gen(server: FakeServer) -> AsyncIterator[Client]:
    async with client(server) as opened:
        yield opened


async def make_parts(gen: Client, folder: Path, count: int = 3, **options: Any) -> list[Path]:
    parts = [folder / f"part-{number}" for number in range(1, count + 1)]
    for number, out in enumerate(parts, 1):
        await gen.many(PROMPTS, size="1K", out=out, shard=f"{number}/{count}", **options)
    return parts


def account_of(where: Path, *, attempts: bool = True) -> tuple[Any, ...]:
    """What a run says of itself, but for names of files and times."""
    report = read_run(where)
    rows = sorted(
        (
            row.index,
            row.prompt,
            row.state,
            row.billing,
            row.spent_usd,
            row.maybe_usd,
            row.attempts if attempts else 0,
        )
        for row in report.rows()
    )
    totals = report.totals
    return rows, totals.spent, totals.maybe, totals.images, report.states, report.owner


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def test_each_part_makes_its_own_prompts_under_the_indexes_of_the_list(
    gen: Client, tmp_path: Path
) -> None:
    first = await gen.many(PROMPTS, size="1K", out=tmp_path / "1", shard="1/3")
    assert [image.index for image in first] == [0, 3, 4, 5, 8]
    assert [image.prompt.text for image in first] == ["a", "c", "c", "c", "e"]
    lazy = await gen.many((prompt for prompt in PROMPTS), size="1K", shard="2/3")
    assert [image.index for image in lazy] == [1, 6, 9, 10, 11]

    async def drawn() -> AsyncIterator[Any]:
        for prompt in PROMPTS:
            yield prompt

    assert [image.index async for image in gen.stream(drawn(), size="1K", shard="3/3")] == [2, 7]
    plan = gen.many(PROMPTS, size="1K", shard="3/3")
    assert (plan.preview().images, len(await plan)) == (2, 2)


async def test_a_part_grows_with_its_list_and_buys_nothing_again(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    await make_parts(gen, tmp_path)
    paid = server.bank.images
    assert paid == IMAGES
    for number in (1, 2, 3):
        more = await gen.many(
            [*PROMPTS, "f", "g", "h"],
            size="1K",
            out=tmp_path / f"part-{number}",
            shard=f"{number}/3",
        )
        assert sum(not image.resumed for image in more.images) == 1
    assert server.bank.images == paid + 3


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "1/0", "a/b", "-1/3"])
async def test_a_part_that_is_none_is_refused(gen: Client, shard: str) -> None:
    with pytest.raises(ConfigError, match=r'give "3/100" for the third of 100 parts'):
        gen.many(PROMPTS, shard=shard)


async def test_a_broken_prompt_is_reported_by_its_own_part(gen: Client) -> None:
    bad: list[Any] = ["a", {"text": "b", "size": "5K"}, "c"]
    with pytest.raises(ConfigError, match=r"5K"):  # a list is checked as a whole, by all of them
        await gen.many(bad, shard="1/2")
    other = await gen.many(iter(bad), size="1K", shard="1/2")
    assert [image.index for image in other.images] == [0, 2]
    own = await gen.many(iter(bad), size="1K", shard="2/2")
    assert [failure.index for failure in own.failures] == [1]


async def test_failures_of_a_part_are_made_again_at_their_indexes(
    gen: Client, server: FakeServer
) -> None:
    server.script(faults.status(400), match="d")
    first = await gen.many(PROMPTS, size="1K", shard="2/3")
    assert [failure.index for failure in first.failures] == [6]
    again = await first.retry_failed()
    assert [image.index for image in again.images] == [1, 6, 9, 10, 11]


async def test_merged_they_are_one_run(gen: Client, server: FakeServer, tmp_path: Path) -> None:
    parts = await make_parts(gen, tmp_path)
    whole = await gen.many(PROMPTS, size="1K", out=tmp_path / "whole")
    out = tmp_path / "all"
    report = merge_runs(out, *parts)
    assert (report.items, report.images, report.added, report.twice) == (IMAGES, IMAGES, IMAGES, ())
    assert report.spent == whole.billing.spent
    assert account_of(out) == account_of(tmp_path / "whole")
    assert [row.index for row in read_run(out).rows()] == list(range(IMAGES))
    assert len((out / "manifest.jsonl").read_bytes().splitlines()) == IMAGES
    inode = {path.stat().st_ino for part in parts for path in part.glob("0*")}
    assert {path.stat().st_ino for path in out.glob("0*")} == inode

    sent = server.stats().requests
    plan = gen.many(PROMPTS, size="1K", out=out)
    assert plan.preview().to_send == 0
    again = await plan
    assert server.stats().requests == sent
    assert [int(image.path.name[:6]) for image in again.images if image.path] == list(range(IMAGES))
    assert report.spent + whole.billing.spent == server.bank.billed


async def test_merged_again_it_changes_nothing_and_adds_what_is_new(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.status(400), match="e")
    parts = await make_parts(gen, tmp_path)
    out = tmp_path / "all"
    assert merge_runs(out, *parts).images == IMAGES - 1
    before, manifest = account_of(out), (out / "manifest.jsonl").stat().st_mtime_ns
    dump = list(sqlite3.connect(out / JOURNAL).iterdump())
    again = merge_runs(out, *parts)
    assert (again.added, again.files) == (0, 0)
    assert account_of(out) == before
    assert list(sqlite3.connect(out / JOURNAL).iterdump()) == dump
    assert (out / "manifest.jsonl").stat().st_mtime_ns == manifest

    await gen.many([*PROMPTS, "f"], size="1K", out=parts[2], shard="3/3")  # one more prompt
    await gen.many(PROMPTS, size="1K", out=parts[0], shard="1/3")  # "e" goes well now
    more = merge_runs(out, *parts)
    assert (more.added, more.images) == (1, IMAGES + 1)
    sent = server.stats().requests
    whole = await gen.many([*PROMPTS, "f"], size="1K", out=out)
    assert (len(whole.images), server.stats().requests) == (IMAGES + 1, sent)
    assert merge_runs(out, *parts).spent == server.bank.billed


async def test_what_went_on_in_both_is_counted_in_full(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.status(400), match="e")
    parts = await make_parts(gen, tmp_path)
    out = tmp_path / "all"
    merge_runs(out, *parts)
    await gen.many(PROMPTS, size="1K", out=out)
    await gen.many(PROMPTS, size="1K", out=parts[0], shard="1/3")
    report = merge_runs(out, *parts)
    assert [(one.index, one.prompt) for one in report.twice] == [(8, "e")]
    assert report.twice[0].runs == (str(out), str(parts[0]))
    assert report.spent == server.bank.billed
    assert (
        len(list(out.glob("000008-*")))
        == len({*out.glob("000008-*"), *parts[0].glob("000008-*")}) - 1
    )
    assert merge_runs(out, *parts).spent == report.spent


async def test_what_two_parts_bought_is_named_and_kept(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.status(400), match="b")
    first, second = tmp_path / "first", tmp_path / "second"
    await gen.many(PROMPTS, size="1K", out=first, shard="2/3")
    await gen.many(PROMPTS, size="1K", out=second, shard="2/3")  # on another machine, by mistake
    out = tmp_path / "all"
    report = merge_runs(out, first, second)
    named = {(one.index, one.prompt): one.runs for one in report.twice}
    both = (str(first), str(second))
    assert named == {(6, "d"): both, **{(index, "c"): both for index in (9, 10, 11)}}
    assert report.spent == server.bank.billed
    assert sum(one.spent for one in report.twice) == 2 * 4 * report.twice[0].spent / 2
    kept = {path.read_bytes() for path in out.glob("0*")}
    assert kept == {path.read_bytes() for run in both for path in Path(run).glob("0*")}
    # The failure of the one is no reason to buy again what the other has.
    sent = server.stats().requests
    part = await gen.many(PROMPTS, size="1K", out=out, shard="2/3")
    assert (len(part.images), server.stats().requests) == (5, sent)
    assert merge_runs(out, first, second).twice == report.twice


async def test_unclear_requests_and_kept_answers_come_along(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    server.script(faults.bad_json("garbage"), match="d")
    server.script(faults.disconnect(), match="e")
    parts = await make_parts(gen, tmp_path)
    out = tmp_path / "all"
    report = merge_runs(out, *parts)
    assert report.spent <= server.bank.billed <= report.spent + report.maybe
    rows = {row.index: row for row in read_run(out).rows()}
    assert rows[6].unread.startswith("unread/")
    assert (out / rows[6].unread).is_file()
    sent = server.stats().requests
    again = await gen.many(PROMPTS, size="1K", out=out)
    assert server.stats().requests == sent
    assert {failure.index for failure in again.failures} == {6, 8}


async def test_without_hard_links_files_are_copied_and_the_disk_is_asked_before(
    gen: Client, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = await make_parts(gen, tmp_path)
    out = tmp_path / "all"
    monkeypatch.setattr(gathered_files, "can_link", lambda *_: False)
    free = shutil.disk_usage(tmp_path)._replace(free=MIN_FREE + 1000)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: free)
        with pytest.raises(StorageError, match=r"MB are needed. Nothing was merged"):
            merge_runs(out, *parts)
    assert names_in(out) == ["journal.lock"]
    merge_runs(out, *parts)
    files = {path.name: path for part in parts for path in part.glob("0*")}
    assert {path.name: path.read_bytes() for path in out.glob("0*")} == {
        name: path.read_bytes() for name, path in files.items()
    }
    assert all(path.stat().st_nlink == 1 for path in out.glob("0*"))
    sent = server.stats().requests
    assert len((await gen.many(PROMPTS, size="1K", out=out)).images) == IMAGES
    assert server.stats().requests == sent


async def test_what_cannot_be_merged_is_refused_and_left(
    gen: Client, server: FakeServer, tmp_path: Path
) -> None:
    parts = await make_parts(gen, tmp_path)
    async with client(server, account="other") as stranger:
        await stranger.many(["x"], size="1K", out=tmp_path / "strange")
    lost = shutil.copytree(parts[0], tmp_path / "lost")
    (lost / JOURNAL).unlink()
    blank = shutil.copytree(parts[0], tmp_path / "blank")
    (blank / JOURNAL).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "all"
    refused: list[tuple[type[Exception], str, list[str | Path]]] = [
        (JournalError, "belongs to another account", [*parts, tmp_path / "strange"]),
        (NoRunError, "There is no run in", [parts[0], tmp_path / "empty"]),
        (NoRunError, "There is no run in", [parts[0], tmp_path / "nowhere"]),
        (NoRunError, "There is no run in", [parts[0], lost]),
        (JournalError, "there was a run", [parts[1], blank]),
        (ConfigError, "is named twice: each run is named once", [parts[0], parts[0]]),
        (ConfigError, "is named twice: each run is named once", [parts[0], out]),
        (
            ConfigError,
            "is in a database: `nbp journal copy` moves",
            [parts[0], "postgresql://me:secret@db/shop?run=a"],
        ),
        (ConfigError, "Give the folders", []),
    ]
    (out).mkdir()
    shutil.copy(parts[1] / JOURNAL, out)
    for kind, words, sources in refused:
        with pytest.raises(kind, match=words):
            merge_runs(out, *sources)
    assert names_in(out) in (["journal.lock", JOURNAL], [JOURNAL])


async def test_a_run_that_is_in_use_and_a_lost_one_are_not_merged(
    gen: Client, tmp_path: Path
) -> None:
    parts = await make_parts(gen, tmp_path)
    out = tmp_path / "all"
    merge_runs(out, parts[1])
    for busy in (parts[0], out):
        lock = RunLock(lock_path(busy / JOURNAL))
        with pytest.raises(RunBusyError, match="is working on this run"):
            merge_runs(out, *parts)
        lock.release()
    (out / JOURNAL).unlink()
    with pytest.raises(JournalError, match="there was a run"):
        merge_runs(out, *parts)


@pytest.mark.slow
async def test_parts_in_one_store_are_merged_by_their_journals(
    gen: Client, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with object_server(tmp_path / "s3") as store:
        place = str(store.address("shop"))
        journals = [tmp_path / f"{number}.sqlite3" for number in (1, 2)]
        for number, journal in enumerate(journals, 1):
            await gen.many(PROMPTS, size="1K", out=place, journal=journal, shard=f"{number}/2")
        (tmp_path / JOURNAL).write_bytes(b"")
        with pytest.raises(ConfigError, match="Give the folders of the runs, or their journals"):
            merge_runs(tmp_path / "more", journals[0], tmp_path)
        out = tmp_path / "all.sqlite3"
        report = merge_runs(out, *journals)
        assert (report.images, report.files, report.spent) == (IMAGES, 0, server.bank.billed)
        sent = server.stats().requests
        whole = await gen.many(PROMPTS, size="1K", out=place, journal=out)
        assert (len(whole.images), server.stats().requests) == (IMAGES, sent)
        assert {image.location for image in whole.images} == {
            row.path for row in read_run(out).rows()
        }
