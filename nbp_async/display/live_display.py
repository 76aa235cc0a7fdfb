"""One call, counted while it goes on, and shown in a notebook as one bar that updates itself.

The bar is drawn from counts, four times a second at most: an event costs what counting costs.
Thumbnails are made in a thread, a few a second, and only of the latest images. A display that
fails logs it once and turns itself off; the call goes on.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio.to_thread
from msgspec.structs import replace

from nbp_async._base.errors import NbpError, StoppedError
from nbp_async._models.outcomes import Image, Outcome
from nbp_async._models.thumbnails import thumbnail
from nbp_async.display.progress import Progress, ProgressState
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.progress_html import Thumbnail, progress_html
from nbp_async.display.progress_text import progress_text
from nbp_async.display.screen import Screen

log = logging.getLogger("nbp_async")

INTERVAL = 0.25  # seconds between two drawings
MOST_THUMBNAILS = 6  # that are shown: the latest
_EDGE = 96  # pixels of a thumbnail's longer side
_AT_ONCE = 2  # thumbnails made in one go
_PAUSE = 1.0  # seconds between two goes: decoding takes a processor
_PATIENCE = 0.5  # seconds for which the end of a call waits for thumbnails


class LiveDisplay(ProgressCounter):
    """Counts one call, from `open` or entering until it is left; and shows it on `screen`.

    Args:
        max_in_flight: How many requests, or tasks, may be in flight at once.
        total: Gives the number of images, or None while unknown.
        stopped: Gives what made the call stop, or None.
        paused: Gives the seconds for which the vendor makes everybody wait.
        screen: Where it is shown; None to count only.
    """

    def __init__(
        self,
        max_in_flight: int,
        *,
        total: Callable[[], int | None],
        stopped: Callable[[], NbpError | None],
        paused: Callable[[], float],
        screen: Screen | None = None,
    ) -> None:
        super().__init__(None, max_in_flight)
        self._read_total = total
        self._read_stopped = stopped
        self._read_paused = paused
        self._screen = screen
        self._name = f"nbp-{secrets.token_hex(8)}"
        self._cell: object = None
        self._state: ProgressState = "running"
        self._note = ""
        self._waiting: dict[int, Image] = {}  # the latest without a thumbnail, in order of arrival
        self._thumbnails: dict[int, Thumbnail] = {}
        self._making: asyncio.Task[None] | None = None
        self._next_making_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began_at = 0.0
        self._ended_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shown_html = ""

    @property
    def is_shown(self) -> bool:
        """People see it: what it says need not be said elsewhere."""
        return self._screen is not None

    @property
    def progress(self) -> Progress:
        """How far the call is now."""
        self.total = self._read_total()
        self.stopping = self._read_stopped() is not None
        counted = super().progress
        now = 0.0 if self._loop is None else self._loop.time()
        end = now if self._ended_at is None else self._ended_at
        return replace(
            counted,
            state=counted.state if self._state == "running" else self._state,
            in_flight=0 if self._ended_at is not None else self.in_flight,
            elapsed=end - self._began_at,
            left=counted.left if self._loop is None else self.left_at(now),
            paused=self._read_paused(),
            note=self._note,
        )

    def set_note(self, note: str) -> None:
        """Show this as well, until the call ends."""
        self._note = note

    def open(self) -> None:
        """Begin: show it in the cell that runs now. No effect if it is open."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self.show_here()
        if self._screen is not None:
            self._timer = self._loop.call_later(INTERVAL, self._tick)

    def show_here(self) -> bool:
        """Show it in the cell that runs now, unless it is there; False if there is no screen."""
        screen = self._screen
        if screen is None:
            return False
        try:
            if self._cell != screen.cell:
                self._cell = screen.cell
                screen.show(self._bundle(), self._name)
        except Exception:  # noqa: BLE001  it is logged, and must not reach the call
            self._turn_off()
        return True

    def close(self, exc: BaseException | None = None) -> None:
        """The call has ended: show how. No effect after the first time."""
        if self._ended_at is not None or self._loop is None:
            return
        self._ended_at = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._state, self._note = self._ending(exc)
        self._waiting.clear()
        self._draw()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            if exc is None and self._screen is not None:
                await self._make_last_thumbnails()
        finally:
            if self._making is not None:
                self._making.cancel()
            self.close(exc)

    def on_outcome(self, outcome: Outcome) -> None:
        super().on_outcome(outcome)
        if isinstance(outcome, Image) and self._screen is not None:
            self._waiting[self.images] = outcome
            self._waiting.pop(self.images - MOST_THUMBNAILS, None)

    def html(self) -> str:
        """The bar with its thumbnails, the latest first."""
        return self._html(self.progress)

    def _html(self, now: Progress) -> str:
        latest_first = sorted(self._thumbnails, reverse=True)
        return progress_html(now, [self._thumbnails[order] for order in latest_first])

    def _ending(self, exc: BaseException | None) -> tuple[ProgressState, str]:
        """How it ended, and a note that says why."""
        if isinstance(exc, asyncio.CancelledError | GeneratorExit):
            return "cancelled", ""
        if exc is not None:
            return "broken", f"{type(exc).__name__}: {exc}"
        stopped = self._read_stopped()
        if stopped is None:
            return "done", ""
        if not isinstance(stopped, StoppedError):
            return "stopped", str(stopped)
        # stop() after the last prompt was sent stops nothing: such a call is done.
        whole = self.images + self.failed == self._read_total()
        return "done" if whole and type(stopped).__name__ not in self.failures else "stopped", ""

    def _tick(self) -> None:
        self._draw()
        if self._screen is None or self._loop is None:
            return
        if self._waiting and self._making is None and self._loop.time() >= self._next_making_at:
            self._start_thumbnails(_AT_ONCE)
        self._timer = self._loop.call_later(INTERVAL, self._tick)

    def _draw(self) -> None:
        """Show it as it is now, if that differs from what is shown."""
        if self._screen is None:
            return
        try:
            bundle = self._bundle()
            if bundle["text/html"] != self._shown_html:
                self._shown_html = bundle["text/html"]
                self._screen.update(bundle, self._name)
        except Exception:  # noqa: BLE001  it is logged, and must not reach the call
            self._turn_off()

    def _bundle(self) -> dict[str, str]:
        now = self.progress
        return {"text/html": self._html(now), "text/plain": progress_text(now)}

    def _turn_off(self) -> None:
        log.exception("The live display failed and is off for this call; its images go on.")
        self._screen = None

    def _start_thumbnails(self, most: int) -> "asyncio.Task[None]":
        """Make thumbnails of the latest images, in a thread."""
        assert self._loop is not None, "it is open"
        latest = {order: self._waiting.pop(order) for order in sorted(self._waiting)[-most:]}
        self._next_making_at = self._loop.time() + _PAUSE
        self._making = making = self._loop.create_task(self._make_thumbnails(latest))
        return making

    async def _make_thumbnails(self, images: dict[int, Image]) -> None:
        try:
            made = await anyio.to_thread.run_sync(_thumbnails_of, images, abandon_on_cancel=True)
            known = self._thumbnails | made
            self._thumbnails = {order: known[order] for order in sorted(known)[-MOST_THUMBNAILS:]}
        except Exception:  # noqa: BLE001  it is logged, and must not reach the call
            self._turn_off()
        finally:
            self._making = None

    async def _make_last_thumbnails(self) -> None:
        """Make those that are still missing, if that does not take long."""
        if self._making is not None:
            await asyncio.wait([self._making], timeout=_PATIENCE)
        if self._making is None and self._waiting:
            await asyncio.wait([self._start_thumbnails(MOST_THUMBNAILS)], timeout=_PATIENCE)


def _thumbnails_of(images: dict[int, Image]) -> dict[int, Thumbnail]:
    """Thumbnails of the images that can have one."""
    made = {}
    for order, image in images.items():
        address = thumbnail(image, _EDGE)
        if address is not None:
            made[order] = Thumbnail(address, image.index, image.prompt.text)
    return made
