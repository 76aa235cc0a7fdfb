"""What `many` and `stream` give back: work that is planned, and begins when it is asked for."""

import asyncio
import os
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from nbp_async._batch import Again, Batch
from nbp_async._errors import ConfigError, NbpError
from nbp_async._flow.errand import Errand
from nbp_async._flow.preview import Preview
from nbp_async._flow.source import BadPrompt
from nbp_async._models import ZERO, Failure, Image, Outcome
from nbp_async._refusals import Unawaited
from nbp_async.display.bar import plan_html
from nbp_async.display.live import Live

_SHOWN = 20_000  # prompts that are looked at for a repr: about a tenth of a second
_HERE = f"{Path(__file__).parent.parent}{os.sep}"


class Plan(Unawaited, Coroutine[Any, Any, Batch]):
    """Images that were asked for and not begun: await it to make them, and get the Batch.

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
        errand: Errand,
        describe: str,
        look: Callable[[], Preview | None],
        again: Callable[[], Again],
    ) -> None:
        self._errand = errand
        self._describe = describe
        self._look = look
        self._again = again
        self._ended = False
        self._outcomes: list[Outcome | None] = []
        self._began_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coroutine: Coroutine[Any, Any, Batch] | None = None
        self._asked_at = _line_of_the_caller()

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for, and the batch then has what came."""
        self._errand.stop()

    def apart(self) -> Live:
        """Get ready to run beside other work: what counts it from now on, and shows it."""
        return self._errand.apart()

    def preview(self) -> Preview:
        """What it would do now: how many images, for how much, how long. Nothing is sent.

        Reads the run's journal and the reference files, and blocks as long as that takes.

        Raises:
            ConfigError: A prompt cannot be sent, or the prompts are not a list or tuple: what is
                drawn lazily cannot be looked at beforehand.
            JournalError: The run's journal cannot be read.
        """
        try:
            found = self._look()
        except BadPrompt as bad:
            problem = ConfigError(f"prompts[{bad.index}]: {bad.error}")
        else:
            if found is not None:
                return found
            problem = ConfigError(
                "Prompts that are drawn lazily cannot be looked at beforehand: give a list. "
                "Nothing was sent."
            )
        raise problem

    @property
    def partial(self) -> Batch:
        """The outcomes so far. After a cancellation: also those that may have been billed."""
        came = [o for o in self._outcomes if o is not None]
        known = {o.index for o in came}
        came += [o for o in self._errand.dropped if o.index not in known]
        return self._batch(sorted(came, key=lambda o: o.index))

    def send(self, value: Any) -> Any:
        """Go on as a coroutine does: a plan may be made a task."""
        return self._started().send(value)

    def throw(self, *args: Any) -> Any:
        """Raise in the plan as in a coroutine."""
        return self._started().throw(*args)

    def close(self) -> None:
        """Forget it; like a coroutine that was closed it cannot be awaited any more."""
        self._started().close()

    def __await__(self) -> Generator[Any, Any, Batch]:
        return self._started().__await__()

    def _started(self) -> Coroutine[Any, Any, Batch]:
        if self._coroutine is None:
            self._coroutine = self._make()
        return self._coroutine

    async def _make(self) -> Batch:
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        try:
            await self._work()
        except asyncio.CancelledError as exc:
            self._report(exc)
            raise
        finally:
            self._ended = True
        return self._batch([o for o in self._outcomes if o is not None])

    async def _work(self) -> None:
        await self._errand.work(self._take)

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
        again = self._again() if self._ended else None
        return Batch(outcomes, elapsed=elapsed, stopped=self._errand.stopped, again=again)

    def _report(self, exc: BaseException) -> None:
        """Say with the cancellation what it may cost."""
        dropped = [o for o in self._errand.dropped if isinstance(o, Failure)]
        dollars = sum((o.spent + o.maybe_spent for o in dropped), ZERO)
        if dropped:
            exc.add_note(
                f"{len(dropped)} images were in flight and may have been billed: up to "
                f"${dollars:.2f}. They are named in the plan's `partial.failures`."
            )

    def __del__(self) -> None:
        if self._coroutine is None:
            file, line = self._asked_at
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
        """What a notebook shows of it."""
        if self._coroutine is not None:
            state = "It has ended." if self._ended else "It is under way."
            return plan_html(self._describe, [], state)
        note = "Nothing is sent before it is awaited: batch = await plan"
        return plan_html(self._describe, self._words(), note)

    def _words(self) -> list[str]:
        """What it would do, as far as that is soon said."""
        if (self._errand.jobs.count or 0) > _SHOWN:
            return []
        try:
            return list(self.preview().lines())
        except NbpError as exc:
            return [str(exc)]


class Stream(AsyncIterator[Outcome]):
    """Outcomes in the order of completion, drawn as they are consumed.

    A slow consumer slows the drawing of prompts; at most twice as many finished outcomes wait for
    it as there are slots. Leaving the loop early cancels what is out, which may be billed:
    `aclose()` (or `async with`) does so at once and hands out what was left in `dropped`;
    dropping the stream does it when it is collected.
    """

    def __init__(self, errand: Errand, width: int) -> None:
        self._errand = errand
        self._outcomes: asyncio.Queue[Outcome | Exception | None] = asyncio.Queue(width)
        self._runner: asyncio.Task[None] | None = None
        self._ended = False

    def stop(self) -> None:
        """Send nothing more; what was sent still comes."""
        self._errand.stop()

    @property
    def dropped(self) -> tuple[Outcome, ...]:
        """After `aclose`: what had ended and was not consumed, and what was in flight."""
        return tuple(self._errand.dropped)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if self._ended:
            raise StopAsyncIteration
        if self._runner is None:
            work = _feed(self._errand, self._outcomes)
            self._runner = asyncio.get_running_loop().create_task(work)
        item = await self._outcomes.get()
        if item is None or isinstance(item, Exception):
            self._ended = True
            await asyncio.wait([self._runner])
            if item is not None:
                raise item
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Cancel what is out and wait until it has let go of everything."""
        self._ended = True
        if self._runner is not None and not self._runner.done():
            self._runner.cancel()
            await asyncio.wait([self._runner])
        while not self._outcomes.empty():
            left = self._outcomes.get_nowait()
            if isinstance(left, Image | Failure):
                self._errand.dropped.append(left)
        self._outcomes.put_nowait(None)  # somebody else may wait for the next outcome

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


async def _feed(errand: Errand, outcomes: "asyncio.Queue[Outcome | Exception | None]") -> None:
    """Run the errand into the queue; stands apart so that the task does not keep the stream."""
    try:
        await errand.work(outcomes.put)
    except Exception as exc:  # noqa: BLE001  it is raised where the outcomes are awaited
        await outcomes.put(exc)
    else:
        await outcomes.put(None)


def _line_of_the_caller() -> tuple[str, int]:
    """The file and the line outside of this library that asks for the plan."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  the one way to it that costs nothing
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return ("?", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def describe(count: int | None, width: int, where: str) -> str:
    """A plan in a few words."""
    many = f"{count} prompts" if count != 1 else "1 prompt"
    many = "prompts of unknown number" if count is None else many
    return f"many({many}, {width} in flight, {where})"
