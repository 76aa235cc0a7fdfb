"""`nbp doctor` before real sockets: a good key, a wrong one, nobody there, and strangers' TLS."""

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from nbp_async.fake import FakeServer
from tests.loopback.cli.vendor import Shell


async def findings(
    folder: Path, url: str, key: str, *words: str
) -> tuple[int, dict[str, dict[str, Any]]]:
    shell = Shell(folder, url)
    try:
        nbp = await shell.nbp("doctor", "--json", *words, key=key)
        code, out, err = await nbp.end()
    finally:
        await shell.aclose()
    assert err == ""
    if key:
        assert key not in "".join(out)
    return code, {row["name"]: row for row in map(json.loads, out)}


async def test_a_key_that_works_is_accepted_at_no_cost(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        code, found = await findings(tmp_path, server.openai_url, server.key)
        assert code == 0
        assert found["key accepted"]["state"] == "ok"
        assert found["clock"]["state"] == "ok"
        assert found["TLS"]["state"] == "ok"
        assert server.bank.billed == 0


async def test_a_key_that_is_refused_is_told_with_its_origin(tmp_path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        for url in (server.openai_url, server.gemini_url):
            code, found = await findings(tmp_path, url, "sk-wrong-0123456789")
            assert (code, found["key accepted"]["state"]) == (4, "bad")
            assert "…6789 from NBP_API_KEY" in found["key accepted"]["message"]


async def test_where_nobody_listens_the_rest_is_not_asked(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, found = await findings(tmp_path, f"https://127.0.0.1:{port}/v1", "sk-0123456789ab")
    assert code == 3
    assert found["TLS"]["state"] == "bad"
    assert "accepts no connection" in found["TLS"]["message"]
    assert found["key accepted"]["state"] == found["clock"]["state"] == "skipped"


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_is_judged_before_the_key_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    shown = []

    async def answer(request: web.Request) -> web.Response:
        shown.append(request.headers["Authorization"])
        return web.json_response({"data": []})

    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    app = web.Application()
    app.router.add_get("/v1/models", answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
        code, found = await asyncio.wait_for(findings(tmp_path, url, "sk-0123456789ab"), 60)
    finally:
        await runner.cleanup()
    assert found["TLS"]["state"] == ("ok" if trusted else "bad")
    assert code == (0 if trusted else 3)
    assert bool(shown) is trusted
    if not trusted:
        assert "SSL_CERT_FILE" in found["TLS"]["fix"]
