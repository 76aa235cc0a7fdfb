"""Turn prompts into jobs one at a time, as places come free: a million are never in memory.

A list, tuple, table or file is checked before anything is sent, so that a mistake in its last
prompt costs nothing. Prompts that are drawn lazily cannot be checked before; there an invalid
prompt becomes a failure of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from time import perf_counter
from typing import Any, Protocol

from nbp_async._base.errors import ConfigError
from nbp_async._flow.job_prices import PromptPrices
from nbp_async._flow.slow_callbacks import warn_if_slow
from nbp_async._models.argument_errors import check_prompts_argument
from nbp_async._models.outcomes import Job, Prompt, as_prompt
from nbp_async._models.shards import ALL, Shard
from nbp_async._models.tables import Frame, PromptRows, Table, table_of

Prompts = (
    Iterable[str | Prompt | Mapping[str, Any]]
    | AsyncIterable[str | Prompt | Mapping[str, Any]]
    | Frame
)

_LISTED = (list, tuple, PromptRows)
_END = object()
_SLICE = 1000  # prompts that are checked between two turns of the event loop: about 3 ms


class InvalidPrompt(Exception):  # noqa: N818  internal: carries a ConfigError and its index
    """The prompt at this index cannot be sent."""

    def __init__(self, index: int, value: object, error: ConfigError) -> None:
        super().__init__(str(error))
        self.index = index
        self.prompt = value if isinstance(value, Prompt) else Prompt(text=repr(value)[:200])
        self.error = error


class Jobs(Protocol):
    """What a pool of workers draws from.

    Attributes:
        count: How many prompts there are; None while unknown.
        wanted: Indexes of the jobs to make; None for all.
        is_queue: They are the queue of a run, and come from many submitters.
    """

    @property
    def count(self) -> int | None: ...

    @property
    def wanted(self) -> frozenset[int] | None: ...

    @property
    def images(self) -> int | None:
        """How many images are wanted; None while unknown."""
        ...

    @property
    def is_queue(self) -> bool: ...

    async def check(self) -> None:
        """Check what can be checked before anything is sent."""
        ...

    async def draw(self) -> Job | None:
        """The next job, or None when there are no more; raises InvalidPrompt."""
        ...

    def stop(self) -> None:
        """Draw no more."""
        ...

    async def aclose(self) -> None:
        """The call has ended."""
        ...


class JobSource:
    """The jobs of one call, in order. Many workers draw from it, one at a time.

    Attributes:
        count: How many prompts it makes; None while unknown.
        is_listed: They are a list, tuple, table or file: all are known before they are drawn.
        drawn: The values that were drawn so far, if they are to be kept; else None. Those of other
            shards are among them.
        wanted: Indexes of the jobs to make, if this call is for some of them; None for all.
    """

    is_queue = False

    def __init__(
        self,
        prompts: Prompts,
        *,
        prices: PromptPrices,
        defaults: Mapping[str, Any],
        shard: Shard = ALL,
    ) -> None:
        source = _iterable_of(prompts)
        self.count = shard.size(len(source)) if isinstance(source, Sized) else None
        self.is_listed = isinstance(source, _LISTED)
        self.drawn: list[Any] | None = None
        self.wanted: frozenset[int] | None = None
        self._prompts = source
        self._prices = prices
        self._shard = shard
        self._defaults = {key: value for key, value in defaults.items() if value is not None}
        self._copies: Iterator[Job] = iter(())
        self._index = self._place = 0  # of the next image, and of the next prompt
        self._stopped = False
        self._checked_images: int | None = None
        self._sync: Iterator[object] | None = None
        self._async: AsyncIterator[object] | None = None
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[list[object]] | None = None
        if isinstance(source, Iterable):
            self._sync = iter(source)
        else:
            self._async = aiter(source)

    @property
    def images(self) -> int | None:
        """How many images are wanted; None while unknown. It is exact after `check`."""
        if self.wanted is not None:
            return len(self.wanted)
        return self.count if self._checked_images is None else self._checked_images

    def for_retry(self, wanted: frozenset[int]) -> "JobSource":
        """The same jobs once more, as far as they were drawn and kept; make those in `wanted`."""
        jobs = JobSource(
            self.drawn or [], prices=self._prices, defaults=self._defaults, shard=self._shard
        )
        jobs.wanted = wanted
        return jobs

    def stop(self) -> None:
        """Draw no more, and do not wait for a prompt that may never come."""
        self._stopped = True
        if self._next is not None:
            self._next.cancel()

    async def aclose(self) -> None:
        """Close an async generator of prompts, so that its own `finally` runs now."""
        close = getattr(self._async, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):  # it runs elsewhere: not ours to close
                await close()

    async def check(self) -> None:
        """Check a list, tuple, table or file before anything is sent.

        Raises:
            ConfigError: The first prompt that cannot be sent, with its index.
        """
        if not isinstance(self._prompts, _LISTED) or self.wanted is not None:
            return
        images = 0
        for index, value in enumerate(self._prompts):
            try:
                prompt = as_prompt(value, self._defaults)
                self._prices.of(prompt)
            except ConfigError as exc:
                self._locate(exc, index)
                raise
            images += prompt.n if self._shard.has(index) else 0
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        self._checked_images = images

    def all_jobs(self) -> Iterator[Job]:
        """All jobs of a list, tuple, table or file, without drawing any; nothing for other prompts.

        Raises:
            InvalidPrompt: One of them cannot be sent.
        """
        if isinstance(self._prompts, _LISTED):
            copy = JobSource(
                self._prompts, prices=self._prices, defaults=self._defaults, shard=self._shard
            )
            for index, value in enumerate(self._prompts):
                try:
                    job = copy._job(value)
                except InvalidPrompt as bad:
                    self._locate(bad.error, index)
                    raise
                if job is not None:
                    yield job
                    yield from copy._copies

    def _locate(self, error: ConfigError, index: int) -> None:
        """Let it say where the prompt stands: its place in the list, and in its table or file."""
        error.index = index
        if isinstance(self._prompts, PromptRows):
            self._prompts.locate(error, index)

    async def draw(self) -> Job | None:
        """The next job, or None when there are no more.

        Raises:
            InvalidPrompt: The next prompt cannot be sent; the one after it can be drawn.
        """
        if self._async is not None:
            async with self._turn:
                return await self._draw_async(self._async)
        job = next(self._copies, None)
        if self._stopped or self._sync is None:
            return job
        while job is None:
            began = perf_counter()
            value = next(self._sync, _END)
            warn_if_slow(self._sync, perf_counter() - began)
            if value is _END:
                return None
            job = self._job(value)
        return job

    async def _draw_async(self, source: AsyncIterator[object]) -> Job | None:
        job = next(self._copies, None)
        while job is None and not self._stopped:
            drawn = await self._draw_value(source)
            if not drawn:
                self._stopped = True
                return None
            job = self._job(drawn[0])
        return job

    async def _draw_value(self, source: AsyncIterator[object]) -> list[object]:
        """The next prompt, or an empty list at the end, or if it is not waited for any more."""
        # A task of its own, so that `stop` can end the wait for a prompt that may never come,
        # without cancelling the worker that waits for it.
        self._next = asyncio.ensure_future(_first(source))
        try:
            return await self._next
        except asyncio.CancelledError:
            if self._stopped and self._next.cancelled() and not _is_cancelled():
                return []  # `stop` cancelled the wait, nobody cancelled the worker
            self._next.cancel()
            raise

    def _job(self, value: object) -> Job | None:
        """The first job of a prompt; None if it is another shard's."""
        if self.drawn is not None:
            self.drawn.append(value)
        first, is_ours = self._index, self._shard.has(self._place)
        try:
            prompt = as_prompt(value, self._defaults_of_next())
            if self.drawn is not None:
                self.drawn[-1] = prompt  # it knows its row, if it has one
            priced = self._prices.of(prompt) if is_ours else None
        except ConfigError as exc:
            self._index += 1
            if not is_ours:
                return None
            raise InvalidPrompt(first, value, exc) from None
        self._index += prompt.n
        if priced is None:
            return None
        if prompt.n > 1:
            self._copies = (
                Job(first + k, prompt, k, self._prices.model, *priced) for k in range(1, prompt.n)
            )
        return Job(first, prompt, 0, self._prices.model, *priced)

    def _defaults_of_next(self) -> Mapping[str, Any]:
        """What the next prompt takes where it is open; of a table, its row as well."""
        self._place += 1
        if not isinstance(self._prompts, Table):
            return self._defaults
        return self._defaults | {"row": self._place - 1}


def _iterable_of(prompts: object) -> Iterable[Any] | AsyncIterable[Any]:
    """The prompts as an iterable.

    Raises:
        ConfigError: They are not prompts.
    """
    table = table_of(prompts)
    if table is not None:
        return table
    check_prompts_argument(prompts)
    assert isinstance(prompts, Iterable | AsyncIterable), "anything else is refused"
    return prompts


async def _first(source: AsyncIterator[object]) -> list[object]:
    """The next prompt, or an empty list at the end: a task cannot raise StopAsyncIteration."""
    async for value in source:
        return [value]
    return []


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
