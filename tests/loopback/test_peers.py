"""Peers that vanish, restart, are cut off amid an upload, or never come to an end."""

import asyncio
import gzip
import os
import socket
import zlib
from collections.abc import Callable
from decimal import Decimal

import pytest

from nbp_async._base.errors import BodyTooLargeError, DisconnectedError
from nbp_async._client.client import Client
from nbp_async._models.outcomes import Failure, Image
from nbp_async._models.settings import Limits
from nbp_async._vendors.profiles import Profile
from nbp_async.fake import FakeServer, faults
from tests.loopback.oracle import assert_settled
from tests.loopback.play import KEY, now, play, profile
from tests.own_sockets import own_socket
from tests.proxy import between
from tests.raw_server import OK, Peer, framed, serving

virtual = pytest.mark.looptime


@virtual
async def test_a_server_that_restarts_takes_what_was_out_with_it_and_serves_the_rest() -> None:
    first = FakeServer(latency=60.0, keys=[KEY])
    await first.start()
    vendor = profile(first, "openai_images")
    second = FakeServer(latency=60.0, keys=[KEY], port=int(first.base_url.rpartition(":")[2]))
    limits = Limits(max_in_flight=50)
    async with Client(vendor, KEY, limits=limits, rng=lambda: 0.5) as gen:
        plan = asyncio.ensure_future(gen.many([f"prompt {n}" for n in range(170)], size="4K"))
        await asyncio.sleep(90)  # the second fifty are out
        await first.aclose()
        await asyncio.sleep(2)
        async with second:
            batch = await plan
            await assert_settled(gen, second, [*batch.failures, *batch.images[50:]])
    assert (len(batch.images), len(batch.failures)) == (120, 50)
    assert all(type(f.error) is DisconnectedError and f.billing == "maybe" for f in batch.failures)
    assert len(batch.billing.unclear) == 50
    assert first.bank.billed + second.bank.billed == 120 * Decimal("0.24")
    assert first.stats().requests == 100
    assert second.stats().requests == 70


@virtual
async def test_an_upload_that_is_cut_may_have_been_billed_and_is_not_sent_again() -> None:
    reference = b"\x89PNG\r\n\x1a\n" + bytes(6_000_000)
    prompt = {"text": "a red bicycle", "references": [reference], "aspect_ratio": "1:1"}
    async with FakeServer(latency=30.0, keys=[KEY]) as server:
        async with between(server.base_url, cut_up=2_000_000) as middle:
            vendor = Profile(name="vendor", base_url=f"{middle.url}/v1", model="nano-banana-pro")
            async with Client(vendor, KEY) as gen:
                batch = await gen.many([prompt], size="1K")
                await asyncio.sleep(60)
                await assert_settled(gen, server, batch)
            assert len(middle.up) == 1
        assert not server.bank.billed
    (outcome,) = batch
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is DisconnectedError
    assert (outcome.billing, len(outcome.attempts)) == ("maybe", 1)
    assert outcome.maybe_spent > 0


@virtual
@pytest.mark.parametrize("piece", [1, 7, 1460])
async def test_an_answer_in_pieces_of_any_size_is_the_same_image(piece: int) -> None:
    async with FakeServer(latency=30.0, keys=[KEY]) as server:
        async with between(server.base_url, piece=piece) as middle:
            vendor = Profile(name="vendor", base_url=f"{middle.url}/v1", model="nano-banana-pro")
            async with Client(vendor, KEY) as gen:
                batch = await gen.many(["a red bicycle"], size="1K")
                await assert_settled(gen, server, batch)
        async with Client(profile(server, "openai_images"), KEY) as gen:
            whole = await gen.many(["a red bicycle"], size="1K")
            await assert_settled(gen, server, [*batch, *whole])
    (in_pieces,), (at_once,) = batch, whole
    assert isinstance(in_pieces, Image)
    assert isinstance(at_once, Image)
    assert in_pieces.read() == at_once.read()


@virtual
async def test_an_answer_that_tells_of_ten_gigabytes_is_dropped_with_its_head() -> None:
    head = OK + b"Content-Type: application/json\r\nContent-Length: 10000000000\r\n\r\n{"
    outcome, _ = await play(faults.raw(head, keep_open=True))
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is BodyTooLargeError
    assert outcome.billing == "yes"
    assert now() == pytest.approx(60, abs=1)


@virtual
async def test_an_answer_without_end_is_dropped_at_the_cap() -> None:
    piece = b"%x\r\n%b\r\n" % (65536, b" " * 65536)
    said = 0

    async def handler(peer: Peer) -> None:
        nonlocal said
        await peer.request()
        await peer.say(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            await peer.say(piece)
            said += len(piece)

    limits = Limits(max_body=1_000_000)
    async with serving(handler) as server:
        url = server.url.removesuffix("/images")
        async with Client(url, KEY, model="nano-banana-pro", limits=limits) as gen:
            (outcome,) = await gen.many(["a red bicycle"], size="1K")
            assert gen.in_flight == 0
        await asyncio.sleep(0.1)
        assert server.gone.is_set()
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is BodyTooLargeError
    assert said < 8_000_000


@virtual
@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_packed_bomb_is_not_unpacked(coding: str, pack: Callable[[bytes], bytes]) -> None:
    """100 kB would become 100 MB."""
    answer = framed(pack(bytes(100_000_000)), headers=b"Content-Encoding: %b\r\n" % coding.encode())
    outcome, _ = await play(faults.raw(answer))
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is BodyTooLargeError
    assert coding in str(outcome.error)
    assert outcome.billing == "yes"


def vanish(sock: socket.socket) -> None:
    """Let this side of a connection be gone without a word, as when its machine loses power."""
    tcp_repair = 19
    sock.setsockopt(socket.IPPROTO_TCP, tcp_repair, 1)
    os.close(sock.detach())


async def test_a_peer_that_vanished_is_noticed_by_the_probes_not_at_the_read_time_out() -> None:
    """In real time, with the kernel's probes set to a second instead of half a minute."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with listener:
        async with Client(url, KEY, model="nano-banana-pro") as gen:
            plan = asyncio.ensure_future(gen.many(["a red bicycle"], size="1K"))
            peer, _ = await loop.sock_accept(listener)
            await loop.sock_recv(peer, 65536)
            with own_socket(peer.getpeername()[1]) as ours:
                assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
                    ours.setsockopt(socket.IPPROTO_TCP, option, 1)
            try:
                vanish(peer)
            except PermissionError:
                peer.close()
                await plan
                pytest.skip("TCP_REPAIR needs root")
            (outcome,) = await asyncio.wait_for(plan, 60)
            assert gen.in_flight == 0
    assert isinstance(outcome, Failure)
    assert type(outcome.error) is DisconnectedError
    assert (outcome.billing, len(outcome.attempts)) == ("maybe", 1)
