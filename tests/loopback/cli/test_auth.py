"""`nbp auth set` asks the vendor, at no cost, before it keeps a key."""

import asyncio
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async.cli.app import app
from nbp_async.fake import FakeServer
from tests.forward_proxy import ForwardProxy, forward_proxy


async def set_key(url: str, key: str, path: Path, *words: str) -> Result:
    """`nbp auth set` in a thread: the server answers from this loop meanwhile."""
    env = {"NBP_KEY_FILE": str(path), "NBP_API_KEY": None, "NBP_BASE_URL": url}
    ask = ["auth", "set", *words]
    return await asyncio.to_thread(CliRunner().invoke, app, ask, input=f"{key}\n", env=env)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


async def test_a_key_that_the_vendor_takes_is_kept_and_costs_nothing(path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        done = await set_key(server.openai_url, server.key, path)
        assert done.exit_code == 0
        assert "accepted by 127.0.0.1" in done.stderr
        assert server.bank.billed == 0
    assert server.key in path.read_text()
    assert server.key not in done.output


async def test_a_key_that_the_vendor_refuses_is_not_kept(path: Path) -> None:
    async with FakeServer(latency=0.0) as server:
        done = await set_key(server.gemini_url, "AIza-wrong-0123456789", path)
        assert done.exit_code == 4
        assert "refused …6789" in done.stderr
        assert "Nothing was stored" in done.stderr
        assert not path.exists()
        done = await set_key(server.gemini_url, "AIza-wrong-0123456789", path, "--no-check")
        assert done.exit_code == 0
    assert path.exists()
    assert "AIza-wrong" not in done.output


async def test_the_vendor_is_asked_by_the_proxy_and_with_the_headers_of_the_options(
    path: Path,
) -> None:
    async with FakeServer(latency=0.0) as server:
        port = int(server.base_url.rpartition(":")[2])
        url = f"http://images.invalid:{port}/v1"
        async with forward_proxy(ForwardProxy(leads_to=port, user="anna:pa55word")) as proxy:
            ways = ["--proxy", proxy.with_user("anna:pa55word"), "--header", "X-Team: art"]
            done = await set_key(url, server.key, path, *ways)
    assert done.exit_code == 0
    assert "accepted by images.invalid" in done.stderr
    assert "X-Team: art" in proxy.heads[0]
    assert server.key in path.read_text()
    assert "pa55word" not in done.output + path.read_text()


@pytest.mark.parametrize("words", [("--proxy", "socks5://proxy.example"), ("--ca", "none.pem")])
async def test_an_option_that_cannot_work_stores_nothing(
    path: Path, words: tuple[str, str]
) -> None:
    done = await set_key("https://images.invalid/v1", "sk-0123456789ab", path, *words)
    assert done.exit_code == 2
    assert words[0] in done.stderr
    assert not path.exists()


async def test_where_nobody_answers_the_key_is_kept_and_that_is_said(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = await set_key(f"http://127.0.0.1:{port}/v1", "sk-0123456789ab", path)
    assert done.exit_code == 0
    assert f"not checked: 127.0.0.1:{port} did not answer" in " ".join(done.stderr.split())
    assert path.exists()
