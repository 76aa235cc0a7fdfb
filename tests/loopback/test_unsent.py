"""What fails before a byte can leave costs nothing, and is tried again where that may help."""

import asyncio
import dataclasses
import logging
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

import pytest
import trustme

from nbp_async._base.errors import CertificateError, ConnectTimeout
from nbp_async._client.client import Client
from nbp_async._journal.base import JOURNAL
from nbp_async._models.outcomes import Failure, Image, Prompt, Via
from nbp_async._models.settings import Limits, Retry, Timeouts
from nbp_async._vendors.profiles import Profile
from nbp_async._vendors.services import services
from nbp_async.fake import FakeServer
from nbp_async.fake.process import spawn
from nbp_async.testing.journal import inline_journal
from tests.loopback.oracle import assert_settled, file_descriptors
from tests.loopback.play import KEY, now, profile
from tests.pictures import png
from tests.transports import TRANSPORTS

virtual = pytest.mark.looptime

ARTICLE = services()["article"].tasks


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def vendor_at(port: int, *, host: str = "127.0.0.1", scheme: str = "http") -> Profile:
    return Profile(name="vendor", base_url=f"{scheme}://{host}:{port}/v1", model="nano-banana-pro")


@virtual
async def test_a_vendor_that_is_not_up_yet_is_waited_for_and_billed_once_a_prompt() -> None:
    port = free_port()
    server = FakeServer(latency=30.0, keys=[KEY], port=port)
    async with Client(vendor_at(port), KEY, rng=lambda: 0.9) as gen:
        plan = asyncio.ensure_future(gen.many([f"prompt {n}" for n in range(20)], size="1K"))
        await asyncio.sleep(3)
        async with server:
            batch = await plan
            await assert_settled(gen, server, batch)
            assert server.stats().requests == 20
    assert len(batch.images) == 20
    assert all(a.billing == "no" for o in batch for a in o.attempts[:-1])
    assert max(len(o.attempts) for o in batch) <= 8


@virtual
async def test_a_name_that_does_not_resolve_for_a_while_costs_no_prompt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()

    async def later(host: str, port: int, **_: object) -> list[object]:
        if now() < 4:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    async with FakeServer(latency=30.0, keys=[KEY]) as server:
        port = int(server.base_url.rpartition(":")[2])
        monkeypatch.setattr(loop, "getaddrinfo", later)
        async with Client(vendor_at(port, host="localhost"), KEY, rng=lambda: 0.9) as gen:
            batch = await gen.many([f"prompt {n}" for n in range(50)], size="1K")
            await assert_settled(gen, server, batch)
    assert len(batch.images) == 50
    assert server.stats().requests == 50


class TimedWarnings(logging.Handler):
    """What was logged from WARNING on, and when."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((now(), record.getMessage()))


@pytest.fixture
def told() -> Iterator[list[tuple[float, str]]]:
    handler = TimedWarnings()
    logging.getLogger("nbp_async").addHandler(handler)
    yield handler.said
    logging.getLogger("nbp_async").removeHandler(handler)


@virtual
@TRANSPORTS
async def test_a_name_that_is_unknown_is_told_after_two_seconds(
    transport: str, monkeypatch: pytest.MonkeyPatch, told: list[tuple[float, str]]
) -> None:
    async def unknown(host: str, port: int, **_: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    relay, options = vendor_at(443, host="relay.example", scheme="https"), {"transport": transport}
    async with Client(relay, KEY, rng=lambda: 0.9, **options) as gen:  # type: ignore[arg-type]
        batch = await gen.many(["a", "b", "c"], size="1K")
    ((when, words),) = told
    assert 2 <= when < 5
    assert words.startswith("vendor: no connection: its name does not resolve.")
    assert "nothing was sent so far" in words
    assert len(batch.failures) == 3
    assert not batch.billing.maybe


@virtual
@TRANSPORTS
async def test_a_resolver_that_hangs_is_told_before_its_time_is_over(
    transport: str, monkeypatch: pytest.MonkeyPatch, told: list[tuple[float, str]]
) -> None:
    async def hang(host: str, port: int, **_: object) -> list[object]:
        await asyncio.sleep(40)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    relay, options = vendor_at(443, host="relay.example", scheme="https"), {"transport": transport}
    async with Client(relay, KEY, rng=lambda: 0.9, **options) as gen:  # type: ignore[arg-type]
        batch = await gen.many(["a", "b", "c"], size="1K")
    (first, early), (_, late) = told
    assert first == pytest.approx(5, abs=0.1)
    assert early == (
        "vendor: no connection for 5 s. Its name is still being looked up, or its host does not "
        "answer; nothing was sent so far."
    )
    assert late.startswith("vendor: no connection within 10 s.")
    assert len(batch.failures) == 3
    assert not batch.billing.maybe


@virtual
async def test_nothing_is_told_of_a_connection_that_comes_about(
    told: list[tuple[float, str]],
) -> None:
    server = FakeServer(latency=30.0, keys=[KEY])
    async with server, Client(profile(server, "openai_images"), KEY) as gen:
        assert (await gen.one("a", size="1K")).ok
        timers = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert not [t for t in timers if not t.cancelled() and "_tell_that" in repr(t)]
    assert told == []


@asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port whose queue of connections is full: the kernel answers nobody."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
        for filler in fillers:
            filler.close()


@virtual
async def test_a_host_that_never_answers_is_given_up_for_nothing() -> None:
    timeouts = Timeouts(connect=5)
    async with (
        deaf_port() as port,
        Client(vendor_at(port), KEY, timeouts=timeouts, rng=lambda: 0.0) as gen,
    ):
        (outcome,) = await gen.many(["a red bicycle"], size="1K")
        assert gen.in_flight == 0
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, ConnectTimeout)
    assert [a.billing for a in outcome.attempts] == ["no"] * 8
    assert outcome.spent + outcome.maybe_spent == 0
    assert now() == pytest.approx(40, abs=0.1)


@virtual
async def test_a_deadline_that_comes_while_connecting_costs_nothing() -> None:
    timeouts = Timeouts(connect=5, deadline=7)
    async with (
        deaf_port() as port,
        Client(vendor_at(port), KEY, timeouts=timeouts, rng=lambda: 0.0) as gen,
    ):
        (outcome,) = await gen.many(["a red bicycle"], size="1K")
    assert isinstance(outcome, Failure)
    assert outcome.billing == "no"
    assert now() == pytest.approx(10, abs=0.1)


@virtual
@pytest.mark.parametrize("how", ["cancel", "timeout"])
async def test_a_call_cancelled_while_connecting_owes_nothing(how: str) -> None:
    async with deaf_port() as port, Client(vendor_at(port), KEY) as gen:
        before = file_descriptors()
        plan = gen.many([f"prompt {n}" for n in range(30)], size="1K")
        task = asyncio.create_task(plan)
        if how == "cancel":
            await asyncio.sleep(5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task, 5)
        assert plan.partial.billing.spent + plan.partial.billing.maybe == 0
        assert not plan.partial.billing.unclear
        assert gen.in_flight == 0
        await asyncio.sleep(0.01)
        assert file_descriptors() <= before


def certificate(authority: trustme.CA, why: str) -> SSLContext:
    """A server's certificate that is wrong for this reason, or right."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    name = "elsewhere.example" if why == "another name" else "127.0.0.1"
    issued = authority.issue_cert(name, not_after=past if why == "expired" else None)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    return context


