"""Each fault on the wire, and whether it is billed."""

import asyncio
import gzip
import json
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from nbp_async.fake import FakeServer
from nbp_async.fake import faults as f
from tests.loopback.fake.api_client import billed, one, vendor

pytestmark = pytest.mark.looptime(start=0)


async def exchange(server: FakeServer, *, body: bytes = b"", within: float = 1000) -> bytes:
    """Send a paid call over a plain socket; returns all bytes until the server closes it."""
    body = body or json.dumps({"model": "nano-banana-pro", "prompt": "a cat"}).encode()
    port = int(server.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Bearer {server.key}\r\nContent-Type: application/json\r\n\r\n"
    )
    reply = b""
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(within):
            while data := await reader.read(65536):
                reply += data
    except TimeoutError:
        reply += b"<silence>"
    finally:
        writer.close()
        await asyncio.sleep(0)
    return reply


@pytest.mark.parametrize("api", ["openai", "gemini"])
async def test_an_error_status_has_the_vendors_body_and_costs_nothing(api: str) -> None:
    async with vendor(latency=100) as call:
        reply = await one(call, f.status(500), api)
        assert reply.status == 500
        error = reply.json["error"]
        assert error["type" if api == "openai" else "status"] in ("server_error", "INTERNAL")
        assert asyncio.get_running_loop().time() < 1
        assert billed(call) == []


async def test_a_wait_is_in_a_header_or_in_retry_info() -> None:
    async with vendor(speed=30) as call:
        openai = await one(call, f.rate_limited(7))
        gemini = await one(call, f.rate_limited(7.5), "gemini")
        silent = await one(call, f.overloaded())
    assert (openai.status, openai.headers["retry-after"]) == (429, "7")
    assert gemini.json["error"]["details"][0]["retryDelay"] == "7.5s"
    assert "retry-after" not in gemini.headers
    assert silent.status == 503
    assert "retry-after" not in silent.headers


@pytest.mark.parametrize("words", ["abc", "-5", "1e3", "٣", ""])
async def test_a_retry_after_can_be_unreadable(words: str) -> None:
    async with vendor() as call:
        reply = await one(call, f.status(429, retry_after=words))
    assert reply.headers["retry-after"] == words


async def test_a_retry_after_can_be_a_date_with_the_servers_own_date() -> None:
    async with vendor(clock=lambda: 1_000_000_000.0) as call:
        reply = await one(call, f.status(503, retry_after="http-date:9"))
    until, now = (parsedate_to_datetime(reply.headers[n]) for n in ("retry-after", "date"))
    assert (until - now).total_seconds() == 9
    assert now.year == 2001


async def test_a_fault_can_set_body_and_headers() -> None:
    async with vendor() as call:
        moved = f.status(307, body={"code": 7}, headers={"Location": "http://127.0.0.1:9/"})
        call.server.script(moved)
        url = f"{call.server.openai_url}/images/generations"
        auth = {"Authorization": f"Bearer {call.server.key}"}
        body = {"model": "nano-banana-pro", "prompt": "a cat"}
        async with call.session.post(url, json=body, headers=auth, allow_redirects=False) as answer:
            assert (answer.status, await answer.json()) == (307, {"code": 7})
            assert answer.headers["Location"] == "http://127.0.0.1:9/"


async def test_an_error_after_the_work_is_billed() -> None:
    async with vendor(latency=100) as call:
        reply = await one(call, f.status(504, billed=True))
        assert reply.status == 504
        assert asyncio.get_running_loop().time() == pytest.approx(100, abs=0.1)
        assert billed(call) == [False]


