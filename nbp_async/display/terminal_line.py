"""The progress of a call on stderr: a bar on a terminal, elsewhere a plain line now and then.

stdout is left to the data.
"""

import asyncio
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nbp_async._base.text import format_dollars, format_seconds
from nbp_async.display.progress import Progress

_WIDEST_BAR = 40
_NARROWEST_BAR = 8  # characters: a shorter one says nothing
_ECHO = 2  # characters kept free: a terminal that echoes ^C must not wrap the line
_GAP = 2  # characters between cells
_JOINT = " · "


class TerminalLine:
    """Shows the progress of a call while its context lasts.

    Args:
        read: Gives the progress. On a terminal it is drawn eight times a second; elsewhere a line
            is added every `every` seconds.
        console: Where to show it.
        quiet: Show nothing.
    """

    def __init__(
        self,
        read: Callable[[], Progress],
        console: Console,
        *,
        every: float = 10.0,
        quiet: bool = False,
    ) -> None:
        self.console = console
        self._read = read
        self._every = every
        self._quiet = quiet
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_drawn(self) -> bool:
        """There is a bar on the terminal: whatever else is printed must go through `console`."""
        return self._live is not None

    async def __aenter__(self) -> Self:
        if self._quiet:
            return self
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self.line,
                console=self.console,
                refresh_per_second=8,
                redirect_stdout=False,
            )
            self._live.start()
        else:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._print)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self) -> Table:
        """The line as it is now, as wide as the terminal allows."""
        now = self._read()
        total = "" if now.total is None else f"/{now.total:,}"
        count = Text(f"{now.done:,}{total}", "bold")
        wide = self.console.width - count.cell_len - _GAP - _ECHO
        facts = _fitting(_facts(now), wide)
        room = wide - facts.cell_len - _GAP - _ECHO
        line = Table.grid(padding=(0, _GAP, 0, 0))
        cells: list[Text | ProgressBar] = [count, facts]
        if room >= _NARROWEST_BAR:
            bar = ProgressBar(
                now.total,
                now.done,
                width=min(room, _WIDEST_BAR),
                pulse=now.total is None,
                finished_style="green" if not now.failed else "yellow",
            )
            cells.insert(1, bar)
        for _ in cells:
            line.add_column(no_wrap=True, overflow="crop")
        line.add_row(*cells)
        return line

    def _print(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._print)
        now = self._read()
        total = "" if now.total is None else f" of {now.total:,}"
        words = ", ".join(fact.text.plain for fact in _facts(now))
        self.console.print(f"{now.done:,}{total} done, {words}", markup=False, soft_wrap=True)


class _Fact(NamedTuple):
    """A fact, and its rank: on a narrow terminal facts of rank 1 stay longest."""

    rank: int
    text: Text


def _fitting(facts: Iterator[_Fact], wide: int) -> Text:
    """As many facts as so many characters have room for, in their usual order."""
    kept = list(facts)
    while True:
        line = Text(_JOINT).join([fact.text for fact in kept])
        if line.cell_len <= wide or len(kept) < 2:
            return line
        kept.remove(max(kept, key=lambda fact: fact.rank))


def _facts(now: Progress) -> Iterator[_Fact]:
    has_ended = now.done == now.total
    if now.note:
        yield _Fact(2, Text(now.note, "cyan"))
    if not has_ended:
        yield _Fact(4, Text(f"{now.in_flight:,} in flight", "cyan"))
    if failed := now.failed - now.unsent:
        yield _Fact(2, Text(f"{failed:,} failed", "red"))
    if now.unsent:
        yield _Fact(3, Text(f"{now.unsent:,} not sent", "yellow"))
    yield _Fact(1, Text(format_dollars(now.spent)))
    if now.maybe:
        yield _Fact(3, Text(f"perhaps {format_dollars(now.maybe)} more", "yellow"))
    if now.limit and not now.pause_reason and not has_ended:
        yield _Fact(6, Text(f"finding the limit: {now.limit}", "cyan"))
    if now.pause_reason:
        yield _Fact(3, Text(f"paused ({now.pause_reason})", "yellow"))
    elif now.state == "stopping":
        yield _Fact(3, Text("finishing", "yellow"))
    elif now.left is not None and not has_ended:
        yield _Fact(5, Text(f"about {format_seconds(now.left)} left", "dim"))
