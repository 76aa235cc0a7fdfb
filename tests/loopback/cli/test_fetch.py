"""`nbp fetch`: links that were paid for become images, or are named with what they cost."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nbp_async import (
    Batch,
    Client,
    ConfigError,
    Failure,
    Image,
    Profile,
    RunBusyError,
    fetch_run,
    read_run,
)
from nbp_async._journal.base import MANIFEST
from nbp_async.fake import FakeServer, faults
from tests.loopback.cli.vendor import Shell
from tests.loopback.oracle import assert_settled
from tests.object_server import CREDENTIALS, object_server

DAY = 86400.0


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.0) as running:
        yield running


@pytest.fixture
async def shell(server: FakeServer, tmp_path: Path) -> AsyncIterator[Shell]:
    opened = Shell(tmp_path, server.openai_url)
    yield opened
    await opened.aclose()


def client(server: FakeServer, *, lifetime: float = 7 * DAY, private: bool = False) -> Client:
    """One that may not follow the fake server's links, unless it is `private`."""
    profile = Profile(
        name="vendor", base_url=server.openai_url, response_format="url", link_lifetime=lifetime
    )
    return Client(profile, server.key, allow_private=private)


async def leave_links(
    server: FakeServer,
    out: Path | str,
    prompts: list[str],
    *,
    lifetime: float = 7 * DAY,
    journal: Path | None = None,
) -> Batch:
    """A run that paid for these, and got no further than to their links."""
    async with client(server, lifetime=lifetime) as gen:
        batch = await gen.many(prompts, size="1K", out=out, journal=journal)
        assert all(isinstance(one, Failure) and one.links for one in batch)
    report = read_run(journal or out)
    assert report.totals.spent == server.bank.billed
    return batch


