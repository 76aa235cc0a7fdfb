"""A plain HTTP client of both APIs: it sends any body, and returns the raw answer."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from nbp_async.fake import FakeServer
from nbp_async.fake.faults import Fault


@dataclass(frozen=True)
class HttpReply:
    """An answer: status, headers (names in lower case), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def image(self) -> bytes:
        """The first image of an answer of either API."""
        if "data" in self.json:
            return base64.b64decode(self.json["data"][0]["b64_json"])
        parts = self.json["candidates"][0]["content"]["parts"]
        data = next(part["inlineData"]["data"] for part in parts if "inlineData" in part)
        return base64.b64decode(data)


class ApiClient:
    """Calls both APIs of one server, with a connection for each request."""

    def __init__(self, server: FakeServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def images(self, prompt: str, **fields: Any) -> HttpReply:
        """Call the images API."""
        key = fields.pop("key", self.server.key)
        body = {"model": "nano-banana-pro", "prompt": prompt, **fields}
        return await self.post(
            f"{self.server.openai_url}/images/generations", body, Authorization=f"Bearer {key}"
        )

    async def gemini(self, prompt: str, *, image: Any = None, **fields: Any) -> HttpReply:
        """Call the Gemini API."""
        key = fields.pop("key", self.server.key)
        model = fields.pop("model", "gemini-3-pro-image")
        body = {
            "contents": [{"role": "user", "parts": [{"text": prompt}]}],
            "generationConfig": {"imageConfig": image or {}},
            **fields,
        }
        url = f"{self.server.gemini_url}/models/{model}:generateContent"
        return await self.post(url, body, **{"x-goog-api-key": key})

    async def post(self, url: str, body: Any, **headers: str) -> HttpReply:
        async with self.session.post(url, json=body, headers=headers) as answer:
            return await _read(answer)

    async def get(self, url: str, **headers: str) -> HttpReply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(url, headers=names) as answer:
            return await _read(answer)

    async def link(self, prompt: str, **fields: Any) -> str:
        """The link of a new image."""
        reply = await self.images(prompt, response_format="url", **fields)
        url: str = reply.json["data"][0]["url"]
        return url


async def _read(answer: aiohttp.ClientResponse) -> HttpReply:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return HttpReply(answer.status, headers, await answer.read())


@asynccontextmanager
async def open_client(server: FakeServer) -> AsyncIterator[ApiClient]:
    """A client of this server, without timeouts, connection pool or decompression."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    nothing = aiohttp.ClientTimeout(total=None, sock_connect=None)
    async with aiohttp.ClientSession(
        connector=connector, timeout=nothing, auto_decompress=False
    ) as session:
        yield ApiClient(server, session)


@asynccontextmanager
async def vendor(**options: Any) -> AsyncIterator[ApiClient]:
    """A client and its server, which by default answers at once."""
    async with FakeServer(**{"latency": 0, **options}) as server, open_client(server) as caller:
        yield caller


async def one(call: ApiClient, fault: Fault, api: str = "openai", **fields: Any) -> HttpReply:
    """A call that meets this fault."""
    call.server.script(fault)
    return await (call.gemini if api == "gemini" else call.images)("a cat", **fields)


def billed(call: ApiClient) -> list[bool | None]:
    """Whether each entry of the ledger was delivered."""
    return [entry.delivered for entry in call.server.bank.ledger]
