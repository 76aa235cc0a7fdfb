"""`nbp batch`: jobs handed in, asked for, fetched and cancelled by commands that do not wait."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async import Client, Profile, read_run
from nbp_async._batch_api import batch_pool as batch
from nbp_async._batch_api import gemini_batch
from nbp_async.cli.app import app
from nbp_async.fake import FakeServer, faults
from tests.loopback.cli.vendor import KEY, Shell

HOUR = 3600.0
SUBMIT = "batch submit prompts.txt --out shop --size 1K"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(batch, "MOST_LINES", 3)
    monkeypatch.setattr(gemini_batch, "MOST_INLINE", 0)
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("".join(f"bicycle {number}\n" for number in range(5)))
    return tmp_path


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer.in_thread(keys=[KEY], batch_latency=0.0) as running:
        yield running


@pytest.fixture
def slow() -> Iterator[FakeServer]:
    with FakeServer.in_thread(keys=[KEY], batch_latency=HOUR) as running:
        yield running


def nbp(server: FakeServer, words: str, *, key: str = KEY, url: str | None = None) -> Result:
    base = server.gemini_url if url is None else url
    env = {"NBP_BASE_URL": base, "NBP_API_KEY": key, "NBP_KEY_FILE": "keys.toml"}
    done = CliRunner().invoke(app, words.split(), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert KEY not in done.output
    return done


def until_done(server: FakeServer, run: str = "shop") -> None:
    for _ in range(500):
        jobs = [
            json.loads(line)
            for line in nbp(server, f"batch status {run} --json").stdout.splitlines()
        ]
        if all(job["state"] == "done" for job in jobs):
            return
        time.sleep(0.01)
    raise AssertionError("never done")


def settled(server: FakeServer, run: str = "shop") -> None:
    account = read_run(run).totals
    assert account.spent <= server.bank.billed <= account.spent + account.maybe
    assert account.images == server.bank.images


def test_a_run_goes_on_in_another_place_by_its_folder_alone(server: FakeServer) -> None:
    done = nbp(server, SUBMIT)
    assert done.exit_code == 0, done.output
    names = [line.split("\t") for line in done.stdout.splitlines()]
    assert [int(images) for _, images, _ in names] == [3, 2]
    assert "2 jobs of 5 images" in done.stderr
    Path("shop").rename("moved")
    Path("prompts.txt").unlink()
    until_done(server, "moved")
    told = nbp(server, "batch status moved")
    assert [line.split("\t")[:5] for line in told.stdout.splitlines()] == [
        [names[0][0], "done", "3", "3", "0"],
        [names[1][0], "done", "2", "2", "0"],
    ]
    assert "2 jobs ended: nbp batch fetch moved" in told.stderr
    brought = nbp(server, "batch fetch moved")
    assert brought.exit_code == 0, brought.output
    assert len({Path(line).resolve() for line in brought.stdout.splitlines()}) == 5
    assert all(Path(line).is_file() for line in brought.stdout.splitlines())
    assert "5 images fetched" in brought.stderr
    again = nbp(server, "batch fetch moved")
    assert (again.exit_code, again.stdout) == (0, "")
    settled(server, "moved")


def test_handed_in_twice_it_is_bought_once(slow: FakeServer) -> None:
    first, second = nbp(slow, SUBMIT), nbp(slow, f"{SUBMIT} --json")
    assert (first.exit_code, second.exit_code) == (0, 0)
    jobs = [json.loads(line) for line in second.stdout.splitlines()]
    assert [job["job"] for job in jobs] == [line.split()[0] for line in first.stdout.splitlines()]
    assert [job["images"] for job in jobs] == [3, 2]
    created = [r for r in slow.received if r.path.endswith("batchGenerateContent")]
    assert len(created) == 2
    settled(slow)


def test_what_is_open_is_left_and_said(slow: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    nbp(slow, SUBMIT)
    (job, _) = map(json.loads, nbp(slow, "batch status shop --json").stdout.splitlines())
    assert (job["state"], job["lines"], job["waiting"], job["error"]) == ("open", 3, 3, "")
    assert 47.9 < job["expires_in_h"] <= 48
    assert 0 <= job["age_s"] < 60
    monkeypatch.setenv("FORCE_COLOR", "1")
    heading, *lines = nbp(slow, "batch status shop").stdout.splitlines()
    assert heading.split() == ["job", "state", "lines", "done", "failed", "age", "expires", "in"]
    assert [line.split()[1:5] for line in lines] == [
        ["open", "3", "0", "0"],
        ["open", "2", "0", "0"],
    ]
    assert all(line.endswith("48.0 h") for line in lines)
    left = nbp(slow, "batch fetch shop")
    assert (left.exit_code, left.stdout) == (3, "")
    assert "5 images in 2 jobs still at the vendor" in left.stderr
    settled(slow)


def test_a_line_that_failed_is_told_and_handed_in_again(server: FakeServer) -> None:
    server.script(faults.rate_limited(), match="bicycle 2")
    nbp(server, SUBMIT)
    until_done(server)
    brought = nbp(server, "batch fetch shop --json")
    assert brought.exit_code == 3
    rows = [json.loads(line) for line in brought.stdout.splitlines()]
    assert sorted(row["ok"] for row in rows) == [False, True, True, True, True]
    assert "1 × RateLimitError (#3; not billed)" in brought.stderr
    again = nbp(server, SUBMIT)
    assert [line.split("\t")[1] for line in again.stdout.splitlines()] == ["1"]
    until = time.monotonic() + 30
    while nbp(server, "batch fetch shop").exit_code != 0:
        assert time.monotonic() < until
    settled(server)


def test_cancelling_asks_first_and_says_what_may_be_billed(slow: FakeServer) -> None:
    nbp(slow, SUBMIT)
    asked = nbp(slow, "batch cancel shop")
    assert asked.exit_code == 2
    assert "--yes" in asked.stderr
    done = nbp(slow, "batch cancel shop --yes")
    assert done.exit_code == 0
    assert "2 jobs ended" in done.stderr
    assert "may still be billed" in done.stderr
    brought = nbp(slow, "batch fetch shop")
    assert brought.exit_code == 3
    assert "5 × TaskLostError" in brought.stderr
    none = nbp(slow, "batch cancel shop")
    assert (none.exit_code, "Nothing to cancel" in none.stderr) == (0, True)
    settled(slow)


def test_a_key_is_sent_only_where_somebody_but_the_journal_says(slow: FakeServer) -> None:
    nbp(slow, SUBMIT)
    asked = slow.stats().requests
    stray = nbp(slow, "batch status shop", url="")
    assert stray.exit_code == 2
    assert "only its journal says so" in stray.stderr
    other = nbp(slow, "batch status shop", key="sk-another-0123456789")
    assert other.exit_code == 3
    assert "another account" in other.stderr
    missing = nbp(slow, "batch status shop", key="")
    assert missing.exit_code == 4
    assert slow.stats().requests == asked
    origin = slow.gemini_url.rpartition("/")[0]
    Path("keys.toml").write_text(f'["{origin}"]\nendpoint = "{slow.gemini_url}"\nkey = "{KEY}"\n')
    Path("keys.toml").chmod(0o600)
    kept = nbp(slow, "batch status shop", key="", url="")
    assert kept.exit_code == 0, kept.output
    assert len(kept.stdout.splitlines()) == 2


async def submit_links(server: FakeServer, base_url: str) -> None:
    """A relay with a batch API whose results are links."""
    relay = Profile(name="relay", base_url=base_url, batches=True, response_format="url")
    async with Client(relay, KEY) as gen:
        await gen.many(["a", "b"], size="1K", via="batch", out="shop", wait=False)


def test_results_that_are_links_are_kept_or_fetched(server: FakeServer) -> None:
    url = server.openai_url
    asyncio.run(submit_links(server, url))
    while (kept := nbp(server, "batch fetch shop --links keep", url=url)).exit_code == 3:
        time.sleep(0.01)
    assert len([line for line in kept.stdout.splitlines() if line.startswith("http")]) == 2
    assert server.stats().downloads == 0
    assert read_run("shop").states == {"answered": 2}
    assert server.bank.billed == read_run("shop").totals.spent


def test_a_refused_key_has_its_own_code(slow: FakeServer) -> None:
    nbp(slow, f"{SUBMIT} --account team")
    refused = nbp(slow, "batch status shop", key="sk-another-0123456789")
    assert refused.exit_code == 4
    assert [line.split("\t")[1] for line in refused.stdout.splitlines()] == ["unknown"] * 2
    assert nbp(slow, "batch fetch shop", key="sk-another-0123456789").exit_code == 4
    assert nbp(slow, "batch cancel shop --yes", key="sk-another-0123456789").exit_code == 4
    settled(slow)


def test_a_dry_run_sends_nothing(slow: FakeServer) -> None:
    done = nbp(slow, f"{SUBMIT} --dry-run")
    assert done.exit_code == 0
    assert "5 to make, about $0.34\nby the batch API: within a day" in done.stdout
    assert not slow.stats().requests


def test_what_cannot_be_handed_in_has_its_code(slow: FakeServer) -> None:
    refused = nbp(slow, SUBMIT, key="sk-another-0123456789")
    assert (refused.exit_code, refused.stdout) == (4, "")
    assert "3 failed · 2 not sent" in refused.stderr
    capped = nbp(slow, SUBMIT.replace("shop", "small") + " --max-cost 0.01")
    assert (capped.exit_code, capped.stdout) == (3, "")
    assert "No job is at the vendor" in capped.stderr
    settled(slow)


def test_a_job_that_is_not_known_any_more_is_left_and_said(server: FakeServer) -> None:
    nbp(server, SUBMIT)
    until_done(server)
    server.script(faults.status(404), faults.status(404), match="look at")
    left = nbp(server, "batch fetch shop")
    assert left.exit_code == 3
    assert "A key of another project" in left.stderr
    assert nbp(server, "batch fetch shop").exit_code == 0
    settled(server)


async def test_ctrl_c_leaves_what_came_and_what_is_left(tmp_path: Path) -> None:
    with FakeServer.in_thread(keys=[KEY], batch_latency=0.0) as server:
        shell = Shell(tmp_path, server.gemini_url)
        try:
            run = await shell.nbp("batch", "submit", "prompts.txt", "--out", "shop", "--size", "1K")
            assert (await run.end())[0] == 0
            server.script(faults.slow_body(200_000), match="look at")
            run = await shell.nbp("batch", "fetch", "shop")
            assert await run.writes()
            assert not server.unplayed
            run.press_ctrl_c()
            code, _, err = await run.end()
            assert code == 130
            assert "Stopped. What came is safe" in err
            assert "Traceback" not in err
            run = await shell.nbp("batch", "fetch", "shop")
            code, _, err = await run.end()
            assert code == 0, err
        finally:
            await shell.aclose()
        settled(server)
        assert len(list(Path("shop").glob("*.jpg"))) == 5
