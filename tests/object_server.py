"""A real S3-compatible server on this machine: rclone, serving a folder."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from aiohttp import ClientSession, TCPConnector, web
from yarl import URL

from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async._sinks.object_sink import ObjectSink
from nbp_async._stores.bucket import Bucket, open_bucket
from nbp_async._stores.open_buckets import Buckets
from nbp_async._stores.store_address import StoreAddress, store_address
from nbp_async._stores.store_credentials import store_options

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI-not-a-real-one"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
_RCLONE = Path(sys.executable).with_name("rclone")


@dataclass
class ObjectServer:
    """It serves the folders in `root` as buckets; `bucket` is one of them."""

    root: Path
    port: int
    bucket: str = "images"
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def address(self, prefix: str = "run", *, endpoint: str = "") -> StoreAddress:
        return store_address(f"s3://{self.bucket}/{prefix}?endpoint={endpoint or self.url}")

    def objects(self) -> dict[str, bytes]:
        """Everything that is in the bucket, by its name."""
        folder = self.root / self.bucket
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def start(self) -> None:
        """Begin to serve. It looks folders up anew after 1 ms; with 0 it would spin meanwhile."""
        log = (self.root.parent / "rclone.log").open("ab")
        self.process = subprocess.Popen(
            [
                _RCLONE,
                "serve",
                "s3",
                self.root,
                "--addr",
                f"127.0.0.1:{self.port}",
                "--auth-key",
                f"{KEY},{SECRET}",
                "--vfs-cache-mode",
                "off",
                "--dir-cache-time",
                "1ms",
            ],
            env={**os.environ, "RCLONE_CONFIG": os.devnull},
            stdout=log,
            stderr=log,
        )
        log.close()
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.stop()
        raise RuntimeError((self.root.parent / "rclone.log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


def quick_sink(
    address: StoreAddress, threads: FileThreads, *, bound: int = 1 << 26, beside: Path | None = None
) -> ObjectSink:
    """A sink whose retries take milliseconds, not half a minute."""

    def opener(address: StoreAddress) -> Bucket:
        options = store_options(address, CREDENTIALS)
        return open_bucket(address, options, pauses=(0.01, 0.02, 0.05))

    memory = MemorySink(bound, threads)
    return ObjectSink(address, Buckets({}, opener), memory, threads, beside=beside)


@contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    """Run one over `folder` until the block ends."""
    root = folder / "buckets"
    (root / "images").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ObjectServer(root, port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Gateway:
    """Stands before the server, answers for it or holds its answers back, and keeps count.

    Attributes:
        server: The server behind it.
        session: What it asks the server with.
        url: The endpoint to use instead of the server's.
        refusals: Status codes that the next PUTs are answered with, without being passed on.
        spoil: Give out other bytes than are there, and a checksum that nobody knows.
        hold: While it is not set, PUTs wait before they are passed on.
        seen: Method and path with query of every request.
        arrived: Set when a PUT has come with its whole body.
        most: The most PUTs that were under way at once.
    """

    server: ObjectServer
    session: ClientSession
    url: str = ""
    refusals: list[int] = field(default_factory=list)
    spoil: bool = False
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most: int = 0

    @property
    def multipart(self) -> list[tuple[str, str]]:
        """Requests that begin, fill, end or drop an upload in parts."""
        return [(m, p) for m, p in self.seen if "uploadId" in p or "uploads" in p]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request, by ourselves or with what the server says."""
        self.seen.append((request.method, request.raw_path))
        if request.method != "PUT":
            return await self._pass_on(request, await request.read())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            body = await request.read()
            self.arrived.set()
            await self.hold.wait()
            if self.refusals:
                return web.Response(status=self.refusals.pop(0), text="not now")
            return await self._pass_on(request, body)
        finally:
            self.under_way -= 1

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() != "content-length"}
        async with self.session.request(
            request.method,
            URL(f"{self.server.url}{request.raw_path}", encoded=True),
            headers=headers,
            data=BytesIO(body) if body else None,
        ) as reply:
            data = await reply.read()
            headers = {k.lower(): v for k, v in reply.headers.items()}
        for name in ("transfer-encoding", "connection", "date", "server"):
            headers.pop(name, None)
        if self.spoil:
            headers["etag"] = '"not-a-sum"'
            data = bytes(len(data)) if request.method == "GET" else data
        if request.method != "HEAD":
            headers.pop("content-length", None)
        return web.Response(status=reply.status, headers=headers, body=data)


@asynccontextmanager
async def gateway(server: ObjectServer) -> AsyncIterator[Gateway]:
    """Stand before the server until the block ends. Nothing is held back at first."""
    connector = TCPConnector(force_close=True)
    async with ClientSession(connector=connector, auto_decompress=False) as session:
        rules = Gateway(server, session)
        rules.hold.set()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", rules.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rules.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield rules
        finally:
            rules.hold.set()
            await runner.cleanup()
