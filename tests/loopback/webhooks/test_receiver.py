"""What a receiver answers: 2xx once it is kept, 4xx or 503 where that is the truth, never 500."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from nbp_async._base.errors import ConfigError
from nbp_async._webhooks import receiver as receivers
from nbp_async._webhooks.hook_server import HEAD_TIMEOUT, MAX_CONNECTIONS, HookServer
from nbp_async._webhooks.jwks import PublicKeys
from nbp_async._webhooks.receiver import Receiver
from nbp_async._webhooks.webhook import Webhook
from nbp_async._webhooks.webhook_message import WebhookEvent
from nbp_async.fake.signing import OutgoingWebhook, SigningKeys
from nbp_async.fake.task_faults import Forgery
from tests.loopback.webhooks.sender import SECRET, Line, receiving, signed, told


async def test_what_is_the_senders_is_told_and_answered() -> None:
    async with receiving() as (receiver, events, line):
        assert await line.post(*await signed()) == 200
        assert [(event.id, event.task, event.body) for event in events] == [
            ("msg-1", "task-7", told())
        ]
        assert receiver.counts.accepted == 1


@pytest.mark.parametrize("inbox", [False, True])
async def test_a_hundred_copies_at_once_have_one_effect_and_are_all_taken(
    inbox: bool, tmp_path: Path
) -> None:
    async with receiving(inbox=tmp_path / "in.sqlite3" if inbox else None) as (
        receiver,
        told_of,
        line,
    ):
        outgoing = await signed()
        statuses = await asyncio.gather(*(line.post(*outgoing) for _ in range(100)))
        assert statuses == [200] * 100
        assert len(told_of) == 1
        assert (receiver.counts.accepted, receiver.counts.duplicates) == (1, 99)


@pytest.mark.parametrize("forged", ["key", "body", "id", "old", "garbage", "unsigned"])
async def test_a_forged_one_is_refused_and_has_no_effect(forged: Forgery) -> None:
    async with receiving() as (receiver, events, line):
        assert await line.post(*await signed(forged=forged)) == 401
        assert events == []
        assert receiver.counts.rejected == 1


@pytest.mark.parametrize("at", [-301, 600])
async def test_one_that_is_replayed_later_or_comes_from_the_future_is_refused(at: float) -> None:
    async with receiving() as (_, events, line):
        assert await line.post(*await signed(at=time.time() + at)) == 401
        assert events == []


async def test_one_that_is_replayed_at_once_has_no_effect() -> None:
    async with receiving() as (_, events, line):
        outgoing = await signed()
        assert [await line.post(*outgoing), await line.post(*outgoing)] == [200, 200]
        assert len(events) == 1


async def test_one_that_comes_again_days_later_with_a_fresh_signature_is_known() -> None:
    now = time.time()
    events: list[Any] = []
    receiver = Receiver(Webhook(secret=SECRET), events.append, now=lambda: now)
    server = HookServer(receiver)
    await server.open()
    line = Line(receiver.url)
    for hours in (0, 3, 75.6, 100):
        now += hours * 3600
        assert await line.post(*await signed(at=now)) == 200
    await server.aclose()
    assert len(events) == 1


@pytest.mark.parametrize(
    "value",
    [
        b"v1",
        b"v1,",
        b"v1,a,b",
        b"v1  v1",
        b"v1,\xe9\xff",
        b"\xc3\xa9",
        b",",
        b"v1," + b"A" * 7000,
        b" ".join([b"v1,AA"] * 500),
        b"v1,\x80abc",
    ],
)
async def test_an_odd_signature_is_refused(value: bytes) -> None:
    async with receiving() as (_, events, line):
        body, headers = await signed()
        del headers["webhook-signature"]
        status = await line.post(body, headers, b"webhook-signature: " + value)
        assert status == 401
        assert events == []


@pytest.mark.parametrize(
    "more",
    [
        b"no colon",
        b"webhook-id : x",
        b"x: a\x00b",
        b"a" * 9000 + b": b",
        b"x: " + b"b" * 9000,
        b"Content-Length: 7",
        b"Transfer-Encoding: chunked",
        b"webhook-id: msg-2",
    ],
)
async def test_a_head_that_is_no_http_or_says_two_things_is_turned_away(more: bytes) -> None:
    async with receiving() as (_, events, line):
        body, headers = await signed()
        assert await line.post(body, headers, more) in (0, 400, 401)
        assert events == []
        assert await line.post(*await signed()) == 200, "and others are taken as before"


async def test_what_is_signed_and_no_json_is_a_bad_request() -> None:
    async with receiving() as (_, events, line):
        assert await line.post(*await signed(body=b"\xff\xfe<html>")) == 400
        assert events == []


async def test_what_is_forged_is_not_even_read() -> None:
    async with receiving() as (_, _, line):
        assert await line.post(*await signed(body=b"\xff\xfe<html>", forged="key")) == 401


async def test_a_sender_that_hangs_up_in_the_middle_is_no_trouble(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with receiving() as (receiver, events, line):
        for part in (b"POST", b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"):
            part = part.replace(b"/x", line._parts.path.encode())
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
        await asyncio.sleep(0.05)
        assert await line.post(*await signed()) == 200
        assert len(events) == 1
    assert not caplog.records


async def test_a_slow_hand_does_not_keep_the_sender_waiting(tmp_path: Path) -> None:
    slow, taken = asyncio.Event(), []

    async def tell(event: WebhookEvent) -> None:
        await slow.wait()
        taken.append(event.id)

    settings: dict[str, Any] = {"inbox": tmp_path / "in.sqlite3"}
    async with receiving(tell=tell, **settings) as (_, _, line):
        assert await line.post(*await signed()) == 200
        assert taken == []
        slow.set()
    assert taken == ["msg-1"], "its end waits for it"
    async with receiving(**settings) as (_, events, _):
        assert events == [], "it was handed on"


async def test_a_large_one_is_taken_where_that_is_wanted() -> None:
    async with receiving(max_body=20_000_000) as (_, events, line):
        body = told(result={"data": [{"b64_json": "A" * 8_000_000}]})
        assert await line.post(*await signed(body=body)) == 200
        assert len(events[0].body) == len(body)


async def test_one_that_names_no_task_is_taken() -> None:
    async with receiving() as (_, events, line):
        assert await line.post(*await signed(body=b'{"type":"ping"}')) == 200
        assert [event.task for event in events] == [""]


async def test_only_its_path_and_only_posts_are_answered() -> None:
    async with receiving() as (receiver, events, line), aiohttp.ClientSession() as session:
        body, headers = await signed()
        base = receiver.url.rpartition("/")[0]
        for path in ("x", "", "x/y", "%ff%fe", "../x"):
            async with session.post(f"{base}/{path}", data=body, headers=headers) as answer:
                assert answer.status == 404
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS"):
            async with session.request(method, receiver.url) as answer:
                assert answer.status == 405
        async with session.get(f"{base}/health") as answer:
            assert answer.status == 200
        assert events == []
        assert await line.raw(b"GARBAGE\r\n\r\n") != b""


async def test_one_that_is_too_large_is_turned_away_whether_it_says_so_or_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "nbp_async")
    async with receiving(max_body=2000) as (receiver, events, line), aiohttp.ClientSession() as s:
        body, headers = await signed(body=told(note="x" * 3000))
        assert await line.post(body, headers) == 413

        async def pieces() -> Any:
            for start in range(0, len(body), 500):
                yield body[start : start + 500]

        async with s.post(receiver.url, data=pieces(), headers=headers) as answer:
            assert answer.status == 413
        assert events == []
    assert 'more than 2000 bytes: ask for links instead of base64 (response_format="url"), or ' in (
        caplog.text
    )


async def test_one_that_is_compressed_is_turned_away_unread() -> None:
    async with receiving() as (_, events, line):
        body, headers = await signed()
        assert await line.post(body, headers, b"Content-Encoding: gzip") == 415
        assert events == []


@pytest.mark.looptime
async def test_a_head_or_a_body_that_never_ends_is_given_up() -> None:
    async with receiving() as (_, events, line):
        clock = asyncio.get_running_loop().time
        began = clock()
        assert await line.raw(b"POST /x HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
        assert clock() - began == pytest.approx(HEAD_TIMEOUT, abs=0.5)
        body, headers = await signed()
        began = clock()
        assert await line.post(body, headers, b"X: y") == 200
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path = line._parts.path
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n{lines}\r\n"
        answer = await line.raw(head.encode() + body)
        assert answer.startswith(b"HTTP/1.1 408")
        assert clock() - began == pytest.approx(receivers.BODY_TIMEOUT, abs=0.5)
        assert len(events) == 1


async def test_more_connections_than_it_takes_are_closed_as_they_come() -> None:
    async with receiving() as (receiver, _, line):
        held = [
            await asyncio.open_connection("127.0.0.1", receiver.port)
            for _ in range(MAX_CONNECTIONS + 20)
        ]
        await asyncio.sleep(0.1)
        assert sum(reader.at_eof() or reader.exception() is not None for reader, _ in held) == 20
        assert await line.post(*await signed()) == 0
        for _, writer in held:
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert await line.post(*await signed()) == 200, "and when they are gone there is room"


async def test_a_hand_that_fails_is_logged_and_the_sender_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no room on the desk")

    async with receiving(tell=fail) as (_, _, line):
        with caplog.at_level(logging.ERROR, "nbp_async.webhooks"):
            assert await line.post(*await signed()) == 200
    assert "no room on the desk" in caplog.text


async def test_it_is_part_of_a_service_of_ones_own(tmp_path: Path) -> None:
    events: list[Any] = []
    webhook = Webhook(secret=SECRET, inbox=tmp_path / "in.sqlite3", path="from-the-vendor")
    service = web.Application()
    service.add_subapp("/hooks/", Receiver(webhook, events.append).app())
    runner = web.AppRunner(service, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    line = Line(f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/from-the-vendor")
    assert await line.post(*await signed()) == 200
    assert await line.post(*await signed(forged="key")) == 401
    await runner.cleanup()
    assert len(events) == 1


@pytest.mark.parametrize("scheme", ["fal", "google"])
async def test_public_keys_are_fetched_once_and_again_when_they_change(scheme: Any) -> None:
    old, new, reads = SigningKeys("old"), SigningKeys("new"), []
    vendor = old

    async def read(url: str) -> bytes:
        import msgspec

        reads.append(url)
        return msgspec.json.encode(await vendor.jwks(scheme))

    events: list[Any] = []
    keys = PublicKeys("https://keys.example", read)
    receiver = Receiver(Webhook(scheme=scheme), events.append, public_keys=keys)
    server = HookServer(receiver)
    await server.open()

    async def send(by: SigningKeys, message: str) -> int:
        outgoing = OutgoingWebhook(message, message, receiver.url, told(message))
        return await Line(receiver.url).post(*await by.send_as(outgoing, scheme, time.time()))

    assert [await send(old, "a"), await send(old, "b")] == [200, 200]
    assert len(reads) == 1
    assert await send(new, "c") == 401, "asked for just now, and not again for every stranger"
    keys._tried_at -= 61
    vendor = new
    assert await send(new, "d") == 200
    assert len(reads) == 2
    await server.aclose()
    assert [event.task for event in events] == ["a", "b", "d"]


async def test_while_public_keys_cannot_be_had_the_sender_is_to_come_again() -> None:
    async def read(url: str) -> bytes:
        raise OSError("no route")

    receiver = Receiver(Webhook(scheme="fal"), print, public_keys=PublicKeys("https://k", read))
    server = HookServer(receiver)
    await server.open()
    body, headers = await SigningKeys(0).send_as(
        OutgoingWebhook("m", "t", "", told()), "fal", time.time()
    )
    assert await Line(receiver.url).post(body, headers) == 503
    await server.aclose()


async def test_a_port_in_use_is_said_so() -> None:
    async with receiving() as (receiver, _, _):
        taken = Receiver(Webhook(secret=SECRET, port=receiver.port), print)
        with pytest.raises(ConfigError, match=str(receiver.port)):
            await HookServer(taken).open()
