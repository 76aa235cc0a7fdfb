"""The fake server: a vendor on a port of this machine, in this loop, thread or a child process.

```python
async with FakeServer(latency=(30, 170), speed=3000) as server:
    async with Client(server.openai_url, server.key) as gen:
        image = await gen.one("a red bicycle")
```

It imitates the two APIs and the image store over real HTTP, and it is an independent witness: its
bank writes down what it rendered, whether or not the client heard of it. It reads the loop's clock,
so that a test can run it in virtual time.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from nbp_async._prices import GOOGLE, Prices
from nbp_async.fake.bank import Bank, Keys
from nbp_async.fake.chance import digest
from nbp_async.fake.counters import Counters, Posted, Received, Stats
from nbp_async.fake.faults import Fault
from nbp_async.fake.latency import DEFAULT, Span, latency_of
from nbp_async.fake.odds import Odds, Script, faults_of, looks_of
from nbp_async.fake.pictures import Kind, Weight
from nbp_async.fake.quotas import Quotas
from nbp_async.fake.settings import Settings
from nbp_async.fake.signing import Keys as SigningKeys

if TYPE_CHECKING:
    from nbp_async.fake.app import Vendor

Delivery = Literal["b64_json", "url"]

_BACKLOG = 65535  # a wave of ten thousand connections must find room; the kernel has its own limit
_TURNS = 25  # of the loop: enough for a request that has left a client to reach its handler
_AT_MOST = 0.05  # seconds that a handler may take to end once it is told to
_DAY = 86400.0


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
        speed: How many times faster than real simulated time goes. It shortens holds, the windows
            of quotas, the waits that quotas ask for, and slow bodies. It does not change what is
            said by script, nor the life of links.
        seed: What luck is drawn from.
        faults: By probability: `Faults`, a mapping of faults to shares, or "503=0.02,reset=0.01".
        quotas: Limits of each key.
        keys: One key, several, or keys with dollars that they may spend; one is made by default.
        prices: What images cost.
        weight: Bytes that image files are padded to: for all, by size, or "real".
        kind: Format of the images: "png" or "jpeg".
        delivery: How images are handed out where the request does not say it: "url" for links.
        links_expire: Seconds until a link expires, on `clock`.
        bandwidth: Bytes a second, simulated ones, that each connection carries to the client; None
            for as many as there can be.
        idempotency: A request whose Idempotency-Key is known is answered with what the first one
            brought, and billed once; no vendor that we know does it.
        clock: Seconds since 1970: for links and dates, never for waiting.
        submit_latency: Simulated seconds until a task's submit is answered; as `latency`.
        look_latency: Simulated seconds until a look at a task is answered; as `latency`.
        look_faults: Faults of looks by probability, as `faults`; only such of the connection.
        task_retention: Simulated seconds that a task is known after it ended.
        webhook_secret: What webhooks are signed with; the newest first, where one is being
            exchanged for another. Drawn from the seed by default.
        interactions: Serve Google's interactions API, whose use for images nobody documents.
        batch_latency: Simulated seconds that a batch job takes; as `latency`. One of over 48 hours
            expires then, without results.
        batch_jobs: Batch jobs that an account may have at once.
        batch_enqueued: Requests that may wait in an account's batch jobs; None for any number.
        batch_inline: A job of a file answers inline where its results are small.
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
        self, *, latency: Span = DEFAULT, speed: float = 1.0, seed: int = 0,
        faults: Odds = None, quotas: Quotas | None = None, keys: Keys | None = None,
        prices: Prices = GOOGLE, weight: Weight = None, kind: Kind = "png",
        delivery: Delivery = "b64_json", links_expire: float = 7 * _DAY,
        bandwidth: float | None = None, idempotency: bool = False,
        clock: Callable[[], float] = time.time, submit_latency: Span = 0, look_latency: Span = 0,
        look_faults: Odds = None, task_retention: float = _DAY,
        webhook_secret: str | Sequence[str] | None = None, interactions: bool = False,
        batch_latency: Span = (600, 7200), batch_jobs: int = 100,
        batch_enqueued: int | None = None, batch_inline: bool = False,
        batch_prefix: str = "BATCH_STATE_",
        host: str = "127.0.0.1", port: int = 0, tls: SSLContext | None = None,
    ) -> None:  # fmt: skip
        if delivery not in ("b64_json", "url"):
            raise ValueError(f'delivery is "b64_json" or "url", not {delivery!r}')
        self._settings = Settings(
            latency=latency_of(latency), speed=speed, seed=seed, faults=faults_of(faults),
            quotas=quotas or Quotas(), weight=weight, kind=kind, link=delivery == "url",
            links_expire=links_expire, bandwidth=bandwidth, idempotency=idempotency, clock=clock,
            submit_latency=latency_of(submit_latency), look_latency=latency_of(look_latency),
            look_faults=looks_of(look_faults), task_retention=task_retention,
            interactions=interactions, batch_latency=latency_of(batch_latency),
            batch_jobs=batch_jobs, batch_enqueued=batch_enqueued, batch_inline=batch_inline,
            batch_prefix=batch_prefix,
        )  # fmt: skip
        self._address = (host, port)
        self._tls = tls
        self._script = Script()
        self._counters = Counters()
        self._vendor: Vendor | None = None
        self._listener: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._root = ""
        self.bank = Bank(keys or f"sk-fake-{digest('key', seed).hex()[:24]}", prices)
        self._keys = SigningKeys(seed, webhook_secret)
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
            ValueError: None is called so.
        """
        from nbp_async.fake.tasks import base_of

        return f"{self.base_url}{base_of(name)}"

    @property
    def received(self) -> list[Received]:
        """The last thousand paid calls that could be read, oldest first."""
        return self._counters.received

    @property
    def unplayed(self) -> int:
        """Scripted faults that have met no request yet."""
        return len(self._script)

    @property
    def usual(self) -> dict[str, float]:
        """Real seconds that an image usually takes, by size."""
        settings = self._settings
        return {
            size: settings.latency.seconds(0.5, size) / settings.speed
            for size in ("1K", "2K", "4K")
        }

    @property
    def webhooks_sent(self) -> list[Posted]:
        """The last thousand tries to deliver a webhook, oldest first."""
        return list(self._counters.posted)

    def script(self, *faults: Fault, match: str | None = None) -> None:
        """Order faults for the next requests, one each; `ok()` lets one go well.

        Paid calls with a known key that can be read, and downloads, have a queue each. With
        `match`, only calls whose prompt contains it take from these faults, before any others.
        """
        self._script.add(faults, match)

    def stats(self) -> Stats:
        """A snapshot of what was seen so far."""
        bank = self.bank
        now = None if self._loop is None else self._loop.time()
        return self._counters.stats(now, dollars=bank.billed, images=bank.images, lost=bank.lost)

    async def start(self) -> None:
        """Listen. The address is known afterwards."""
        from nbp_async.fake.app import Vendor
        from nbp_async.fake.store import Store

        if self._loop is not None:
            raise RuntimeError("a fake server starts once: make another")
        self._loop = asyncio.get_running_loop()
        host, port = self._address
        self._listener = listener = await self._loop.create_server(
            self._connected, host, port, backlog=_BACKLOG, ssl=self._tls, start_serving=False
        )
        port = listener.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self._root = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        settings = self._settings
        store = Store(digest("links", settings.seed), settings.links_expire, settings.clock)
        self._vendor = Vendor(
            settings, bank=self.bank, store=store, script=self._script,
            counters=self._counters, root=self._root, keys=self._keys,
        )  # fmt: skip
        await listener.start_serving()

    async def drain(self, *, webhooks: bool = False) -> None:
        """Wait until the ledger is final: what had left a client is rendered, billed, answered.

        Calls that never get an answer count as ended, tasks when nothing of them will be billed
        any more. With `webhooks`, also until each webhook was taken or given up.
        """
        if self._vendor is None or self._loop is None:
            return
        if self._loop is not asyncio.get_running_loop():
            there = asyncio.run_coroutine_threadsafe(self.drain(webhooks=webhooks), self._loop)
            await asyncio.wrap_future(there)
            return
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        await self._vendor.drained()
        if webhooks:
            await self._vendor.post.idle()

    async def aclose(self) -> None:
        """Stop: calls in work are dropped, and not billed. Bank and statistics stay readable."""
        vendor, self._vendor = self._vendor, None
        listener, self._listener = self._listener, None
        if vendor is None or listener is None:
            return
        listener.close()
        vendor.abandon()
        await vendor.post.aclose()
        await asyncio.sleep(0)
        vendor.door.pre_shutdown()
        await vendor.door.shutdown(_AT_MOST)
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
        assert self._vendor is not None
        return self._vendor.door()

    @classmethod
    @contextmanager
    def in_thread(cls, **options: Any) -> Iterator[Self]:
        """The same in a thread of its own: for plain scripts, and tests whose loop comes and goes.

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
            except BaseException as exc:  # noqa: BLE001  raised again where it was asked for
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
