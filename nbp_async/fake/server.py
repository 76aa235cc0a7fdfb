"""The fake server: a vendor on a port of this machine, in this loop, thread or a child process.

```python
async with FakeServer(latency=(30, 170), speed=3000) as server:
    async with Client(server.openai_url, server.key) as gen:
        image = await gen.one("a red bicycle")
```

It imitates the APIs and the image store over real HTTP, and is an independent witness: its bank
records what it rendered, whether or not the client got it. It reads the loop's clock, so that a
test can run it in virtual time.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from nbp_async.fake.bank import Bank
from nbp_async.fake.counters import Counters, RecordedRequest, Stats, WebhookAttempt
from nbp_async.fake.fake_settings import FakeOptions, FakeSettings
from nbp_async.fake.fault_injection import FaultScript
from nbp_async.fake.faults import Fault
from nbp_async.fake.seeded_random import digest
from nbp_async.fake.signing import SigningKeys

if TYPE_CHECKING:
    from nbp_async.fake.app import VendorApp

_BACKLOG = 65535  # room for ten thousand connections at once; the kernel has its own limit
_TURNS = 25  # of the event loop: a request that has left a client reaches its handler by then
_SHUTDOWN_WITHIN = 0.05  # seconds for handlers to end


class FakeServer:
    """A vendor; use it in `async with`, or `start` and `aclose` it.

    ```python
    async with FakeServer(latency=0.1, faults="503=0.02") as server:
        async with Client(server.openai_url, server.key) as gen:
            batch = await gen.many(["a red bicycle"] * 5)
        assert server.bank.billed == batch.billing.spent
    ```

    Args:
        latency: Simulated seconds that an image takes: a model of `fake.latency`, a number, a pair
            (evenly spread), or a text such as "30-170", "by-size", "lognormal:90:0.4".
        speed: How many times faster than real time simulated time goes. It shortens holds, the
            windows of quotas and the waits that they ask for, and slow bodies. Unless it is 1, the
            answers about open tasks say in Retry-After when to look again. It does not change the
            Retry-After of scripted faults, nor the lifetime of links.
        seed: Latencies, faults and ids are drawn from it.
        faults: By probability: a mapping of faults to shares, or "503=0.02,reset=0.01".
        quotas: Limits of each key.
        keys: One key, several, or keys with the dollars that each may spend; by default one key.
        prices: US dollars of an answer, whatever the model, by size ("*" for every other); by
            default each model costs what it costs at its maker's.
        weight: Bytes that image files are padded to: one number, by size, or "real", with which
            thought signatures weigh megabytes, too.
        kind: Format of the images: "png" or "jpeg"; by default JPEG where Google's own API is asked
            for a newer model, and PNG elsewhere.
        delivery: How images are delivered if the request does not say: "b64_json", or "url" for
            links.
        links_expire: Seconds until a link expires, on `clock`.
        bandwidth: Bytes per simulated second that each connection carries to the client; None for
            no limit.
        idempotency: Requests with the same Idempotency-Key get the same images and are billed
            once. No vendor that we know does it.
        clock: Seconds since 1970; for links and dates, never for waiting.
        submit_latency: Simulated seconds until a task's submit is answered; as `latency`.
        look_latency: Simulated seconds until a poll of a task is answered; as `latency`.
        look_faults: Faults of polls by probability, as `faults`; only those of the connection.
        task_retention: Simulated seconds that a task stays known after it ended.
        webhook_secret: Signs webhooks; several while one replaces another, newest first. By
            default one is drawn.
        interactions: Serve Google's interactions API, whose use for images is not documented.
        batch_latency: Simulated seconds that a batch job takes; as `latency`. One of over 48 hours
            expires then, without results.
        batch_jobs: Batch jobs that an account may have at once.
        batch_enqueued: Requests that may wait in an account's batch jobs; None for no limit.
        batch_inline: Small results of a job of a file come inline.
        batch_prefix: What the states of batch jobs begin with: "BATCH_STATE_" or "JOB_STATE_".
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        tls: Serve https with it.

    Attributes:
        key: A key that works; known before the start.
        bank: Accounts and ledger.
        webhook_secret: The newest secret that webhooks are signed with; known before the start.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: SSLContext | None = None,
        **options: Unpack[FakeOptions],
    ) -> None:
        self._settings = settings = FakeSettings.of(options)
        self._address = (host, port)
        self._tls = tls
        self._script = FaultScript()
        self._counters = Counters()
        self._app: VendorApp | None = None
        self._listener: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._root = ""
        drawn_key = f"sk-fake-{digest('key', settings.seed).hex()[:24]}"
        self.bank = Bank(settings.keys or drawn_key, settings.prices)
        self._keys = SigningKeys(settings.seed, settings.webhook_secret)
        self.webhook_secret = self._keys.secrets[0]
        self.key = next(iter(self.bank.accounts))

    @property
    def started(self) -> bool:
        """It has an address."""
        return bool(self._root)

    @property
    def base_url(self) -> str:
        """Address without a path: what Google's SDK wants to have."""
        if not self._root:
            raise RuntimeError(
                "The fake server has no address before it starts: use it in `async with`, or "
                "await start()."
            )
        return self._root

    @property
    def openai_url(self) -> str:
        """Base URL of the images API."""
        return f"{self.base_url}/v1"

    @property
    def gemini_url(self) -> str:
        """Base URL of the Gemini API."""
        return f"{self.base_url}/v1beta"

    def service_url(self, name: str) -> str:
        """Base URL of a task service: "article", "evolink", "kie" and so on (see `fake.tasks`).

        Raises:
            ValueError: No service has this name.
        """
        from nbp_async.fake.tasks import base_of

        return f"{self.base_url}{base_of(name)}"

    @property
    def received(self) -> list[RecordedRequest]:
        """The last thousand paid calls that could be read, oldest first."""
        return self._counters.received

    @property
    def unplayed(self) -> int:
        """Scripted faults that have not happened yet."""
        return len(self._script)

    @property
    def usual(self) -> dict[str, float]:
        """Real seconds that an image typically takes, by size."""
        return {size: self._settings.usual(size) for size in ("1K", "2K", "4K")}

    @property
    def webhooks_sent(self) -> list[WebhookAttempt]:
        """The last thousand attempts to deliver a webhook, oldest first."""
        return list(self._counters.webhook_attempts)

    def script(self, *faults: Fault, match: str | None = None) -> None:
        """Order faults for the next requests, one each; `ok()` lets one go well.

        Readable paid calls with a known key take from one queue, downloads from another. With
        `match`, only calls whose prompt contains it take these faults, before any others.
        """
        self._script.add(faults, match)

    def stats(self) -> Stats:
        """A snapshot of what was counted so far."""
        return self._counters.stats(self.bank, None if self._loop is None else self._loop.time())

    async def start(self) -> None:
        """Listen. Afterwards the address is known."""
        from nbp_async.fake.app import VendorApp

        if self._loop is not None:
            raise RuntimeError("a fake server can be started only once; make another")
        self._loop = asyncio.get_running_loop()
        host, port = self._address
        self._listener = listener = await self._loop.create_server(
            self._connected, host, port, backlog=_BACKLOG, ssl=self._tls, start_serving=False
        )
        port = listener.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self._root = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        self._app = VendorApp(
            self._settings, self.bank, self._script, self._counters, self._keys, self._root
        )
        await listener.start_serving()

    async def drain(self, *, webhooks: bool = False) -> None:
        """Wait until the ledger is final: what left a client is rendered, billed, answered.

        Calls that never get an answer count as ended; tasks when nothing more of them will be
        billed. With `webhooks`, also wait until each webhook was accepted or abandoned.
        """
        if self._app is None or self._loop is None:
            return
        if self._loop is not asyncio.get_running_loop():
            drained = asyncio.run_coroutine_threadsafe(self.drain(webhooks=webhooks), self._loop)
            await asyncio.wrap_future(drained)
            return
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self._app.wait_until_settled()
        if webhooks:
            await self._app.webhooks.idle()

    async def aclose(self) -> None:
        """Stop. Calls in work are dropped and not billed; bank and statistics stay readable."""
        app, self._app = self._app, None
        listener, self._listener = self._listener, None
        if app is None or listener is None:
            return
        listener.close()
        app.shut_down()
        await app.webhooks.aclose()
        await asyncio.sleep(0)
        app.connections.pre_shutdown()
        await app.connections.shutdown(_SHUTDOWN_WITHIN)
        await listener.wait_closed()
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def _connected(self) -> asyncio.Protocol:
        assert self._app is not None
        return self._app.connections()

    @classmethod
    @contextmanager
    def in_thread(cls, **options: Any) -> Iterator[Self]:
        """The same in a thread of its own: for plain scripts, and tests without one event loop.

        Time is real there. `script`, `stats`, `bank`, `received` and `drain` may be used from any
        thread.
        """
        server = cls(**options)
        started, stop = threading.Event(), asyncio.Event()
        failure: list[BaseException] = []

        async def main() -> None:
            async with server:
                started.set()
                await stop.wait()

        def run() -> None:
            try:
                asyncio.run(main())
            except BaseException as exc:  # noqa: BLE001  raised in the caller's thread
                failure.append(exc)
            finally:
                started.set()

        thread = threading.Thread(target=run, name="nbp-fake-server", daemon=True)
        thread.start()
        started.wait()
        try:
            if failure:
                raise failure[0]
            yield server
        finally:
            if not failure and server._loop is not None:
                server._loop.call_soon_threadsafe(stop.set)
            thread.join()
