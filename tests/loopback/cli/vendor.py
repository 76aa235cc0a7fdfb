"""A vendor whose answers wait for the test's word, and `nbp` in a process of its own before it."""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.pictures import png

KEY = "sk-test-0123456789abcdef"


class Vendor:
    """Answers each prompt with an image, once `release` is set.

    Attributes:
        asked: The bodies of the requests, in order of arrival.
        refusals: Prompts that are refused, with the status of the refusal.
        url: The base URL.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refusals: dict[str, int] = {}
        self.release = asyncio.Event()
        self.release.set()
        self.url = ""
        self._arrived = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._arrived:
            self.asked.append(body)
            self._arrived.notify_all()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            error = {"message": "Incorrect API key provided", "code": "invalid_api_key"}
            return web.json_response({"error": error}, status=401)
        status = self.refusals.get(body["prompt"])
        if status is not None:
            error = {"message": "Your request was rejected", "code": "moderation_blocked"}
            return web.json_response({"error": error}, status=status)
        await self.release.wait()
        width, height = (int(side) for side in body["size"].split("x"))
        image = base64.b64encode(png(width, height, padding=len(self.asked))).decode()
        return web.json_response({"created": 1, "data": [{"b64_json": image}]})

    async def arrived(self, count: int) -> None:
        """Wait until so many requests are here."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.asked) >= count)


@asynccontextmanager
async def serve() -> AsyncIterator[Vendor]:
    """A vendor on a port of its own."""
    vendor = Vendor()
    app = web.Application()
    app.router.add_post("/v1/images/generations", vendor.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    vendor.url = f"http://{host}:{port}/v1"
    try:
        yield vendor
    finally:
        vendor.release.set()
        await runner.cleanup()


class Nbp:
    """`nbp` in a process group of its own, as a shell starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def press_ctrl_c(self) -> None:
        """What a terminal does: the signal goes to the whole group."""
        os.killpg(self._process.pid, signal.SIGINT)

    def terminate(self) -> None:
        self._process.terminate()

    async def says(self, words: str) -> str:
        """Wait for a line on stderr that holds `words`."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            if words in line.decode():
                return line.decode()
        raise AssertionError(f"never said {words!r}")

    async def writes(self) -> str:
        """The next line on stdout."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().rstrip("\n")

    def close_stdout(self) -> None:
        """Stop reading, as `head` does."""
        assert self._process.stdout is not None
        self._process.stdout._transport.close()  # type: ignore[attr-defined]

    async def kill(self) -> None:
        """End it if a test that failed left it running."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.communicate()

    async def end(self) -> tuple[int, list[str], str]:
        """Wait for its end: exit code, lines of stdout, what stderr still had to say."""
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, out.decode().splitlines(), err.decode()


class Shell:
    """Starts `nbp` in a folder, with the vendor in its environment."""

    def __init__(self, folder: Path, url: str, *, key: str = KEY) -> None:
        self.folder = folder
        self._url = url
        self._key = key
        self._started: list[Nbp] = []

    async def nbp(
        self, *words: str, key: str | None = None, text: str | None = None, trust: str = ""
    ) -> Nbp:
        """Start it; `text` is its stdin, `trust` the host that tables may send the key to."""
        kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
        known = {
            "NBP_BASE_URL": self._url,
            "NBP_API_KEY": self._key if key is None else key,
            "NBP_TRUST_TABLE": trust,
            "COLUMNS": "100",
            "NBP_KEY_FILE": str(self.folder.parent / "nbp-test-keys" / "keys.toml"),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            "-m",
            "nbp_async",
            *words,
            cwd=self.folder,
            env=kept | {k: v for k, v in known.items() if v},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._started.append(Nbp(process))
        assert process.stdin is not None
        if text is not None:
            process.stdin.write(text.encode())
        process.stdin.close()
        return self._started[-1]

    async def aclose(self) -> None:
        for nbp in self._started:
            await nbp.kill()


def objects(lines: list[str]) -> list[dict[str, Any]]:
    """JSON lines, in the order of the prompts."""
    return sorted((json.loads(line) for line in lines), key=lambda row: int(row["index"]))
