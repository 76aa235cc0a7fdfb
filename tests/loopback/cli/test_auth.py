"""`nbp auth set` asks the vendor, at no cost, before it keeps a key."""

import asyncio
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nbp_async.cli.app import app
from nbp_async.fake import FakeServer


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


async def test_where_nobody_answers_the_key_is_kept_and_that_is_said(path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = await set_key(f"http://127.0.0.1:{port}/v1", "sk-0123456789ab", path)
    assert done.exit_code == 0
    assert f"not checked: 127.0.0.1:{port} did not answer" in " ".join(done.stderr.split())
    assert path.exists()