async def test_an_early_error_comes_while_the_body_is_still_uploading() -> None:
    async with vendor() as call:
        call.server.script(f.status(429, early=True))
        port = int(call.server.base_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n{"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 429")
        writer.close()
        await asyncio.sleep(0)
        assert billed(call) == []


@pytest.mark.parametrize("before", [True, False])
async def test_a_disconnect_before_the_work_is_free_and_after_it_is_billed(before: bool) -> None:
    async with vendor(latency=100) as call:
        call.server.script(f.disconnect(before=before))
        assert await exchange(call.server) == b""
        assert billed(call) == ([] if before else [False])
        assert call.server.stats().by_status == {0: 1}


@pytest.mark.parametrize("before", [True, False])
async def test_a_reset_is_a_reset(before: bool) -> None:
    async with vendor(latency=100) as call:
        call.server.script(f.reset(before=before))
        with pytest.raises(ConnectionResetError):
            await exchange(call.server)
        assert billed(call) == ([] if before else [False])


async def test_a_hang_never_answers_and_the_ledger_still_becomes_final() -> None:
    async with vendor(latency=100) as call:
        call.server.script(f.hang())
        waiting = asyncio.create_task(exchange(call.server))
        await asyncio.sleep(200)
        await call.server.drain()
        assert billed(call) == [False]
        assert call.server.stats().in_flight == 1
        assert await waiting == b"<silence>"
        await asyncio.sleep(1)
        assert call.server.stats().in_flight == 0


async def test_an_unread_request_stops_the_upload() -> None:
    async with vendor() as call:
        call.server.script(f.hang(unread=True))
        port = int(call.server.base_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"
        )
        writer.write(head)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                for _ in range(500):
                    writer.write(bytes(100_000))
                    await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(0)
        assert billed(call) == []


async def test_raw_bytes_arrive_unchanged() -> None:
    async with vendor() as call:
        call.server.script(f.raw(b"HTTP/9.9 abc\r\n"), f.raw(b"x", keep_open=True))
        assert await exchange(call.server) == b"HTTP/9.9 abc\r\n"
        assert await exchange(call.server) == b"x<silence>"
        assert billed(call) == [False, False]


async def test_a_slow_body_takes_its_time() -> None:
    async with vendor() as call:
        reply = await one(call, f.slow_body(bytes_per_second=100, chunk=50))
        seconds = asyncio.get_running_loop().time()
        assert seconds == pytest.approx(len(reply.body) / 100, rel=0.05)
        assert billed(call) == [True]


async def test_a_body_is_cut_short_of_its_length() -> None:
    async with vendor() as call:
        call.server.script(f.cut_body(0.5))
        head, _, body = (await exchange(call.server)).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert len(body) == length // 2
        assert billed(call) == [False]


async def test_a_body_is_cut_between_chunks() -> None:
    async with vendor() as call:
        call.server.script(f.cut_body(0.5, "chunked"))
        reply = await exchange(call.server)
    assert b"Transfer-Encoding: chunked" in reply
    assert not reply.endswith(b"0\r\n\r\n")


async def test_a_body_without_a_length_is_cut_in_the_middle() -> None:
    async with vendor() as call:
        call.server.script(f.cut_body(0.5, "close"))
        head, _, body = (await exchange(call.server)).partition(b"\r\n\r\n")
    assert b"ontent-Length" not in head
    assert b"chunked" not in head
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


async def test_the_last_chunk_never_comes_after_a_whole_body() -> None:
    async with vendor() as call:
        call.server.script(f.no_terminator())
        reply = await exchange(call.server)
        size, _, rest = reply.partition(b"\r\n\r\n")[2].partition(b"\r\n")
        body = rest[: int(size, 16)]
        assert json.loads(body)["data"]
        assert rest[len(body) :] == b"\r\n<silence>"
        await call.server.drain()
        assert billed(call) == [True]


async def test_a_body_comes_compressed_without_being_asked() -> None:
    async with vendor() as call:
        whole = await one(call, f.gzipped())
        half = await one(call, f.gzipped(0.5))
        assert whole.headers["content-encoding"] == "gzip"
        assert json.loads(gzip.decompress(whole.body))["data"]
        assert int(half.headers["content-length"]) == len(half.body)
        with pytest.raises(EOFError):
            gzip.decompress(half.body)
        assert billed(call) == [True, False]


async def test_scripted_faults_come_in_order_and_by_prompt() -> None:
    async with vendor() as call:
        call.server.script(f.rate_limited(), f.ok(), f.overloaded())
        call.server.script(f.status(502), match="dog")
        prompts = ["a cat", "a dog", "a dog", "a cat", "a dog"]
        statuses = [(await call.images(prompt)).status for prompt in prompts]
        assert statuses == [429, 502, 200, 503, 200]
        assert call.server.unplayed == 0


async def test_a_wrong_key_takes_no_fault() -> None:
    async with vendor() as call:
        call.server.script(f.overloaded())
        assert (await call.images("a cat", key="sk-wrong")).status == 401
        assert call.server.unplayed == 1


async def test_random_faults_hit_the_same_jobs_in_any_order() -> None:
    prompts = [f"cat {n}" for n in range(60)]

    async def struck(order: list[str]) -> set[str]:
        async with vendor(faults={f.rate_limited(2): 0.2, f.disconnect(): 0.1}, seed=5) as call:

            async def ask(prompt: str) -> bool:
                try:
                    return (await call.images(prompt)).status != 200
                except aiohttp.ServerDisconnectedError:
                    return True

            outcomes = await asyncio.gather(*map(ask, order))
        return {prompt for prompt, hit in zip(order, outcomes, strict=True) if hit}

    first = await struck(prompts)
    assert await struck(prompts[::-1]) == first
    assert 8 <= len(first) <= 30
