"""A live display: seldom drawn, never in the way, and its last word is how it ended."""

import asyncio
import itertools
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest

from nbp_async import NbpError, NoImageError, RateLimitError, StoppedError
from nbp_async.display.live_display import LiveDisplay
from nbp_async.display.screen import Notebook, screen_for
from tests.unit.display.examples import failure, image

pytestmark = pytest.mark.looptime


class Wall:
    """A screen that keeps what it was shown, and when."""

    def __init__(self) -> None:
        self.cell: object = 1
        self.shown: list[tuple[str, str, float]] = []
        self.html = ""
        self.names: set[str] = set()
        self.broken = False

    def show(self, bundle: Mapping[str, str], name: str) -> None:
        self._keep("show", bundle, name)

    def update(self, bundle: Mapping[str, str], name: str) -> None:
        self._keep("update", bundle, name)

    def _keep(self, how: str, bundle: Mapping[str, str], name: str) -> None:
        self.names.add(name)
        if self.broken:
            raise OSError("the notebook was closed")
        self.html = bundle["text/html"]
        at = asyncio.get_running_loop().time()
        self.shown.append((how, bundle["text/plain"], at))


def live(
    wall: Wall | None, *, total: int | None = 10, stopped: list[NbpError] | None = None
) -> LiveDisplay:
    reasons: list[NbpError] = [] if stopped is None else stopped
    return LiveDisplay(
        4,
        total=lambda: total,
        stopped=lambda: reasons[0] if reasons else None,
        paused=lambda: 0.0,
        screen=wall,
    )


async def test_it_is_drawn_four_times_a_second_at_most_and_once_at_the_end() -> None:
    wall = Wall()
    async with live(wall) as call:
        for n in range(100):
            call.on_outcome(image("gone.png", index=n))
            await asyncio.sleep(0.05)
    assert wall.shown[0][0] == "show"
    assert {how for how, _, _ in wall.shown[1:]} == {"update"}
    times = [at for _, _, at in wall.shown]
    assert all(later - sooner >= 0.249 for sooner, later in itertools.pairwise(times[:-1]))
    assert len(wall.names) == 1
    assert wall.shown[-1][1].startswith("100 images · $0.00 · 5.")
    drawn = len(wall.shown)
    await asyncio.sleep(10)
    assert len(wall.shown) == drawn


async def test_a_display_that_fails_says_so_once_and_the_call_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wall = Wall()
    async with live(wall) as call:
        await asyncio.sleep(1)
        wall.broken = True
        await asyncio.sleep(5)
        call.on_outcome(image("gone.png"))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "is off for this call" in caplog.text
    assert call.progress.images == 1


async def test_it_is_there_once_in_each_cell_that_shows_it() -> None:
    wall = Wall()
    async with live(wall) as call:
        assert call.show_here()
        wall.cell = 2
        assert call.show_here()
        assert call.show_here()
    assert [how for how, _, _ in wall.shown].count("show") == 2
    assert not live(None).show_here()


async def test_failures_are_grouped_by_their_reason() -> None:
    async with live(None) as call:
        call.on_outcome(failure(RateLimitError("slow down", status=429)))
        for _ in range(3):
            call.on_outcome(failure(NoImageError("refused by the model", reason="SAFETY"), "yes"))
    now = call.progress
    assert [(r.reason, r.count) for r in now.reasons] == [
        ("NoImageError", 3),
        ("RateLimitError", 1),
    ]
    assert now.reasons[0].spent > 0
    assert (now.failed, now.state) == (4, "done")


@pytest.mark.parametrize(
    ("exc", "reason", "total", "state"),
    [
        (None, None, 1, "done"),
        (None, StoppedError("stop"), 1, "done"),
        (None, StoppedError("stop"), 10, "stopped"),
        (None, RateLimitError("for a day", status=429), 10, "stopped"),
        (asyncio.CancelledError(), None, 10, "cancelled"),
        (OSError("broken"), None, 10, "broken"),
    ],
)
async def test_its_last_word_is_how_it_ended(
    exc: BaseException | None, reason: NbpError | None, total: int, state: str
) -> None:
    call = live(None, total=total, stopped=[reason] if reason is not None else None)
    call.open()
    call.on_outcome(image("a.png"))
    assert call.progress.state == ("running" if reason is None else "stopping")
    call.close(exc)
    call.close(None)
    assert call.progress.state == state
    assert call.progress.note == {"broken": "OSError: broken", "stopped": str(reason)}.get(
        state if not isinstance(reason, StoppedError) else "", ""
    )


class Shell(SimpleNamespace):
    """What IPython hands out in a kernel."""


def in_kernel(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_only_a_kernel_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert screen_for(progress=True) is None
    in_kernel(monkeypatch, None)
    assert screen_for(progress=True) is None
    in_kernel(monkeypatch, Shell())  # IPython in a terminal
    assert screen_for(progress=True) is None
    in_kernel(monkeypatch, Shell(kernel=object(), execution_count=3))
    found = screen_for(progress=True)
    assert found is not None
    assert found.cell == 3


def test_it_is_off_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    in_kernel(monkeypatch, Shell(kernel=object(), execution_count=3))
    assert screen_for(progress=False) is None
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(screen_for(progress=True)))
    thread.start()
    thread.join()
    assert found == [None]
    monkeypatch.setenv("NBP_PROGRESS", "0")
    assert screen_for(progress=True) is None


def test_what_was_renewed_between_two_cells_is_said_again_as_the_next_begins() -> None:
    """Once: and only how it stands by then."""
    said: list[tuple[str, bool]] = []
    hooks: list[Callable[[object], None]] = []
    events = SimpleNamespace(
        register=lambda _event, hook: hooks.append(hook),
        unregister=lambda _event, hook: hooks.remove(hook),
    )

    def publish(bundle: Mapping[str, str], transient: object, *, update: bool) -> None:
        said.append((bundle["text/html"], update))

    screen = Notebook(Shell(events=events, display_pub=SimpleNamespace(publish=publish)))
    screen.show({"text/html": "a"}, "bar")
    assert not hooks
    for html in "bc":
        screen.update({"text/html": html}, "bar")
    (hook,) = hooks
    hook(None)
    assert not hooks
    assert said == [("a", False), ("b", True), ("c", True), ("c", True)]
