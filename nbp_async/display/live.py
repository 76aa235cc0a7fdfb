"""One call, counted while it goes on, and shown in a notebook as one bar that renews itself.

What is drawn is drawn from counts, four times a second at most: events cost what counting costs.
Pictures are made small in a thread, a few a second, and only of the latest images. A display that
fails says so once in the log and is quiet from then on; the images go on.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio.to_thread

from nbp_async._errors import NbpError, StoppedError
from nbp_async._models import ZERO, Failure, Image, Outcome
from nbp_async._thumbnail import thumbnail
from nbp_async.display.bar import Picture, bar_html, bar_text
from nbp_async.display.counts import Counts
from nbp_async.display.screen import Screen
from nbp_async.display.state import Progress, Reasons, State

log = logging.getLogger("nbp_async")

EVERY = 0.25  # seconds between two drawings
PICTURES = 6  # that are shown: the latest
_EDGE = 96  # pixels of a picture's longer side
_AT_ONCE = 2  # pictures made in one go
_PAUSE = 1.0  # seconds between two goes: a processor has better things to do
_PATIENCE = 0.5  # seconds that the end of a call waits for pictures


class Live(Counts):
    """Counts one call, from `open` or entering until it is left; and shows it on `screen`.

    Args:
        width: How many requests, or tasks, may be out at once.
        total: Asked how many images there are, or None while nobody knows.
        stopped: Asked why nothing more is sent, or None.
        paused: Asked for how many seconds the vendor makes everybody wait.
        screen: Where it is shown; None to count only.
    """

    def __init__(
        self,
        width: int,
        *,
        total: Callable[[], int | None],
        stopped: Callable[[], NbpError | None],
        paused: Callable[[], float],
        screen: Screen | None = None,
    ) -> None:
        super().__init__(None, width)
        self._total = total
        self._why_stopped = stopped
        self._paused = paused
        self._screen = screen
        self._name = f"nbp-{secrets.token_hex(8)}"
        self._cell: object = None
        self._state: State = "running"
        self._why = ""
        self._reasons = Reasons()
        self._there = 0
        self._saved = ZERO
        self._fresh: dict[int, Image] = {}  # the latest without a picture, by their order
        self._pictures: dict[int, Picture] = {}
        self._drawing: asyncio.Task[None] | None = None
        self._draws_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began_at = 0.0
        self._ended_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shown = ""

    @property
    def shown(self) -> bool:
        """People see it: what it says need not be said elsewhere."""
        return self._screen is not None

    @property
    def now(self) -> Progress:
        """Where the call stands."""
        self.total = self._total()
        state = self._state
        return Progress(
            state="stopping" if state == "running" and self._why_stopped() is not None else state,
            total=self.total,
            images=self.images,
            there=self._there,
            failed=self.failed,
            reasons=self._reasons.listed(),
            in_flight=0 if self._ended_at is not None else self.in_flight,
            spent=self.spent,
            maybe=self.maybe,
            saved=self._saved,
            elapsed=self._elapsed(),
            left=self.left if self._loop is None else self.left_at(self._loop.time()),
            paused=self._paused(),
            why=self._why,
        )

    def say(self, words: str) -> None:
        """Show these words, too, until it ends."""
        self._why = words

    def open(self) -> None:
        """Begin: show it in the cell that runs now. Of no effect if it is open."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self.show_here()
        if self._screen is not None:
            self._timer = self._loop.call_later(EVERY, self._tick)

    def show_here(self) -> bool:
        """Show it in the cell that runs now, if it is not there yet; False if nobody would see."""
        screen = self._screen
        if screen is None:
            return False
        try:
            if self._cell != screen.cell:
                self._cell = screen.cell
                screen.show(self._bundle(), self._name)
        except Exception:  # noqa: BLE001  it is logged, and must not reach what is paid for
            self._give_up()
        return True

    def close(self, exc: BaseException | None = None) -> None:
        """The call has ended: show how. Of no effect after the first time."""
        if self._ended_at is not None or self._loop is None:
            return
        self._ended_at = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._state, self._why = self._ending(exc)
        self._fresh.clear()
        self._draw()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None and self._screen is not None:
                await self._last_pictures()
        finally:
            if self._drawing is not None:
                self._drawing.cancel()
            self.close(exc)

    def on_outcome(self, outcome: Outcome) -> None:
        super().on_outcome(outcome)
        if isinstance(outcome, Failure):
            self._reasons.add(outcome)
            return
        if self._screen is not None:
            self._fresh[self.images] = outcome
            self._fresh.pop(self.images - PICTURES, None)
        if outcome.resumed:
            self._there += 1
            self._saved += outcome.spent_earlier

    def _elapsed(self) -> float:
        if self._loop is None:
            return 0.0
        end = self._loop.time() if self._ended_at is None else self._ended_at
        return end - self._began_at

    def _ending(self, exc: BaseException | None) -> tuple[State, str]:
        """How it ended, and why."""
        if isinstance(exc, asyncio.CancelledError | GeneratorExit):
            return "cancelled", ""
        if exc is not None:
            return "broken", f"{type(exc).__name__}: {exc}"
        reason = self._why_stopped()
        if reason is None:
            return "done", ""
        if not isinstance(reason, StoppedError):
            return "stopped", str(reason)
        all_there = self.done == self._total() and type(reason).__name__ not in self._reasons
        return "done" if all_there else "stopped", ""

    def _tick(self) -> None:
        self._draw()
        if self._screen is None or self._loop is None:
            return
        if self._fresh and self._drawing is None and self._loop.time() >= self._draws_at:
            self._begin_pictures(_AT_ONCE)
        self._timer = self._loop.call_later(EVERY, self._tick)

    def _draw(self) -> None:
        """Show it as it stands, if that is another thing than before."""
        if self._screen is None:
            return
        try:
            bundle = self._bundle()
            if bundle["text/html"] != self._shown:
                self._shown = bundle["text/html"]
                self._screen.update(bundle, self._name)
        except Exception:  # noqa: BLE001  it is logged, and must not reach what is paid for
            self._give_up()

    def _bundle(self) -> dict[str, str]:
        now = self.now
        return {"text/html": self.html(now), "text/plain": bar_text(now)}

    def html(self, now: Progress) -> str:
        """The bar with its pictures, the latest first."""
        return bar_html(now, [self._pictures[order] for order in sorted(self._pictures)[::-1]])

    def _give_up(self) -> None:
        log.exception("The live display failed and is off for this call; its images go on.")
        self._screen = None

    def _begin_pictures(self, most: int) -> "asyncio.Task[None]":
        """Make pictures of the latest images, in a thread."""
        assert self._loop is not None, "it is open"
        some = {order: self._fresh.pop(order) for order in sorted(self._fresh)[-most:]}
        self._draws_at = self._loop.time() + _PAUSE
        self._drawing = drawing = self._loop.create_task(self._make_pictures(some))
        return drawing

    async def _make_pictures(self, images: dict[int, Image]) -> None:
        try:
            made = await anyio.to_thread.run_sync(_small, images, abandon_on_cancel=True)
            pictures = self._pictures | made
            self._pictures = {order: pictures[order] for order in sorted(pictures)[-PICTURES:]}
        except Exception:  # noqa: BLE001  it is logged, and must not reach what is paid for
            self._give_up()
        finally:
            self._drawing = None

    async def _last_pictures(self) -> None:
        """Make those that are still missing, if that is soon done."""
        if self._drawing is not None:
            await asyncio.wait([self._drawing], timeout=_PATIENCE)
        if self._drawing is None and self._fresh:
            await asyncio.wait([self._begin_pictures(PICTURES)], timeout=_PATIENCE)


def _small(images: dict[int, Image]) -> dict[int, Picture]:
    """Pictures of these images, as far as they have one."""
    pictures = {}
    for order, image in images.items():
        address = thumbnail(image, _EDGE)
        if address is not None:
            pictures[order] = Picture(address, image.index, image.prompt.text)
    return pictures
