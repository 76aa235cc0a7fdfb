"""`nbp submit` and `nbp work`: real processes, one after the other and beside each other."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbp_async import RunControl
from nbp_async.fake import FakeServer, faults
from tests.databases import database
from tests.loopback.cli.vendor import Nbp, Shell, Vendor

SIX = "".join(f"prompt {number}\n" for number in range(6))


@pytest.fixture
def address() -> Iterator[str]:
    with database() as found:
        yield found


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer(latency=0.1, delivery="b64_json") as running:
        yield running


@pytest.fixture
async def desk(server: FakeServer, tmp_path: Path) -> AsyncIterator[Shell]:
    """Like `shell`, before the fake server, whose bank keeps a ledger."""
    opened = Shell(tmp_path, server.openai_url, key=server.key)
    yield opened
    await opened.aclose()


async def ended(shell: Shell, *words: str, **more: Any) -> tuple[int, list[str], str]:
    return await (await shell.nbp(*words, **more)).end()


async def assert_account(where: str | Path, server: FakeServer) -> None:
    """What the run says it spent, and perhaps spent, is what the bank billed."""
    async with RunControl(where) as run:
        account = await run.account()
    assert account.held == 0
    assert account.spent <= server.stats().dollars <= account.spent + account.maybe


async def test_what_is_submitted_is_made_later_and_each_command_says_what_it_did(
    desk: Shell, server: FakeServer
) -> None:
    (desk.folder / "shop.csv").write_text("sku,prompt,size,n\n1,bike,1K,2\n2,lamp,4K,1\n")
    submit = ("submit", "shop.csv", "--journal", "shop", "--key", "order 7", "--owner", "ann")
    code, out, err = await ended(desk, *submit)
    assert (code, out) == (0, ["1", "2", "3"])
    assert "3 images queued · $0.546 set aside" in err
    assert server.stats().requests == 0

    code, out, err = await ended(desk, *submit, "--json", key=server.key)
    assert [json.loads(line) for line in out] == [
        {"ticket": n, "index": n - 1, "is_new": False, "held_usd": 0.0} for n in (1, 2, 3)
    ]
    assert "0 images queued · $0.00 set aside" in err
    assert "3 images queued before, by a submission with the same key." in err

    code, out, err = await ended(desk, "work", "--journal", "shop")
    assert code == 0
    assert all((desk.folder / line).is_file() for line in out)
    assert len(out) == server.stats().images == 3
    assert "3 images · $0.508 spent\nThe queue is empty." in err
    await assert_account(desk.folder / "shop", server)
    assert (await ended(desk, "work", "--journal", "shop", "-q"))[1:] == ([], "")


async def test_too_little_money_queues_nothing_or_what_fits(desk: Shell) -> None:
    submit = ("submit", "-", "--journal", "shop", "--size", "1K", "--max-cost", "0.30")
    code, out, err = await ended(desk, *submit, text="a\nb\nc\n")
    assert (code, out) == (3, [])
    assert "only $0.3 is left of what the run may spend" in err
    code, out, err = await ended(desk, *submit, "--part", text="a\nb\nc\n")
    assert (code, out) == (3, ["1", "2"])
    assert "1 image not queued: too little money is left." in err


async def test_what_failed_and_what_waits_for_later_is_told(
    desk: Shell, server: FakeServer
) -> None:
    server.script(faults.status(400))
    await ended(desk, "submit", "-", "--journal", "shop", "--size", "1K", text="a\nb\n")
    later = ("--not-before", "2999-01-01")
    await ended(desk, "submit", "-", "--journal", "shop", "--size", "1K", *later, text="c\n")
    code, out, err = await ended(desk, "work", "--journal", "shop", "--json")
    assert code == 3
    assert sorted((row["ticket"], row["ok"]) for row in map(json.loads, out)) == [
        (1, False),
        (2, True),
    ]
    assert "1 image · 1 failed · $0.134 spent" in err
    assert "In the run: 1 queued for later." in err
    assert server.stats().images == 1


async def test_a_refused_key_ends_the_work_with_4(shell: Shell, vendor: Vendor) -> None:
    await ended(shell, "submit", "-", "--journal", "shop", "--account", "art", text=SIX)
    work = ("work", "--journal", "shop", "--account", "art", "--max-in-flight", "1")
    code, out, err = await ended(shell, *work, key="sk-test-of-somebody-else")
    assert (code, out) == (4, [])
    assert len(vendor.asked) == 3
    assert "3 failed" in err
    assert "In the run: 3 queued." in err


async def started(shell: Shell, vendor: Vendor, *words: str) -> Nbp:
    """Six prompts in the queue, three in flight, and none of them answered yet."""
    await ended(shell, "submit", "-", "--journal", "shop", text=SIX)
    vendor.release.clear()
    nbp = await shell.nbp("work", "--journal", "shop", "--max-in-flight", "3", *words)
    await vendor.arrived(3)
    return nbp


async def test_sigterm_keeps_what_is_paid_and_leaves_the_rest_in_the_queue(
    shell: Shell, vendor: Vendor
) -> None:
    nbp = await started(shell, vendor)
    nbp.terminate()
    await nbp.says("finishing 3 paid images")
    vendor.release.set()
    code, out, err = await nbp.end()
    assert (code, len(out), len(vendor.asked)) == (5, 3, 3)
    assert "3 images · $0.402 spent\nIn the run: 3 queued." in err
    code, out, err = await ended(shell, "work", "--journal", "shop")
    assert (code, len(out), len(vendor.asked)) == (0, 3, 6)
    assert sorted(asked["prompt"] for asked in vendor.asked) == SIX.splitlines()


async def test_a_second_ctrl_c_drops_what_is_out_and_never_sends_it_again(
    shell: Shell, vendor: Vendor
) -> None:
    nbp = await started(shell, vendor, "--json")
    nbp.press_ctrl_c()
    await nbp.says("finishing")
    nbp.press_ctrl_c()
    code, out, err = await nbp.end()
    assert code == 3
    assert [json.loads(line)["billing"] for line in out] == ["maybe"] * 3
    assert "3 images cancelled in flight: the vendor may still make and bill them." in err
    assert "May have been billed in addition: $0.440." in err
    assert "In the run: 3 queued." in err
    assert "Traceback" not in err
    vendor.release.set()
    code, out, err = await ended(shell, "work", "--journal", "shop")
    assert (code, len(out)) == (0, 3)
    assert sorted(asked["prompt"] for asked in vendor.asked) == SIX.splitlines()


async def test_two_processes_share_a_run_in_a_database(
    desk: Shell, server: FakeServer, address: str
) -> None:
    run = ("--journal", address)
    code, _, err = await ended(desk, "submit", "-", *run, text=SIX)
    assert code == 2
    assert "There is no run" in err
    assert "--out" in err
    code, out, _ = await ended(desk, "submit", "-", *run, "--out", "made", text=SIX * 2)
    assert (code, len(out)) == (0, 12)
    code, out, _ = await ended(desk, "submit", "-", *run, text=SIX * 2)
    assert (code, len(out)) == (0, 12)

    work = ("work", *run, "--out", "made", "--max-in-flight", "2", "--json")
    workers = [await desk.nbp(*work) for _ in range(2)]
    rows: list[list[dict[str, Any]]] = []
    for worker in workers:
        code, lines, _ = await worker.end()
        assert code == 0
        rows.append([json.loads(line) for line in lines])
    assert all(rows), "each made a part"
    assert len({row["ticket"] for part in rows for row in part}) == server.stats().images == 24
    assert len(list((desk.folder / "made").iterdir())) == 24
    await assert_account(address, server)


async def test_work_forever_waits_for_more_until_sigterm(
    desk: Shell, server: FakeServer, address: str
) -> None:
    work = ("work", "--journal", address, "--out", "made", "--forever")
    nbp = await desk.nbp(*work)
    for number in range(2):
        submit = ("submit", "-", "--journal", address, "--out", "made")
        code, _, _ = await ended(desk, *submit, text=f"prompt {number}\n")
        assert code == 0
        assert (desk.folder / await nbp.writes()).is_file()
    nbp.terminate()
    code, out, err = await nbp.end()
    assert (code, out) == (0, [])
    assert "2 images" in err
    await assert_account(address, server)


async def test_one_of_two_is_drained_and_the_other_makes_the_rest(
    desk: Shell, server: FakeServer, address: str
) -> None:
    submit = ("submit", "-", "--journal", address, "--out", "made", "--max-cost", "20")
    code, numbers, _ = await ended(desk, *submit, text=SIX * 8)
    assert code == 0
    work = ("work", "--journal", address, "--out", "made", "--max-in-flight", "2")
    drained, other = [await desk.nbp(*work) for _ in range(2)]
    first = await drained.writes()
    drained.terminate()
    code, lines, err = await drained.end()
    assert code == 5, err
    assert "Traceback" not in err
    paths = {first, *lines}
    assert len(paths) < len(numbers)
    code, lines, err = await other.end()
    assert code == 0, err
    assert len(paths | set(lines)) == len(numbers) == server.stats().images
    await assert_account(address, server)
