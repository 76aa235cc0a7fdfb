"""The client for plain threads: no `async`, one event loop in one background thread."""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nbp_async._base.errors import CancelledAttemptError, ClosedError, ConfigError
from nbp_async._base.loop_thread import LoopThread
from nbp_async._calls.batch import Batch
from nbp_async._calls.plan import Stream
from nbp_async._client.client import Client
from nbp_async._client.client_options import (
    ClientOptions,
    EnvironmentOptions,
    FakeClientOptions,
    keywords_of,
)
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions, ImageOptions
from nbp_async._flow.job_source import Prompts
from nbp_async._models.bill import Bill, note_dropped
from nbp_async._models.outcomes import Image, Outcome, Prompt

if TYPE_CHECKING:
    from nbp_async.fake import FakeServer

T = TypeVar("T")


class SyncClient:
    """Makes images from plain threads. Any number of threads may share one, and its limits.

    ```python
    with SyncClient.from_env() as gen:
        image = gen.one("a red bicycle", size="2K")
        batch = gen.many(prompts, size="4K", out="catalogue/")
        for outcome in gen.stream(prompts):
            print(outcome)
    ```

    Its event loop runs in a background thread, from the first call until `close`, or the end of
    the process. Where an event loop runs already (Jupyter, a web framework), use `Client`. Prompts
    of `many` and `stream` are drawn in the background thread. Ctrl-C cancels the call of its
    thread, and a note on the KeyboardInterrupt says what may have been billed. A forked process
    has to make a client of its own.

    Raises:
        ConfigError: A setting cannot work. Nothing was sent.
    """

    @takes(ClientOptions)
    def __init__(self, options: ClientOptions) -> None:
        """Nothing is opened or sent."""
        self._wrap(Client(**keywords_of(options, ClientOptions)))

    @classmethod
    @takes(EnvironmentOptions)
    def from_env(cls, options: EnvironmentOptions) -> Self:
        """As `Client.from_env`."""
        return cls.of(Client.from_env(**keywords_of(options, EnvironmentOptions)))

    @classmethod
    @takes(FakeClientOptions)
    def fake(cls, options: FakeClientOptions) -> Self:
        """As `Client.fake`: a fake server of its own, no key, no cost."""
        return cls.of(Client.fake(**keywords_of(options, FakeClientOptions)))

    @classmethod
    def of(cls, client: Client) -> Self:
        """One that uses this client, which nobody else may use from then on."""
        made = cls.__new__(cls)
        made._wrap(client)  # noqa: SLF001  of this class
        return made

    def _wrap(self, client: Client) -> None:
        self._client = client
        self._opening = threading.Lock()
        self._thread: LoopThread | None = None
        self._process = os.getpid()
        self._closed = False

    @property
    def server(self) -> "FakeServer | None":
        """The fake server of `SyncClient.fake`, with its bank and its statistics; else None."""
        return self._client.server

    @takes(ImageOptions)
    def one(self, prompt: str | Prompt | Mapping[str, Any], options: ImageOptions) -> Image:
        """Make one image; see `Client.one`."""
        keywords = keywords_of(options, ImageOptions)
        return self._run(lambda: self._client.one(prompt, **keywords))

    @takes(CallOptions)
    def many(self, prompts: Prompts, options: CallOptions) -> Batch:
        """Make one image per prompt, and wait for all of them; see `Client.many`.

        An exception that ends it, Ctrl-C as well, has the outcomes so far as its `partial`.
        """
        thread = self._open()
        plan = self._client.many(prompts, **keywords_of(options, CallOptions))

        async def work() -> Batch:
            return await plan

        try:
            return run_in(thread, work)
        except BaseException as exc:
            exc.partial = plan.partial  # type: ignore[attr-defined]  # what came is not lost
            raise

    @takes(CallOptions)
    def stream(self, prompts: Prompts, options: CallOptions) -> "SyncStream":
        """The same, one outcome at a time, in the order of completion; see `Client.stream`."""
        thread = self._open()
        return SyncStream(thread, self._client.stream(prompts, **keywords_of(options, CallOptions)))

    def bill(self) -> Bill:
        """What this client has spent so far, and what may have been billed."""
        return self._client.bill()

    def close(self) -> None:
        """Close connections and threads. Calls of other threads are cancelled; images stay."""
        self._refuse_fork()
        with self._opening:
            self._closed = True
            if self._thread is not None:
                self._finalizer()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Sync{self._client!r}"

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return run_in(self._open(), work)

    def _open(self) -> LoopThread:
        refuse_event_loop()
        self._refuse_fork()
        with self._opening:
            if self._closed:
                raise ClosedError("This client is closed. Make a new one.")
            if self._thread is None:
                thread = LoopThread("nbp-client")
                try:
                    thread.run(self._client.__aenter__)
                except BaseException:
                    thread.stop()
                    raise
                # It runs at close, when the client is forgotten, or at the interpreter's exit:
                # before daemon threads are frozen, which would then never answer.
                self._finalizer = weakref.finalize(self, _close, self._client, thread, os.getpid())
                self._thread = thread
            return self._thread

    def _refuse_fork(self) -> None:
        """Checked before the lock is taken: another thread may have held it at the fork."""
        if self._process != os.getpid():
            raise ClosedError(
                "This client was made before the process was forked: its connections belong to the "
                "parent. Make one in each process."
            )


class SyncStream(Iterator[Outcome]):
    """What `SyncClient.stream` gives: outcomes in the order of completion.

    Leaving the loop early cancels what is out, which may be billed: `close` (or `with`) does so at
    once, and `dropped` then names it; a stream that is forgotten does so when it is collected.
    """

    def __init__(self, thread: LoopThread, stream: Stream) -> None:
        self._thread = thread
        self._stream = stream

    def stop(self) -> None:
        """Send nothing more; what was sent still comes."""

        async def work() -> None:
            self._stream.stop()

        run_in(self._thread, work)

    @property
    def dropped(self) -> tuple[Outcome, ...]:
        """After `close`: what had ended and was not consumed, and what was in flight."""
        return self._stream.dropped

    def close(self) -> None:
        """Cancel what is out and wait until it has let go of everything."""
        run_in(self._thread, self._stream.aclose)

    def __next__(self) -> Outcome:
        refuse_event_loop()

        async def work() -> Outcome | None:
            return await anext(self._stream, None)

        try:
            outcome = run_in(self._thread, work)
        except KeyboardInterrupt as exc:
            self.close()
            note_dropped(exc, self.dropped, "`dropped` of the stream")
            raise
        if outcome is None:
            raise StopIteration
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def refuse_event_loop() -> None:
    """Refuse to block a running event loop.

    Raises:
        ConfigError: One runs in this thread. Nothing was sent.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "An event loop already runs here (in Jupyter it always does), and this call would block "
        "it. Write:\n"
        "    async with Client.from_env() as gen:\n"
        "        batch = await gen.many(prompts)\n"
    )


def run_in(thread: LoopThread, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it, and say so if another thread closed the client meanwhile."""
    try:
        return thread.run(work)
    except asyncio.CancelledError as exc:
        closed = CancelledAttemptError("The client was closed while this call ran.")
        for note in getattr(exc, "__notes__", ()):
            closed.add_note(note)
        raise closed from None


def _close(client: Client, thread: LoopThread, process: int) -> None:
    if process != os.getpid():
        return  # a forked child: the thread is not there
    try:
        thread.run(client.aclose)
    finally:
        thread.stop()
