"""Public keys are fetched from one address, kept for a day, and asked for sparingly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from nbp_async._base.errors import ConfigError
from nbp_async._vendors.services import services
from nbp_async._webhooks.jwks import MAX_AGE, KeysUnavailableError, PublicKeys, fetch_jwks
from nbp_async._webhooks.schemes import SCHEMES
from nbp_async._webhooks.verification_keys import parse_jwks
from nbp_async.fake.signing import SigningKeys

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sender:
    """Publishes keys, or fails to."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False
        self.keys = SigningKeys("first")

    async def read(self, _: str) -> bytes:
        self.reads += 1
        await asyncio.sleep(1)
        if self.fails:
            raise OSError("no route")
        return msgspec.json.encode(await self.keys.jwks("fal"))


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.mark.looptime
async def test_they_are_fetched_once_a_day_however_many_ask(sender: Sender) -> None:
    keys = PublicKeys("https://keys.example", sender.read)
    for reads in (1, 2, 3):
        await asyncio.gather(*(keys.current() for _ in range(50)))
        await asyncio.sleep(MAX_AGE - 100)
        await keys.current()
        assert sender.reads == reads
        await asyncio.sleep(101)


@pytest.mark.looptime
async def test_old_ones_are_not_used_when_there_are_no_newer(sender: Sender) -> None:
    keys = PublicKeys("https://keys.example", sender.read)
    await keys.current()
    sender.fails = True
    await asyncio.sleep(MAX_AGE)
    with pytest.raises(KeysUnavailableError):
        await keys.current()
    with pytest.raises(KeysUnavailableError, match="just now"):
        await keys.current()
    assert sender.reads == 2
    sender.fails = False
    await asyncio.sleep(61)
    assert await keys.current()


@pytest.mark.looptime
async def test_strangers_cannot_have_them_fetched_without_end(sender: Sender) -> None:
    keys = PublicKeys("https://keys.example", sender.read)
    await keys.current()
    for _ in range(600):
        await keys.newer()
        await asyncio.sleep(1)
    assert sender.reads <= 11
    assert await keys.current(), "and what is known stays"


@pytest.mark.looptime
async def test_a_sender_that_hangs_is_given_up(sender: Sender) -> None:
    async def hang(_: str) -> bytes:
        await asyncio.sleep(10_000)
        return b""

    began = asyncio.get_running_loop().time()
    with pytest.raises(KeysUnavailableError):
        await PublicKeys("https://keys.example", hang).current()
    assert asyncio.get_running_loop().time() - began < 30


@asynccontextmanager
async def publishing(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/keys", handler)
    app.router.add_get("/elsewhere", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
    finally:
        await runner.cleanup()


async def test_a_document_comes_as_it_is() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(await SigningKeys(0).jwks("google"))

    async with publishing(answer) as url:
        assert len(parse_jwks(await fetch_jwks(url))) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
async def test_neither_redirects_nor_failures_are_followed(status: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.path == "/keys"
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with publishing(answer) as url:
        with pytest.raises(ValueError, match=str(status)):
            await fetch_jwks(url)


async def test_a_document_without_end_is_not_read() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 5_000_000)

    async with publishing(answer) as url:
        with pytest.raises(ValueError, match="too large"):
            await fetch_jwks(url)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
        b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}',
        b'{"keys":[{"kty":"oct","k":"AAAA"}]}',
        b'{"keys":[7,null,{"kty":"RSA"}]}',
        b"\xff",
        b"[" * 60_000,
    ],
)
def test_a_document_without_a_key_of_strength_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        parse_jwks(document)


def test_the_address_is_https() -> None:
    with pytest.raises(ConfigError):
        PublicKeys("http://keys.example")
    assert all(s.jwks_url.startswith("https://") for s in SCHEMES.values() if s.jwks_url)


def test_every_service_signs_in_a_way_that_is_known() -> None:
    signs = {name: service.tasks.signs for name, service in services().items()}
    assert {sign for sign in signs.values() if sign} <= SCHEMES.keys()
    assert signs["kie"] == "kie"
    assert signs["fal"] == "fal"
