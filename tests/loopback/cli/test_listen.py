"""`nbp listen`: what is proved is printed once, what is not is told to people alone."""

import asyncio
import json
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import KEY, Nbp, Shell
from tests.loopback.fake.api_client import open_client
from tests.loopback.fake.task_client import submit
from tests.loopback.webhooks.sender import SECRET, Line, signed


@pytest.fixture
async def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("NBP_WEBHOOK_SECRET", SECRET)
    return Shell(tmp_path, "")


async def listen(shell: Shell, *words: str) -> tuple[Nbp, Line]:
    nbp = await shell.nbp("listen", "--port", "0", *words)
    return nbp, Line((await nbp.says("Listening at")).split()[-1])


async def test_each_event_is_a_line_of_json_and_people_are_told_the_rest(shell: Shell) -> None:
    nbp, line = await listen(shell, "--json")
    assert await line.post(*await signed()) == 200
    facts = json.loads(await nbp.writes())
    assert facts.pop("received_at_s") > 1.7e9
    assert facts == {
        "id": "msg-1",
        "task": "task-7",
        "state": "completed",
        "scheme": "standard",
        "body": {"task_id": "task-7", "status": "completed"},
    }
    assert await line.post(*await signed()) == 200
    assert await line.post(*await signed(forged="key")) == 401
    assert "no signature is valid" in await nbp.says("Rejected")
    nbp.press_ctrl_c()
    code, out, err = await nbp.end()
    assert (code, out) == (0, [])
    assert "1 webhook accepted; 1 duplicate, 1 rejected" in err
    assert SECRET not in err


async def test_the_key_that_a_service_repeats_is_not_printed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NBP_API_KEY", KEY)
    nbp, line = await listen(shell, "--json")
    body = json.dumps({"task_id": "t-7", "status": f"done {KEY}", "note": KEY}).encode()
    assert await line.post(*await signed(body=body)) == 200
    facts = json.loads(await nbp.writes())
    assert (facts["state"], facts["body"]["note"]) == ("done [hidden]", "[hidden]")
    nbp.terminate()
    assert (await nbp.end())[0] == 0


async def test_without_json_it_is_a_line_for_people(shell: Shell) -> None:
    nbp, line = await listen(shell)
    assert await line.post(*await signed()) == 200
    assert (await nbp.writes()).split()[1:] == ["task-7", "completed"]
    nbp.terminate()
    assert (await nbp.end())[0] == 0


async def test_what_the_fake_server_sends_is_printed(shell: Shell) -> None:
    nbp, line = await listen(shell, "--path", "from-the-vendor")
    async with (
        FakeServer(latency=0.1, webhook_secret=SECRET) as server,
        open_client(server) as call,
    ):
        await submit(call, webhook_url=line.url)
        assert (await nbp.writes()).endswith("completed")
        await server.drain(webhooks=True)
        assert server.stats().webhooks_delivered == 1
    nbp.press_ctrl_c()
    await nbp.end()


async def test_what_was_not_printed_before_a_kill_is_printed_at_the_next_start(
    shell: Shell, tmp_path: Path
) -> None:
    words = ("--inbox", str(tmp_path / "in.sqlite3"), "--json")
    nbp, line = await listen(shell, *words)
    body = {"x": "y" * 9000}
    big = [
        await signed(f"msg-{n}", body=json.dumps({"id": f"t{n}", **body}).encode())
        for n in range(30)
    ]
    assert await asyncio.gather(*(line.post(*message) for message in big)) == [200] * 30
    await asyncio.sleep(0.2)  # its stdout is full by now: nobody reads
    await nbp.kill()
    again, line = await listen(shell, *words)
    printed = {json.loads(await again.writes())["id"]}
    assert await line.post(*await signed("msg-30")) == 200
    while "msg-30" not in printed:
        printed.add(json.loads(await again.writes())["id"])
    assert "msg-29" in printed
    again.press_ctrl_c()
    assert (await again.end())[0] == 0


async def test_it_ends_when_nobody_reads_any_more(shell: Shell, tmp_path: Path) -> None:
    nbp, line = await listen(shell, "--inbox", str(tmp_path / "in.sqlite3"))
    nbp.close_stdout()
    assert await line.post(*await signed()) == 200
    code, _, err = await nbp.end()
    assert code == 0
    assert "Traceback" not in err
    again, _ = await listen(shell, "--inbox", str(tmp_path / "in.sqlite3"))
    assert "task-7" in await again.writes(), "it was not printed, so it is now"
    again.press_ctrl_c()
    await again.end()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--secret-env", "NO_SUCH_NAME"], "NO_SUCH_NAME is not set"),
        (["--public-url", "http://hooks.shop.example"], "https"),
        (["--public-url", "https://10.0.0.7"], "private address"),
        (["--host", "0.0.0.0"], "--public-url"),
        (["--scheme", "none", "--path", "short"], "at least 22 random characters"),
        (["--scheme", "fal", "--secret-env", "NBP_WEBHOOK_SECRET"], "no secret"),
        (["--inbox", "no/such/folder"], "cannot be used"),
    ],
)
async def test_what_cannot_work_is_said_and_ends_with_two(
    shell: Shell, words: list[str], said: str, tmp_path: Path
) -> None:
    nbp = await shell.nbp("listen", "--port", "8790", *words)
    code, out, err = await nbp.end()
    assert code == 2
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert out == []
