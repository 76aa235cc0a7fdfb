"""A script is stopped: the first signal lets what is paid finish, the second drops it, named."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from nbp_async.fake.process import SpawnedServer, spawn
from tests.loopback.durable.kills import ROOT, assert_books


async def start(server: SpawnedServer, folder: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.loopback.durable.script",
        server.openai_url,
        server.key,
        str(folder),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    while (await server.stats()).in_flight < 4:
        await asyncio.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_lets_what_is_paid_finish(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with await spawn(latency=1.5) as server:
        process = await start(server, tmp_path)
        process.send_signal(number)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert b"4 images, 0 unclear" in out
        assert b"waiting for 4 requests" in err
        report = await assert_books(server, tmp_path)
        assert report.totals.images == 4
        assert (await server.stats()).requests == 4


async def test_the_second_ctrl_c_drops_it_and_the_journal_names_it(tmp_path: Path) -> None:
    async with await spawn(latency=30.0, speed=5.0) as server:
        process = await start(server, tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        await process.stderr.readline()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(4):  # two seconds before the images would be there
            _, err = await process.communicate()
        assert process.returncode not in (0, None)
        assert b"KeyboardInterrupt" in err
        report = await assert_books(server, tmp_path)
        assert report.totals.images == 0
        assert sum(row.billing == "maybe" for row in report.rows()) == 4
