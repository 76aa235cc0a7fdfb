"""Who may ask a gateway: tokens, guesses, links, and what the outside sees."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from nbp_async import Client, ConfigError, Profile
from nbp_async.fake import FakeServer
from nbp_async.gateway import GatewaySettings, gateway_app, open_users
from tests.loopback.gateway.site import Site, site


async def test_a_revoked_token_and_a_replaced_one_are_worth_nothing(
    gateway: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbp_async.gateway.users._FRESH", 0.0)
    anna = await gateway.user("anna")
    assert (await anna.account())["name"] == "anna"
    old = anna.token

    def change() -> str:
        with open_users(gateway.settings) as users:
            return users.new_token("anna")

    anna.token = await asyncio.to_thread(change)
    assert (await anna.account())["name"] == "anna"
    new, anna.token = anna.token, old
    assert (await anna.ask("GET", "/v1/account"))[0] == 401

    def revoke() -> None:
        with open_users(gateway.settings) as users:
            users.revoke("anna")

    await asyncio.to_thread(revoke)
    anna.token = new
    assert (await anna.ask("GET", "/v1/account"))[0] == 401


async def test_who_guesses_tokens_has_to_wait(gateway: Site) -> None:
    url, statuses = f"{gateway.url}/v1/account", []
    for n in range(13):
        headers = {"Authorization": f"Bearer nbpu_{n}"}
        async with gateway.session.get(url, headers=headers) as response:
            statuses.append(response.status)
    assert statuses[:10] == [401] * 10
    assert 429 in statuses[10:]


def test_tokens_are_kept_as_hashes_and_names_are_checked(tmp_path: Path) -> None:
    settings = GatewaySettings(folder=tmp_path)
    with open_users(settings) as users:
        token = users.add("anna")
        with pytest.raises(ConfigError, match="is a user anna already"):
            users.add("anna")
        with pytest.raises(ConfigError, match="is up to 64"):
            users.add("Anna Karenina")
        with pytest.raises(ConfigError, match="no user bob"):
            users.revoke("bob")
        with pytest.raises(ConfigError, match="amount of US dollars"):
            users.set_budget("anna", "lots")
        users.revoke("anna")
        assert users.names() == [("anna", "user", True)]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.encode() not in kept


async def test_a_link_that_is_not_ours_or_has_ended_opens_nothing(
    gateway: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await gateway.user("anna")
    done = await anna.ended((await anna.submit())["id"])
    url = done["result"]["data"][0]["url"]
    async with gateway.session.get(url) as response:
        assert response.status == 200
        etag = response.headers["ETag"]
    async with gateway.session.get(url, headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    async with gateway.session.get(url, headers={"Range": "bytes=0-7"}) as response:
        assert (response.status, await response.read()) == (206, b"\x89PNG\r\n\x1a\n")
    start, _, rest = url.partition("/images/")
    ends, mark, name = rest.split("/")
    for forged in (
        f"{ends}/{'0' * len(mark)}/{name}",
        f"{int(ends) + 86400}/{mark}/{name}",
        f"{ends}/{mark}/{name.replace('-0', '-1')}",
        f"{ends}/{mark}/..%2f..%2fgateway.sqlite3",
    ):
        async with gateway.session.get(f"{start}/images/{forged}") as response:
            assert response.status in (401, 404), forged
    monkeypatch.setattr("nbp_async.gateway.image_links.time.time", lambda: int(ends) + 1.0)
    async with gateway.session.get(url) as response:
        assert response.status == 410


async def test_what_is_open_tells_nothing(gateway: Site) -> None:
    anna = await gateway.user("anna")
    await anna.ended((await anna.submit("anna's secret"))["id"])
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/metrics"):
        async with gateway.session.get(gateway.url + path) as response:
            assert response.status == 200, path
            text = await response.text()
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        for secret in ("secret", gateway.vendor.key, anna.token):
            assert secret not in text
    async with gateway.session.get(gateway.url + "/metrics") as response:
        assert 'nbp_tasks{state="stored"} 1' in await response.text()


async def test_mounted_in_a_service_it_asks_for_tokens_wherever_it_is(
    tmp_path: Path, vendor: FakeServer
) -> None:
    """Under the very name of a route that wants none."""
    service = web.Application()
    given = GatewaySettings(folder=tmp_path, public_url="http://it/images")
    profile = Profile(name="vendor", base_url=vendor.openai_url, response_format=None)
    service.add_subapp("/images/", gateway_app(lambda: Client(profile, vendor.key), given))
    runner = web.AppRunner(service)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/images"
        async with aiohttp.ClientSession() as session:
            for path, status in (("/healthz", 200), ("/v1/tasks", 401), ("/v1/operator", 401)):
                async with session.get(url + path) as response:
                    assert response.status == status, path
    finally:
        await runner.cleanup()


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path, vendor: FakeServer) -> None:
    async with site(tmp_path / "g", vendor, max_body=2000) as gateway:
        anna = await gateway.user("anna")
        status, answer, _ = await anna.ask("POST", "/generate", {"prompt": "x" * 3000})
        assert status == 413
        assert "too large" in answer["error"]["message"]


async def test_two_gateways_do_not_share_a_folder(gateway: Site, vendor: FakeServer) -> None:
    from nbp_async import RunBusyError

    with pytest.raises(RunBusyError):
        async with site(Path(gateway.settings.folder), vendor):
            pass


def test_settings_are_read_from_a_file_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('port = 9000\nmax_cost = 12.5\npublic_url = "https://images.example"\n')
    settings = GatewaySettings.read(path, port=9001)
    assert (settings.port, settings.max_cost) == (9001, "12.5")
    for text, says in (
        ("prot = 1", "no setting 'prot'"),
        ("port = 'x'", "port is int"),
        ("port = 70000", "from 0 to 65535"),
        ("link_days = 0", "above 0"),
        ("padding = 0.5", "from 1 to 60"),
        ("port =", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=says):
            GatewaySettings.read(path)
