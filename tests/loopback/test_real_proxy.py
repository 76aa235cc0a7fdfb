"""What the guide says about networks, done by a proxy that others wrote."""

import asyncio
import base64
import json
import re
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from nbp_async import Client, Failure, Image, Profile, ProxyRefusedError, Retry
from nbp_async.cli.help_command import topics
from tests.loopback.cli.vendor import Shell
from tests.pictures import png
from tests.raw_server import RawServer, framed, keeping, serving
from tests.transports import TRANSPORTS

pytestmark = pytest.mark.skipif(
    shutil.which("tinyproxy") is None, reason="needs tinyproxy (apt-get install tinyproxy)"
)

KEY = "sk-test-0123456789abcdef"
USER, PASSWORD = "anna", "pa55word"
FLAGS = re.findall(r"^\| .*? \| `\w+=.*?` \| `(--[\w-]+)` \|", topics()["networks"], re.MULTILINE)
TABLE = re.findall(r"^\| .*? \| `(\w+=.*?)` \|", topics()["networks"], re.MULTILINE)
IMAGE = json.dumps({"data": [{"b64_json": base64.b64encode(png(1024, 1024)).decode()}]}).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def tinyproxy(folder: Path) -> AsyncIterator[str]:
    """Its address, once it listens."""
    port, settings = free_port(), folder / "tinyproxy.conf"
    settings.write_text(
        f"Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nTimeout 60\nMaxClients 20\n"
        f'BasicAuth {USER} {PASSWORD}\nLogFile "{folder / "log"}"\n'
    )
    process = await asyncio.create_subprocess_exec("tinyproxy", "-d", "-c", str(settings))
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, (folder / "log").read_text()
                await asyncio.sleep(0.01)
            else:
                writer.close()
                break
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def vendor(folder: Path, *, tls: bool) -> AsyncIterator[RawServer]:
    authority, context = trustme.CA(), None
    authority.cert_pem.write_to_path(str(folder / "office.pem"))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(keeping(framed(IMAGE)), context) as server:
        yield server


def options_of_the_guide(proxy: str, folder: Path) -> dict[str, Any]:
    """The keywords in the topic's table, with what is real here in their place."""
    words = ", ".join(TABLE).replace("http://proxy:3128", proxy)
    words = words.replace("office.pem", str(folder / "office.pem"))
    options: dict[str, Any] = eval(f"dict({words})")
    assert options.keys() == {"proxy", "trust_env", "ca", "certificates", "headers"}
    del options["certificates"]  # instead of a file
    return options


@pytest.mark.parametrize("tls", [False, True], ids=["forwarded", "tunnelled"])
@TRANSPORTS
async def test_an_image_comes_by_it_as_the_guide_says(
    tmp_path: Path, transport: Any, tls: bool
) -> None:
    async with tinyproxy(tmp_path) as address, vendor(tmp_path, tls=tls) as server:
        profile = Profile(name="vendor", base_url=server.url.removesuffix("/images"))
        options = options_of_the_guide(f"http://{USER}:{PASSWORD}@{address}", tmp_path)
        async with Client(profile, KEY, transport=transport, **options) as gen:
            batch = await gen.many(["a red bicycle", "a blue one"], size="1K")
    assert all(isinstance(outcome, Image) for outcome in batch), list(batch)
    assert len(server.requests) == 2
    assert all(b"X-Team: art" in request for request in server.requests)
    assert all(b"roxy-Authorization" not in request for request in server.requests)
    log = (tmp_path / "log").read_text()
    assert log.count("CONNECT 127.0.0.1" if tls else f"POST {server.url}") == 2


async def test_the_command_line_goes_by_it_as_the_guide_says(tmp_path: Path) -> None:
    """The options of the table, each with what is real here."""
    assert FLAGS == ["--proxy", "--trust-env", "--ca", "--certificates", "--header"]
    async with tinyproxy(tmp_path) as address, vendor(tmp_path, tls=True) as server:
        values = {
            "--proxy": [f"http://{USER}:{PASSWORD}@{address}"],
            "--ca": [str(tmp_path / "office.pem")],
            "--header": ["X-Team: art"],
        }
        flags = [flag for flag in FLAGS if flag != "--certificates"]  # instead of a file
        words = [word for flag in flags for word in (flag, *values.get(flag, []))]
        shell = Shell(tmp_path, server.url.removesuffix("/images"))
        nbp = await shell.nbp("gen", "a red bicycle", "--size", "1K", "-o", "a.png", *words)
        code, out, err = await nbp.end()
        await shell.aclose()
    assert (code, out) == (0, ["a.png"]), err
    assert (tmp_path / "a.png").is_file()
    assert [b"X-Team: art" in request for request in server.requests] == [True]
    assert PASSWORD not in err
    assert "CONNECT 127.0.0.1" in (tmp_path / "log").read_text()


@TRANSPORTS
@pytest.mark.parametrize("tls", [False, True], ids=["forwarded", "tunnelled"])
async def test_without_the_password_nothing_comes_to_the_vendor(
    tmp_path: Path, transport: Any, tls: bool
) -> None:
    async with tinyproxy(tmp_path) as address, vendor(tmp_path, tls=tls) as server:
        profile = Profile(name="vendor", base_url=server.url.removesuffix("/images"))
        options = options_of_the_guide(f"http://{address}", tmp_path)
        async with Client(profile, KEY, transport=transport, **options) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
    failure = batch[0]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ProxyRefusedError)
    assert (failure.error.status, failure.billing) == (407, "no")
    assert server.requests == []


@TRANSPORTS
async def test_a_vendor_that_it_does_not_reach_is_not_billed(
    tmp_path: Path, transport: Any
) -> None:
    async with tinyproxy(tmp_path) as address:
        profile = Profile(name="vendor", base_url=f"https://127.0.0.1:{free_port()}/v1")
        way = f"http://{USER}:{PASSWORD}@{address}"
        retry = Retry(connect_attempts=1)
        async with Client(profile, KEY, proxy=way, transport=transport, retry=retry) as gen:
            batch = await gen.many(["a red bicycle"], size="1K")
    failure = batch[0]
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ProxyRefusedError)
    assert (failure.error.status, failure.billing) == (500, "no")
