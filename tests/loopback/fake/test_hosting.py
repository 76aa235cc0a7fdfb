"""The server in a process of its own, in a thread, as a command and as a fixture."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import trustme

from nbp_async.fake import FakeServer, spawn
from nbp_async.fake.faults import reset
from nbp_async.fake.process import weight_of_text
from nbp_async.fake.quotas import Quotas
from tests.loopback.fake.api_client import ApiClient, open_client
from tests.loopback.fake.task_client import HookReceiver, hook_receiver, task_of

pytestmark = pytest.mark.slow


def ask(url: str, key: str, prompt: str) -> dict[str, object]:
    """A call from code without an event loop."""
    body = json.dumps({"model": "nano-banana-pro", "prompt": prompt}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/images/generations", body, headers)
    with urllib.request.urlopen(request) as answer:
        document: dict[str, object] = json.load(answer)
        return document


async def test_the_ledger_of_a_spawned_server_can_be_read() -> None:
    async with await spawn(latency=0, seed=3, faults="", weight="20KB") as server:
        await asyncio.to_thread(ask, server.openai_url, server.key, "a cat")
        await asyncio.to_thread(ask, server.openai_url, server.key, "a cat")
        stats = await server.stats()
        assert (stats.requests, stats.images, stats.dollars) == (2, 2, Decimal("0.268"))
        assert stats.bytes_out > 2 * 20_000
        assert await server.billed_for("a cat") == 2
        assert await server.billed_for("a dog") == 0


async def test_a_spawned_server_accepts_tasks_and_sends_webhooks() -> None:
    async with (
        await spawn(
            latency=0,
            submit_latency=(0, 0.1),
            look_latency=0.01,
            look_faults="500=1",
            task_retention=60,
            webhook_secret="whsec_c2VjcmV0",
            interactions=True,
        ) as server,
        hook_receiver() as receiver,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.key}"}) as session,
    ):
        base = server.service_url("article")
        body = {"model": "nano-banana-pro", "prompt": "a cat", "webhook_url": receiver.url}
        async with session.post(f"{base}/images/generations/async", json=body) as answer:
            task = (await answer.json())["task_id"]
        async with session.get(f"{base}/tasks/{task}") as answer:
            assert answer.status == 500
        google = f"{server.service_url('google-interactions')}/interactions/none"
        async with session.get(google) as answer:
            assert (await answer.json())["error"]["code"] == "not_found"
        await arrived(receiver)
        assert json.loads(receiver.webhooks[0][1])["task_id"] == task
        stats = await server.stats()
        assert (stats.tasks, stats.open_tasks, stats.looks, stats.images) == (1, 0, 2, 1)
        assert server.webhook_secret == "whsec_c2VjcmV0"
        with pytest.raises(ValueError, match="article, comfly"):
            server.service_url("nobody")


async def arrived(receiver: HookReceiver) -> None:
    """Wait for a webhook from another process."""
    async with asyncio.timeout(20):
        while not receiver.webhooks:
            await asyncio.sleep(0.01)


async def test_in_a_thread_drain_waits_for_webhooks() -> None:
    with FakeServer.in_thread(latency=0.05) as server:
        async with open_client(server) as call, hook_receiver() as receiver:
            await task_of(call, webhook_url=receiver.url)
            await server.drain(webhooks=True)
            assert len(receiver.webhooks) == 1
            assert [post.status for post in server.webhooks_sent] == [200]
            assert [entry.delivered for entry in server.bank.ledger] == [True]


async def test_a_spawned_server_outlives_ctrl_c_but_not_its_parent() -> None:
    server = await spawn(latency=0)
    assert os.getpgid(server.pid) != os.getpgid(0)
    await server.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_a_spawned_server_that_cannot_start_reports_why() -> None:
    with pytest.raises(RuntimeError, match="latency 'soon'"):
        await spawn(latency="soon")


async def test_it_serves_https() -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    async with FakeServer(latency=0, tls=server_side) as server:
        assert server.openai_url.startswith("https://127.0.0.1:")
        connector = aiohttp.TCPConnector(ssl=client_side, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            call = ApiClient(server, session)
            assert (await call.get(await call.link("a cat"))).status == 200
            server.script(reset())
            with pytest.raises(aiohttp.ClientError):
                await call.images("a cat")
            assert server.bank.images == 2


def test_in_a_thread_it_serves_plain_code() -> None:
    with FakeServer.in_thread(latency=0) as server:
        assert ask(server.openai_url, server.key, "a cat")["data"]
        assert server.bank.billed_for("a cat") == 1


async def test_in_a_thread_it_can_be_drained_from_another_loop() -> None:
    with FakeServer.in_thread(latency=0) as server:
        async with open_client(server) as call:
            await call.images("a cat")
        await server.drain()
        assert [entry.delivered for entry in server.bank.ledger] == [True]


def test_in_a_thread_a_failure_to_start_is_raised_in_the_caller() -> None:
    with FakeServer.in_thread(latency=0) as first:
        port = int(first.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):  # noqa: SIM117
            with FakeServer.in_thread(port=port):
                pass


def test_the_fixture_is_a_server(nbp_server: FakeServer) -> None:
    assert ask(nbp_server.openai_url, nbp_server.key, "a cat")["data"]
    assert nbp_server.stats().requests == 1


@pytest.mark.nbp_server(latency=0, quotas=Quotas(per_minute=1))
async def test_the_fixture_takes_options_and_works_in_a_loop(nbp_server: FakeServer) -> None:
    async with open_client(nbp_server) as call:
        assert [(await call.images("a cat")).status for _ in range(2)] == [200, 429]


def test_the_plugin_loads_nothing_until_it_is_used() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import nbp_async.testing.plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.strip()
    assert loaded == "['nbp_async', 'nbp_async.testing', 'nbp_async.testing.plugin']"


def test_the_command_prints_its_address_and_ends_with_the_bill() -> None:
    words = ["fake", "--port", "0", "--latency", "0", "--key", "sk-mine", "--kind", "jpeg"]
    words += ["--look-fault", "500=0.1", "--webhook-secret", "a secret", "--interactions"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nbp_async", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    url = lines[0].split()[-1]
    assert url.endswith("/v1")
    assert lines[1].split()[-1] == f"{url}beta"
    assert lines[2].split()[-1] == "sk-mine"
    assert lines[3].split(maxsplit=1)[1].strip() == "a secret"
    assert lines[5].strip() == f"export NBP_BASE_URL={url} NBP_API_KEY=sk-mine"
    ask(url, "sk-mine", "a cat")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "1 image rendered, $0.134 billed" in out


def test_the_command_refuses_unknown_options() -> None:
    words = [sys.executable, "-m", "nbp_async", "fake", "--fault", "everything=1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "everything" in done.stderr


@pytest.mark.parametrize(
    ("text", "weight"),
    [("500000", 500_000), ("600KB", 600_000), ("1.5mb", 1_500_000), ("real", "real")],
)
def test_weights_are_read_as_people_write_them(text: str, weight: int | str) -> None:
    assert weight_of_text(text) == weight


def test_an_invalid_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="heavy"):
        weight_of_text("heavy")


def test_invalid_settings_are_refused_at_once() -> None:
    for options in ({"speed": 0}, {"kind": "gif"}, {"delivery": "post"}, {"keys": [""]}):
        with pytest.raises(ValueError, match=r"speed|kind|delivery|key"):
            FakeServer(**options)


async def test_a_server_has_no_address_before_it_starts_and_starts_once() -> None:
    server = FakeServer(latency=0)
    assert server.key.startswith("sk-fake-")
    with pytest.raises(RuntimeError, match="no address before it starts"):
        _ = server.openai_url
    async with server:
        assert server.gemini_url == f"{server.base_url}/v1beta"
        with pytest.raises(RuntimeError, match="started only once"):
            await server.start()
    await server.aclose()


async def test_an_unknown_option_is_refused_by_its_name() -> None:
    options: dict[str, Any] = {"latence": 3}
    with pytest.raises(TypeError, match="FakeServer has no option latence"):
        FakeServer(**options)
    with pytest.raises(TypeError, match="spawn has no option latence"):
        await spawn(**options)
