"""Prompts become jobs one at a time, when a place is free: a million of them are never in memory.

A list, tuple or table is looked through before anything is sent, so that a mistake in its last
prompt costs nothing. What is drawn lazily cannot be; there a wrong prompt becomes a failure of its
own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sized
from decimal import Decimal
from time import perf_counter
from typing import Any

from nbp_async._errors import ConfigError
from nbp_async._flow.blame import blame_slow
from nbp_async._models import Job, Prompt, as_prompt
from nbp_async._pixels import Canvas, model_sizes, resolve
from nbp_async._profiles import Profile
from nbp_async._refusals import refuse_unfit
from nbp_async._tables import Frame, Table, table_of

Prompts = (
    Iterable[str | Prompt | Mapping[str, Any]]
    | AsyncIterable[str | Prompt | Mapping[str, Any]]
    | Frame
)

_Known = tuple[Canvas, Decimal, Decimal]
_LISTED = (list, tuple, Table)
_END = object()
_SLICE = 1000  # prompts looked at between two turns of the event loop: about 3 ms


class BadPrompt(Exception):  # noqa: N818  not for users: it carries a ConfigError to its place
    """A prompt that cannot be sent, at its place in the batch."""

    def __init__(self, index: int, value: object, error: ConfigError) -> None:
        super().__init__(str(error))
        self.index = index
        self.prompt = value if isinstance(value, Prompt) else Prompt(text=repr(value)[:200])
        self.error = error


class Jobs:
    """The jobs of one call, in order. Drawn from by many workers, one at a time.

    Attributes:
        count: How many prompts there are, or None if nobody knows.
        known: They can be looked at before they are drawn.
        drawn: What was drawn so far, if somebody wants it kept; else None.
        only: Places to make, where it is a further call for some of them; None for all.
    """

    def __init__(
        self, prompts: Prompts, *, model: str, profile: Profile, defaults: Mapping[str, Any]
    ) -> None:
        source = _gone_through(prompts)
        self.count = len(source) if isinstance(source, Sized) else None
        self.known = isinstance(source, _LISTED)
        self.drawn: list[Any] | None = None
        self.only: frozenset[int] | None = None
        self._prompts = source
        self._model = model
        self._profile = profile
        self._defaults = {key: value for key, value in defaults.items() if value is not None}
        self._known: dict[tuple[str | None, str | None, int, int], _Known] = {}
        self._copies: Iterator[Job] = iter(())
        self._index = 0
        self._stopped = False
        self._looked_at: int | None = None
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
        """How many images are asked for, or None if nobody knows; after `check` it is exact."""
        if self.only is not None:
            return len(self.only)
        return self.count if self._looked_at is None else self._looked_at

    def again(self, places: frozenset[int]) -> "Jobs":
        """The same jobs once more, as far as they were drawn and kept; `places` are to be made."""
        jobs = Jobs(
            self.drawn or [], model=self._model, profile=self._profile, defaults=self._defaults
        )
        jobs.only = places
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
            with contextlib.suppress(RuntimeError):  # it runs elsewhere, and is not ours to close
                await close()

    async def check(self) -> None:
        """Look through a list, tuple or table before anything is sent.

        Raises:
            ConfigError: The first prompt that cannot be sent, with its place.
        """
        if not isinstance(self._prompts, _LISTED) or self.only is not None:
            return
        images = 0
        for place, value in enumerate(self._prompts):
            try:
                prompt = as_prompt(value, self._defaults)
                self._look(prompt)
            except ConfigError as exc:
                problem = ConfigError(f"{self._where(place)}: {exc}")
            else:
                images += prompt.n
                if place % _SLICE == _SLICE - 1:
                    await asyncio.sleep(0)
                continue
            raise problem
        self._looked_at = images

    def _where(self, place: int) -> str:
        table = self._prompts
        return table.where(place) if isinstance(table, Table) else f"prompts[{place}]"

    def listed(self) -> Iterator[Job]:
        """All jobs of a list, tuple or table, without drawing any; of other prompts none is known.

        Raises:
            BadPrompt: One of them cannot be sent.
        """
        if isinstance(self._prompts, _LISTED):
            again = Jobs(
                self._prompts, model=self._model, profile=self._profile, defaults=self._defaults
            )
            for value in self._prompts:
                yield again._job(value)
                yield from again._copies

    async def draw(self) -> Job | None:
        """The next job, or None when there are no more.

        Raises:
            BadPrompt: The next prompt cannot be sent; the one after it may be drawn.
        """
        if self._async is not None:
            async with self._turn:
                return await self._draw_async(self._async)
        job = next(self._copies, None)
        if job is not None:
            return job
        if self._stopped or self._sync is None:
            return None
        began = perf_counter()
        value = next(self._sync, _END)
        blame_slow(self._sync, perf_counter() - began)
        return None if value is _END else self._job(value)

    async def _draw_async(self, source: AsyncIterator[object]) -> Job | None:
        job = next(self._copies, None)
        if job is not None:
            return job
        if self._stopped:
            return None
        self._next = asyncio.ensure_future(_first(source))
        try:
            drawn = await self._next
        except asyncio.CancelledError:
            if self._stopped and self._next.cancelled() and not _cancelling():
                return None
            self._next.cancel()
            raise
        if not drawn:
            self._stopped = True
            return None
        return self._job(drawn[0])

    def _job(self, value: object) -> Job:
        if self.drawn is not None:
            self.drawn.append(value)
        try:
            prompt = as_prompt(value, self._defaults)
            known = self._look(prompt)
        except ConfigError as exc:
            self._index += 1
            problem = BadPrompt(self._index - 1, value, exc)
        else:
            first = self._index
            self._index += prompt.n
            if prompt.n > 1:
                self._copies = (
                    Job(first + k, prompt, k, self._model, *known) for k in range(1, prompt.n)
                )
            return Job(first, prompt, 0, self._model, *known)
        raise problem

    def _look(self, prompt: Prompt) -> _Known:
        """Check it, and say what it costs; a catalogue asks the same over and over."""
        if prompt.extra is not None:
            _refuse_other_prices(prompt.extra)
        references, letters = len(prompt.references), -(-len(prompt.text) // 256) * 256
        asked = prompt.size, prompt.aspect_ratio, references, letters
        known = self._known.get(asked)
        if known is None:
            size = prompt.size or _default_size(self._model)
            canvas = resolve(self._model, size, prompt.aspect_ratio, references=references)
            tier, prices = canvas.tier, self._profile.prices
            most = prices.most(tier, letters=letters, references=references)
            known = self._known[asked] = canvas, prices.estimate(tier), most
        return known


def _gone_through(prompts: object) -> Iterable[Any] | AsyncIterable[Any]:
    """The prompts as what gives one after the other.

    Raises:
        ConfigError: They are none.
    """
    table = table_of(prompts)
    if table is not None:
        return table
    refuse_unfit(prompts)
    assert isinstance(prompts, Iterable | AsyncIterable), "all else is refused"
    return prompts


def _refuse_other_prices(extra: Mapping[str, Any]) -> None:
    """What changes the number or the price of images would pass by every cap."""
    own = {"n": "n", "model": "model", "size": "size", "image_size": "size", "stream": ""}
    for name in own.keys() & extra.keys():
        there = f": use the option {own[name]!r}" if own[name] else ""
        raise ConfigError(f"{name!r} does not belong in `extra`{there}. Nothing was sent.")
    config = extra.get("generationConfig")
    if isinstance(config, Mapping) and "candidateCount" in config:
        raise ConfigError(
            "'candidateCount' does not belong in `extra`: use the option 'n'. Nothing was sent."
        )


async def _first(source: AsyncIterator[object]) -> list[object]:
    """The next prompt, or nothing at the end: a task cannot raise StopAsyncIteration."""
    async for value in source:
        return [value]
    return []


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _default_size(model: str) -> str:
    """2K where it can be drawn, for it costs what 1K costs."""
    table = model_sizes(model)
    if table is None:
        return "1024x1024"
    return "2K" if "2K" in table.pixels else table.sizes[0]