async def test_links_become_images_and_nothing_is_bought(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    batch = await leave_links(server, tmp_path / "run", ["a", "b", "c"])
    nbp = await shell.nbp("fetch", "run", key="")
    code, out, err = await nbp.end()
    assert code == 0, err
    assert len(out) == 3
    assert all(Path(line).stat().st_size > 1000 for line in out)
    assert "3 links: the links live for 6 d 23 h" in err.replace("7 d 0 h", "6 d 23 h")
    assert "3 images fetched, for which $0.402 was paid" in err
    assert server.stats().requests == 3

    report = read_run(tmp_path / "run")
    assert report.states == {"stored": 3}
    assert report.totals.spent == server.bank.billed
    lines = (tmp_path / "run" / MANIFEST).read_text().splitlines()
    assert len(lines) == 3
    nbp = await shell.nbp("fetch", "run", key="")
    assert (await nbp.end())[0] == 0
    async with client(server, private=True) as gen:
        again = await gen.many(["a", "b", "c"], size="1K", out=tmp_path / "run")
        assert again.billing.saved == server.bank.billed
        await assert_settled(gen, server, batch)  # the first call paid, and no other


async def test_the_one_that_ends_soonest_comes_first(server: FakeServer, tmp_path: Path) -> None:
    for days, prompt in ((5, "b"), (1, "a"), (6, "c")):
        await leave_links(server, tmp_path, [prompt], lifetime=days * DAY)
    asked: list[str] = []
    batch = await fetch_run(
        tmp_path, allow_private=True, on_outcome=lambda one: asked.append(one.prompt.text)
    )
    assert sorted(asked) == ["a", "b", "c"]
    assert asked == [outcome.prompt.text for outcome in batch]
    assert server.bank.images == 3


async def test_links_that_many_keeps_are_shown_and_fetched_later(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    Path(tmp_path / "prompts.txt").write_text("a\nb\n")
    words = ("many", "prompts.txt", "--out", "run", "--size", "1K", "--links", "keep")
    for _ in range(2):
        nbp = await shell.nbp(*words, key=server.key)
        code, out, err = await nbp.end()
        assert code == 0, err
        assert len(out) == 2
        assert all(line.startswith(f"{server.base_url}/images/") for line in out)
        assert "2 images kept as links: nbp fetch downloads what you need." in err
    assert (server.stats().requests, server.stats().downloads) == (2, 0)

    nbp = await shell.nbp("show", "run")
    _, shown, _ = await nbp.end()
    assert "2, paid" in " ".join(shown)
    nbp = await shell.nbp("fetch", "run", key="")
    code, paths, err = await nbp.end()
    assert code == 0, err
    assert all(Path(path).is_file() for path in paths)
    assert "2 images fetched, for which $0.268 was paid" in err
    assert server.bank.billed == read_run(tmp_path / "run").totals.spent


async def test_a_link_that_gen_keeps_is_printed_with_its_price(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    words = ("gen", "a red bicycle", "--size", "1K", "--links", "keep")
    code, (link,), err = await (await shell.nbp(*words, key=server.key)).end()
    assert code == 0, err
    assert link.startswith(f"{server.base_url}/images/")
    assert "kept as a link" in err
    assert "$0.134" in err
    code, (line,), err = await (await shell.nbp(*words, "--json", key=server.key)).end()
    row = json.loads(line)
    assert (row["ok"], row["path"], row["format"]) == (True, None, "")
    assert row["url"].startswith(server.base_url)
    assert list(tmp_path.iterdir()) == []
    assert server.stats().downloads == 0


async def test_plain_links_need_the_switch_and_still_lead_nowhere_inside(
    server: FakeServer, tmp_path: Path
) -> None:
    await leave_links(server, tmp_path / "run", ["a"])
    elsewhere = Shell(tmp_path, "https://relay.example/v1")  # whose links are not on this machine
    for switch, words in (
        ([], "it is http://, not https://. Pass --allow-http."),
        (["--allow-http"], "it leads to 127.0.0.1, which is this machine itself"),
    ):
        nbp = await elsewhere.nbp("fetch", "run", *switch, key="")
        code, out, err = await nbp.end()
        assert (code, out) == (3, [])
        assert words in " ".join(err.split())
    await elsewhere.aclose()
    assert read_run(tmp_path / "run").states == {"answered": 1}
    assert server.stats().downloads == 0


async def test_a_link_that_has_expired_is_named_with_what_it_cost(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    await leave_links(server, tmp_path / "run", ["a", "b"])
    server.script(*[faults.download(faults.status(410)) for _ in range(2)])
    nbp = await shell.nbp("fetch", "run", key="")
    code, out, err = await nbp.end()
    assert (code, out) == (3, [])
    said = " ".join(err.split())
    assert "0 images fetched" in said
    assert "2 lost, for which $0.268 was paid" in said
    assert "#1 a ($0.134)" in said
    assert "has expired, or its image is gone (HTTP 410)" in said
    report = read_run(tmp_path / "run")
    assert report.states == {"failed": 2}
    assert report.totals.spent == server.bank.billed


async def test_what_cannot_be_fetched_stays_a_link(server: FakeServer, tmp_path: Path) -> None:
    await leave_links(server, tmp_path, ["a", "b"])
    batch = await fetch_run(tmp_path)  # which may not follow them either
    assert all(isinstance(one, Failure) and one.links for one in batch)
    assert read_run(tmp_path).states == {"answered": 2}
    server.script(faults.cut_download(0.5))
    assert len((await fetch_run(tmp_path, allow_private=True)).images) == 2
    assert server.stats().requests == 2


async def test_show_and_fetch_warn_when_five_days_of_seven_have_gone(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    await leave_links(server, tmp_path / "run", ["a"], lifetime=7 * DAY)
    nbp = await shell.nbp("show", "run")
    _, out, _ = await nbp.end()
    assert "nbp fetch brings them" in "\n".join(out)
    assert "within 2 days" not in "\n".join(out)
    await leave_links(server, tmp_path / "run", ["b"], lifetime=2 * DAY - 60)
    nbp = await shell.nbp("show", "run")
    _, out, _ = await nbp.end()
    assert "1 link ends within 2 days: nbp fetch brings them" in "\n".join(out)


async def test_a_journal_elsewhere_knows_the_place_from_the_other_images(
    server: FakeServer, tmp_path: Path
) -> None:
    out, journal = tmp_path / "out", tmp_path / "books" / "run.sqlite3"
    await leave_links(server, out, ["a"], journal=journal)
    with pytest.raises(ConfigError, match="--to"):
        await fetch_run(journal, allow_private=True)
    assert read_run(journal).states == {"answered": 1}
    async with client(server, private=True) as gen:
        await gen.many(["b"], size="1K", out=out, journal=journal)
    report = read_run(journal)
    assert report.states == {"stored": 2}, "the same journal fetches what it finds"

    await leave_links(server, out, ["c"], journal=journal)
    (image,) = (await fetch_run(journal, allow_private=True)).images
    assert image.path is not None
    assert image.path.parent == out
    assert (out / MANIFEST).exists()


async def test_to_another_folder_and_to_a_store(
    server: FakeServer, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    await leave_links(server, tmp_path / "run", ["a"])
    nbp = await shell.nbp("fetch", "run", "--to", "elsewhere", key="")
    code, (path,), err = await nbp.end()
    assert code == 0, err
    assert Path(path).parent == tmp_path / "elsewhere"

    with object_server(tmp_path) as store:
        await leave_links(server, tmp_path / "run", ["b"])
        nbp = await shell.nbp("fetch", "run", "--to", str(store.address("kept")), key="")
        code, (place,), err = await nbp.end()
        assert code == 0, err
        assert place.startswith("s3://images/kept/")
        async with client(server, private=True) as gen:
            batch = await gen.many(["a", "b"], size="1K", out=tmp_path / "run", verify=True)
            assert all(isinstance(one, Image) and one.resumed for one in batch)
        (name,) = store.objects()
        assert place.partition("?")[0].endswith(name)
    assert server.stats().requests == 2


async def test_a_run_whose_images_are_in_a_store_goes_on_there(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    journal = tmp_path / "run.sqlite3"
    with object_server(tmp_path) as store:
        place = str(store.address())
        async with client(server, private=True) as gen:
            await gen.many(["a"], size="1K", out=place, journal=journal)
        await leave_links(server, place, ["b"], journal=journal)
        (image,) = (await fetch_run(journal, allow_private=True)).images
        assert image.location.startswith("s3://images/run/")
        assert len(store.objects()) == 2
        assert await image.aread() in store.objects().values()
    report = read_run(journal)
    assert report.totals.spent == server.bank.billed


async def test_a_run_that_is_at_work_is_left_alone(server: FakeServer, tmp_path: Path) -> None:
    await leave_links(server, tmp_path, ["a"])
    more = asyncio.Event()

    async def prompts() -> AsyncIterator[str]:
        yield "b"
        await more.wait()  # until then the run is at work

    async with client(server) as gen:
        stream = gen.stream(prompts(), size="1K", out=tmp_path)
        async with stream:
            await anext(stream)
            with pytest.raises(RunBusyError):
                await fetch_run(tmp_path, allow_private=True)
            more.set()
            async for _ in stream:
                pass


async def test_what_no_run_is_and_what_has_no_links_is_said(
    server: FakeServer, shell: Shell, tmp_path: Path
) -> None:
    nbp = await shell.nbp("fetch", "nowhere")
    assert (await nbp.end())[0] == 2
    async with client(server, private=True) as gen:
        await gen.many(["a"], size="1K", out=tmp_path / "run")
    nbp = await shell.nbp("fetch", "run", key="")
    code, out, err = await nbp.end()
    assert (code, out) == (0, [])
    assert "Nothing to fetch" in err
