"""A table from elsewhere says where a key goes: the user is told, and asked once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from nbp_async.fake import FakeServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
TABLE = """\
base_url = "{url}"
key_names = ["ACME_API_KEY"]
submit = "/images/generations/async"
look = "/tasks/{{id}}"
id = ["task_id"]
links = ["result.data[].url"]
usual = {{1K = 0.1, 2K = 0.1, 4K = 0.1}}
"""


GEN = ("gen", "a red bicycle", "--via", "poll", "--size", "1K", "-o", "bike.png", "--force")


class Shop:
    """A folder with a table in it, and the server that it names."""

    def __init__(self, folder: Path, server: FakeServer) -> None:
        self.folder = folder
        self.server = server
        self.table = folder / "acme.toml"
        self.table.write_text(TABLE.format(url=server.openai_url))
        self.agreed = folder / "config" / "tables"

    @property
    def host(self) -> str:
        return self.server.openai_url.split("/")[2]

    async def nbp(
        self, answer: str | None, *, words: tuple[str, ...] = GEN, **environ: str
    ) -> tuple[int, str]:
        """Run a command that uses the table: exit code and stderr; an answer needs a terminal."""
        kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
        known = {
            "ACME_API_KEY": self.server.key,
            "NBP_KEY_FILE": str(self.folder / "config" / "keys.toml"),
            "COLUMNS": "200",
        }
        ours, theirs = os.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nbp_async"),
            *(*words, "--endpoint", "acme.toml"),
            cwd=self.folder,
            env={**kept, **known, **environ},
            stdin=asyncio.subprocess.DEVNULL if answer is None else theirs,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE if answer is None else theirs,
        )
        os.close(theirs)
        try:
            if answer is not None:
                os.write(ours, answer.encode())
            reading = asyncio.to_thread(_read, ours) if answer is not None else None
            _, said = await process.communicate()
            text = said.decode() if reading is None else await reading
        finally:
            os.close(ours)
        assert process.returncode is not None
        return process.returncode, " ".join(text.split())


def _read(terminal: int) -> str:
    data = b""
    with suppress(OSError):  # the other side is closed
        while piece := os.read(terminal, 65536):
            data += piece
    return data.decode()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with FakeServer(latency=0.0) as server:
        yield Shop(tmp_path, server)


async def test_without_a_terminal_it_says_how_to_allow_it(shop: Shop) -> None:
    code, said = await shop.nbp(None)
    assert code == 4
    assert f"acme.toml has ACME_API_KEY sent to http://{shop.host}" in said
    assert f"NBP_TRUST_TABLE={shop.host}" in said
    assert "Nothing was sent." in said
    assert not shop.server.stats().requests
    code, said = await shop.nbp(None, NBP_TRUST_TABLE=shop.host)
    assert code == 0
    assert f"ACME_API_KEY goes to http://{shop.host}, as acme.toml says." in said
    assert not shop.agreed.exists()


async def test_no_means_no(shop: Shop) -> None:
    code, said = await shop.nbp("\n")
    assert code == 4
    assert f"ACME_API_KEY is not sent to http://{shop.host}" in said
    assert not shop.server.stats().requests
    assert not shop.agreed.exists()


async def test_yes_is_remembered_for_this_table_variable_and_host(shop: Shop) -> None:
    code, said = await shop.nbp("y\n")
    assert code == 0
    assert "Send it there?" in said
    assert shop.agreed.stat().st_mode & 0o777 == 0o600
    assert shop.agreed.parent.stat().st_mode & 0o777 == 0o700
    assert shop.server.key not in shop.agreed.read_text()
    code, said = await shop.nbp(None)
    assert (code, "goes to" in said) == (0, True)
    requests = shop.server.stats().requests
    code, _ = await shop.nbp(None, NBP_API_KEY=shop.server.key)
    assert code == 4, "another variable"
    text = shop.table.read_text()
    shop.table.write_text(text.replace("/images/generations/async", "/elsewhere"))
    assert (await shop.nbp(None))[0] == 4, "another table"
    shop.table.write_text(text)
    shop.agreed.chmod(0o622)
    assert (await shop.nbp(None))[0] == 4, "others may have written it"
    assert shop.server.stats().requests == requests


async def test_a_dry_run_asks_nothing(shop: Shop) -> None:
    (shop.folder / "prompts.txt").write_text("a red bicycle\n")
    dry = ("many", "prompts.txt", "--via", "poll", "--out", "shop", "--dry-run")
    code, _ = await shop.nbp(None, words=dry)
    assert code == 0
    assert not shop.server.stats().requests