@virtual
@pytest.mark.parametrize("why", ["expired", "another name", "unknown authority", ""])
@TRANSPORTS
async def test_a_host_that_cannot_prove_itself_gets_no_prompt_and_no_second_try(
    why: str, transport: str, tmp_path: Path
) -> None:
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    (trustme.CA() if why == "unknown authority" else authority).cert_pem.write_to_path(str(ca))
    async with FakeServer(latency=30.0, keys=[KEY], tls=certificate(authority, why)) as server:
        port = int(server.base_url.rpartition(":")[2])
        options = {"ca": ca, "transport": transport}
        async with Client(vendor_at(port, scheme="https"), KEY, **options) as gen:  # type: ignore[arg-type]
            (outcome,) = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, server, [outcome])
    assert len(outcome.attempts) == 1
    if not why:
        assert isinstance(outcome, Image)
        return
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, CertificateError)
    assert not server.bank.billed
    assert server.stats().requests == 0


@contextmanager
def file_descriptors_left(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (file_descriptors() + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_sixty_prompts_get_through_where_twenty_sockets_can_be_open() -> None:
    """The vendor is another process: it has file descriptors of its own."""
    retry = Retry(base=0.05, cap=0.4, connect_attempts=40, budget=False)
    limits = Limits(max_in_flight=60)
    async with await spawn(latency=0.05) as server:
        async with Client(server.openai_url, server.key, limits=limits, retry=retry) as gen:
            with file_descriptors_left(20):
                batch = await gen.many([f"prompt {n}" for n in range(60)], size="1K")
        stats = await server.stats()
    assert len(batch.images) == 60, [str(f.error) for f in batch.failures]
    assert (stats.requests, stats.dollars) == (60, batch.billing.spent)
    short = [a for o in batch for a in o.attempts[:-1]]
    assert short
    assert all(a.error.startswith("LocalLimitError") and a.billing == "no" for a in short)


@virtual
@pytest.mark.parametrize("via", ["held", "poll", "batch"])
@pytest.mark.parametrize("extra", [{"style": "\ud83d"}, {"style": object()}])
async def test_a_prompt_that_cannot_be_written_fails_alone(
    via: Via, extra: dict[str, object], tmp_path: Path
) -> None:
    """Half of a pair of surrogates, or an object; neither is sent by any delivery."""
    bad = Prompt("a bicycle", extra=extra)
    async with FakeServer(latency=30.0, batch_latency=900.0, keys=[KEY]) as server:
        relay = dataclasses.replace(profile(server, "openai_images"), tasks=ARTICLE)
        async with Client(relay, KEY) as gen:
            journal = await inline_journal(tmp_path / JOURNAL)
            made = await gen.many(["a ferry", bad, "a tram"], size="1K", via=via, journal=journal)
            assert [outcome.ok for outcome in made] == [True, False, True]
            assert "cannot be written as JSON" in str(made.failures[0].error)
            assert (made.failures[0].billing, server.bank.images) == ("no", 2)
            await assert_settled(gen, server, made)


@virtual
async def test_a_reference_whose_name_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    odd = os.fsdecode(bytes(tmp_path) + b"/\xff.png")
    Path(odd).write_bytes(png(8, 8))
    prompts = [Prompt("a ferry"), Prompt("a bicycle", references=[odd])]
    server = FakeServer(batch_latency=900.0, keys=[KEY])
    async with server, Client(profile(server, "openai_images"), KEY) as gen:
        journal = await inline_journal(tmp_path / JOURNAL)
        made = await gen.many(prompts, size="1K", via="batch", journal=journal)
        assert [outcome.ok for outcome in made] == [True, False]
        assert (made.failures[0].billing, server.bank.images) == ("no", 1)
        await assert_settled(gen, server, made)
