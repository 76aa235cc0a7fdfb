"""The client for plain threads: real threads, a real loop in the background, the fake server."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbp_async import (
    BudgetError,
    CancelledAttemptError,
    Client,
    ClosedError,
    ConfigError,
    Limits,
    Listener,
    SyncClient,
)
from nbp_async._models.events import AttemptStarted
from nbp_async.fake import FakeServer

THREADS = 20


@pytest.fixture
def gen() -> Iterator[SyncClient]:
    with SyncClient.fake(server={"latency": 0}) as client:
        yield client


class Interrupts(Listener):
    """Presses Ctrl-C once the server has the request."""

    def __init__(self) -> None:
        self.server: FakeServer | None = None

    def on_attempt_started(self, event: AttemptStarted) -> None:
        assert self.server is not None
        arrived = self.server.stats().requests + event.number
        self.task = asyncio.get_running_loop().create_task(self.press(self.server, arrived))

    async def press(self, server: FakeServer, arrived: int) -> None:
        while server.stats().requests < arrived:
            await asyncio.sleep(0)
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)


def test_one_many_and_stream_without_async(gen: SyncClient, tmp_path: Path) -> None:
    assert gen.one("a red bicycle", size="1K").ok
    batch = gen.many(["a cat", "a dog"], size="1K", out=tmp_path)
    assert [image.path is not None for image in batch.images] == [True, True]
    assert {outcome.index for outcome in gen.stream(["a", "b", "c"], size="1K")} == {0, 1, 2}
    assert gen.bill().images == 6


def test_many_threads_share_one_limit() -> None:
    limits = Limits(max_in_flight=5)
    with SyncClient.fake(server={"latency": 0.05}, limits=limits) as gen:
        with ThreadPoolExecutor(THREADS) as pool:
            images = list(pool.map(lambda number: gen.one(f"cat {number}", size="1K"), range(40)))
        server = gen._client.server
        assert server is not None
        assert len({id(image) for image in images}) == 40
        assert server.stats().peak_in_flight == 5


def test_errors_are_those_of_the_client(gen: SyncClient) -> None:
    with pytest.raises(TypeError, match="did you mean 'size'"):
        gen.one("a cat", sise="4K")  # type: ignore[call-arg]  # misspelt
    with pytest.raises(ConfigError, match="one str"):
        gen.many("a cat")
    with pytest.raises(BudgetError):
        gen.one("a cat", max_cost="0.01")


def test_a_stream_that_is_left_early_drops_what_is_out() -> None:
    with SyncClient.fake(server={"latency": 0}, limits=Limits(max_in_flight=2)) as gen:
        with gen.stream((f"cat {number}" for number in range(10_000)), size="1K") as outcomes:
            for _ in outcomes:
                break
        assert gen.bill().images < 100
        assert list(outcomes) == []


async def test_it_refuses_to_block_a_running_loop() -> None:
    with pytest.raises(ConfigError, match="async with"):
        SyncClient.fake().one("a cat")


def test_closed_it_refuses_calls_and_may_be_closed_again(gen: SyncClient) -> None:
    gen.close()
    gen.close()
    with pytest.raises(ClosedError, match="closed"):
        gen.one("a cat")


def test_ctrl_c_cancels_the_call_and_says_what_may_have_been_billed() -> None:
    interrupts = Interrupts()
    with SyncClient.fake(server={"latency": 600}, listeners=[interrupts]) as gen:
        interrupts.server = gen._client.server
        with pytest.raises(KeyboardInterrupt) as one:
            gen.one("a cat", size="1K")
        assert "1 image was in flight and may have been billed" in one.value.__notes__[0]
        with pytest.raises(KeyboardInterrupt) as many:
            gen.many(["a cat"], size="1K")
        assert "`partial.failures`" in many.value.__notes__[0]
        (failure,) = many.value.partial.failures  # type: ignore[attr-defined]  # set by many
        assert failure.billing == "maybe"
        with pytest.raises(KeyboardInterrupt) as stream:
            next(gen.stream(["a cat"], size="1K"))
        assert "may have been billed" in stream.value.__notes__[0]


def test_closing_cancels_the_calls_of_other_threads() -> None:
    class Closes(Listener):
        def on_attempt_started(self, event: AttemptStarted) -> None:
            assert event.number == 1
            pool.submit(gen.close)

    with ThreadPoolExecutor(1) as pool:
        gen = SyncClient.fake(server={"latency": 600}, listeners=[Closes()])
        with pytest.raises(CancelledAttemptError, match="was closed while"):
            gen.one("a cat", size="1K")


def script(code: str, warning: str = "") -> str:
    """What a process prints that runs this; it has ended by itself.

    Each line on its stderr has `warning` in it; without one there is none.
    """
    head = "import os, threading\nfrom nbp_async import *\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert all(warning and warning in line for line in done.stderr.splitlines()), done.stderr
    return done.stdout


def test_a_process_that_forgets_to_close_it_ends_cleanly(tmp_path: Path) -> None:
    code = f"""
        gen = SyncClient.fake(server={{"latency": 0}})
        print(len(gen.many(["a", "b"], size="1K", out={str(tmp_path)!r}).images))
    """
    assert script(code) == "2\n"


def test_a_process_that_forgets_a_broken_off_stream_ends_cleanly() -> None:
    code = """
        gen = SyncClient.fake(server={"latency": 0})
        for outcome in gen.stream((f"cat {n}" for n in range(10_000)), size="1K"):
            print(outcome.ok)
            break
    """
    # What was in flight is cancelled at the end, and each of it is reported with its price.
    assert script(code, warning="may have been billed $") == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told_to_make_its_own() -> None:
    code = """
        gen = SyncClient.fake(server={"latency": 0})
        print(gen.one("a cat", size="1K").ok, flush=True)
        child = os.fork()
        if not child:
            try:
                gen.one("a cat")
            except ClosedError as exc:
                print(exc, flush=True)
            os._exit(0)
        else:
            os.waitpid(child, 0)
            print(gen.one("a cat", size="1K").ok)
    """
    first, told, last = script(code).splitlines()
    assert (first, last) == ("True", "True")
    assert "before the process was forked" in told
    assert "Nothing was sent." in told


async def test_a_client_that_is_in_use_elsewhere_is_left_alone() -> None:
    async with Client.fake(server={"latency": 0}) as client:
        with pytest.raises(ConfigError):
            SyncClient.of(client).one("a cat")
        assert (await client.one("a cat", size="1K")).ok


def test_the_fake_server_is_at_hand() -> None:
    with SyncClient.fake(server={"latency": 0.0}) as gen:
        batch = gen.many(["a red bicycle"] * 2)
        assert gen.server is not None
        assert gen.server.bank.billed == batch.billing.spent > 0
        assert gen.server.stats().requests == 2
    assert SyncClient("google", "AIza-0123456789ab").server is None
