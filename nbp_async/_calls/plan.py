"""What `many` and `stream` return: planned work that begins when it is awaited."""

import asyncio
import contextlib
import os
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from nbp_async._base.errors import ConfigError, NbpError
from nbp_async._base.running_loop import running_loop
from nbp_async._base.text import plural
from nbp_async._calls.batch import Batch, RetryPlanner
from nbp_async._calls.call import Call
from nbp_async._calls.preview import Preview
from nbp_async._flow.job_source import InvalidPrompt
from nbp_async._models.argument_errors import NotAwaited, OnlyAsyncFor
from nbp_async._models.bill import note_dropped
from nbp_async._models.outcomes import Failure, Image, Outcome
from nbp_async.display.live_display import LiveDisplay
from nbp_async.display.progress_html import plan_html

_SHOWN = 20_000  # prompts that are looked at for a repr: about a tenth of a second
_HERE = f"{Path(__file__).parent.parent}{os.sep}"


class Plan(NotAwaited, Coroutine[Any, Any, Batch]):
    """Images that are planned and not begun: await it to make them, and get the Batch.

    It is a coroutine, so `asyncio.create_task(gen.many(...))` works as well. Not awaited, it
    costs nothing and shows what it would do.

    ```python
    plan = gen.many(prompts, size="4K")
    if plan.preview().cost < 20:  # dollars
        batch = await plan
    ```
    """

    _of_a_batch = frozenset(name for name in dir(Batch) if not name.startswith("_"))

    def __init__(
        self,
        call: Call,
        describe: str,
        preview: Callable[[], Preview | None],
        new_retrier: Callable[[], RetryPlanner],
    ) -> None:
        self._call = call
        self._describe = describe
        self._preview = preview
        self._new_retrier = new_retrier
        self._ended = False
        self._outcomes: list[Outcome | None] = []
        self._began_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coroutine: Coroutine[Any, Any, Batch] | None = None
        self._made_at = _line_of_the_caller()

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for, and the batch has what came."""
        self._call.stop()

    def apart(self) -> LiveDisplay:
        """Get ready to run beside other work; gives the display that counts it from now on."""
        return self._call.apart()

    def preview(self) -> Preview:
        """What it would do now: how many images, for how much, how long. Nothing is sent.

        Reads the run's journal and the reference files, and blocks as long as that takes.

        Raises:
            ConfigError: A prompt cannot be sent, or the prompts are drawn lazily and not known yet.
            JournalError: The run's journal cannot be read.
        """
        try:
            preview = self._preview()
        except InvalidPrompt as bad:
            raise bad.error from None
        if preview is None:
            raise ConfigError(
                "cannot be previewed when they are drawn lazily: give a list.", option="prompts"
            )
        return preview

    @property
    def partial(self) -> Batch:
        """The outcomes so far; after a cancellation or an error, also what may have been billed."""
        came = [o for o in self._outcomes if o is not None]
        known = {o.index for o in came}
        came += [o for o in self._call.dropped if o.index not in known]
        return self._batch(sorted(came, key=lambda o: o.index))

    def send(self, value: Any) -> Any:
        """Continue, as a coroutine does: a plan can be made a task."""
        return self._started().send(value)

    def throw(self, *args: Any) -> Any:
        """Raise in the plan as in a coroutine."""
        return self._started().throw(*args)

    def close(self) -> None:
        """Discard it: like a closed coroutine it cannot be awaited any more."""
        self._started().close()

    def __await__(self) -> Generator[Any, Any, Batch]:
        return self._started().__await__()

    def _started(self) -> Coroutine[Any, Any, Batch]:
        if self._coroutine is None:
            self._coroutine = self._make()
        return self._coroutine

    async def _make(self) -> Batch:
        self._loop = running_loop()
        self._began_at = self._loop.time()
        try:
            await self._work()
        except asyncio.CancelledError as exc:
            self._report_dropped(exc)
            raise
        except Exception as exc:
            self._report_made(exc)
            raise
        finally:
            self._ended = True
        return self._batch([o for o in self._outcomes if o is not None])

    async def _work(self) -> None:
        await self._call.work(self._take)

    def _take(self, outcome: Outcome) -> None:
        place = outcome.index
        missing = place + 1 - len(self._outcomes)
        if missing > 0:
            self._outcomes.extend([None] * missing)
        self._outcomes[place] = outcome

    def _batch(self, outcomes: list[Outcome]) -> Batch:
        elapsed = 0.0
        if self._loop is not None:
            elapsed = self._loop.time() - self._began_at
        again = self._new_retrier() if self._ended else None
        return Batch(outcomes, elapsed=elapsed, stopped=self._call.stopped, again=again)

    def _report_dropped(self, exc: BaseException) -> None:
        """Note on the cancellation what it may cost."""
        note_dropped(exc, self._call.dropped, "`partial.failures`")

    def _report_made(self, exc: Exception) -> None:
        """Note on an error that ends the call what was paid for by then, and where it is."""
        partial = self.partial
        bill, images = partial.billing, partial.images
        if not images and not bill.spent and not bill.maybe:
            return
        maybe = f" (and up to ${bill.maybe:.2f} more)" if bill.maybe else ""
        exc.add_note(
            f"{plural(len(images), 'image')} had been made, for ${bill.spent:.2f}{maybe}, before "
            f"this error ended the call{_places_of(images)}. All outcomes are in `partial` of this "
            "error and of the plan."
        )
        with contextlib.suppress(AttributeError):  # an exception class with slots
            # Most callers keep no plan: images in memory would be lost with it.
            exc.partial = partial  # type: ignore[attr-defined]

    def __del__(self) -> None:
        if self._coroutine is None:
            file, line = self._made_at
            warnings.warn_explicit(
                f"{self._describe} was never awaited: no image was made, nothing was spent. "
                "Add `await`.",
                RuntimeWarning,
                file,
                line,
                source=self,
            )

    def __repr__(self) -> str:
        if self._coroutine is not None:
            return f"<Plan: {self._describe}: {'ended' if self._ended else 'under way'}>"
        words = [f"{self._describe}: nothing is sent before it is awaited", *self._words()]
        return "<Plan: " + "\n  ".join(words) + ">"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        if self._coroutine is not None:
            state = "It has ended." if self._ended else "It is under way."
            return plan_html(self._describe, [], state)
        note = "Nothing is sent before it is awaited: batch = await plan"
        return plan_html(self._describe, self._words(), note)

    def _words(self) -> list[str]:
        """What it would do, if that can be said quickly."""
        if (self._call.jobs.count or 0) > _SHOWN:
            return []
        try:
            return list(self.preview().lines())
        except NbpError as exc:
            return [str(exc)]


class Stream(OnlyAsyncFor, AsyncIterator[Outcome]):
    """Outcomes in the order of completion; prompts are drawn as outcomes are consumed.

    A slow consumer slows the drawing of prompts: at most twice as many finished outcomes wait for
    it as there are slots. Leaving the loop early cancels what is out, which may be billed:
    `aclose()` (or `async with`) does so at once, and `dropped` has what was left; a stream that is
    only dropped does it when it is garbage collected.
    """

    def __init__(self, call: Call, width: int) -> None:
        self._call = call
        self._outcomes: asyncio.Queue[Outcome | Exception | None] = asyncio.Queue(width)
        self._runner: asyncio.Task[None] | None = None
        self._ended = False

    def stop(self) -> None:
        """Send nothing more; what was sent still comes."""
        self._call.stop()

    @property
    def ended(self) -> bool:
        """No more outcomes come."""
        return self._ended

    @property
    def dropped(self) -> tuple[Outcome, ...]:
        """After `aclose`: outcomes that were not consumed, and what was in flight."""
        return tuple(self._call.dropped)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if self._ended:
            raise StopAsyncIteration
        if self._runner is None:
            loop = running_loop()
            self._runner = loop.create_task(_feed(self._call, self._outcomes))
        item = await self._outcomes.get()
        if item is None or isinstance(item, Exception):
            self._ended = True
            await asyncio.wait([self._runner])
            self._outcomes.put_nowait(None)  # another task may wait for the next outcome
            if item is not None:
                raise item
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Cancel what is out, and wait until its connections and files are closed."""
        self._ended = True
        if self._runner is not None and not self._runner.done():
            self._runner.cancel()
            await asyncio.wait([self._runner])
        while not self._outcomes.empty():
            left = self._outcomes.get_nowait()
            if isinstance(left, Image | Failure):
                self._call.dropped.append(left)
        self._outcomes.put_nowait(None)  # another task may wait for the next outcome

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        runner = self._runner
        if runner is not None and not runner.done() and not runner.get_loop().is_closed():
            runner.get_loop().call_soon_threadsafe(runner.cancel)


async def _feed(call: Call, outcomes: "asyncio.Queue[Outcome | Exception | None]") -> None:
    """Run the call into the queue. Not a method, or its task would keep the stream alive."""
    try:
        await call.work(outcomes.put)
    except Exception as exc:  # noqa: BLE001  raised where the outcomes are awaited
        await outcomes.put(exc)
    else:
        await outcomes.put(None)


def _places_of(images: Sequence[Image]) -> str:
    """Where the images are, in words: in one folder or store, in several, or in memory."""
    folders = {image.location.rpartition("/")[0] for image in images if image.stored.path}
    places = [f"in {folder}" for folder in sorted(folders)[:2]]
    if any(not image.location for image in images):
        places.append("in memory")
    if any(image.links for image in images):
        places.append("kept as links")
    return f"; they are {' and '.join(places)}" if places else ""


def _line_of_the_caller() -> tuple[str, int]:
    """The file and the line outside this library that made the plan."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  the one way to it that costs nothing
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return ("?", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def describe(count: int | None, width: int, where: str) -> str:
    """A plan in a few words."""
    many = f"{count} prompts" if count != 1 else "1 prompt"
    many = "prompts of unknown number" if count is None else many
    return f"many({many}, {width} in flight, {where})"
