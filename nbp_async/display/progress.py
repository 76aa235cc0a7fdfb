"""One line about a run that is under way: a bar on a terminal, a plain line now and then elsewhere.

It goes to stderr, where people look; stdout is left to the data.
"""

import asyncio
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nbp_async._words import money, span
from nbp_async.display.counts import Counts

_WIDEST_BAR = 40
_NARROWEST_BAR = 8  # characters: a shorter one says nothing
_SLACK = 4  # characters kept free: a terminal that echoes ^C must not wrap the line


class Progress:
    """Shows `counts` while its context lasts.

    Args:
        counts: What to show; it is read, never changed.
        console: Where. On a terminal the line is drawn again eight times a second; elsewhere a
            line is added every `every` seconds.
        quiet: Show nothing.
    """

    def __init__(
        self, counts: Counts, console: Console, *, every: float = 10.0, quiet: bool = False
    ) -> None:
        self.console = console
        self._counts = counts
        self._every = every
        self._quiet = quiet
        self._live: Live | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def drawn(self) -> bool:
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
            self._timer = asyncio.get_running_loop().call_later(self._every, self._say)
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
        """The line as it stands now, as wide as the terminal allows."""
        counts = self._counts
        facts = Text(" · ").join(self._facts())
        total = "" if counts.total is None else f"/{counts.total}"
        count = Text(f"{counts.done}{total}", "bold")
        room = self.console.width - count.cell_len - facts.cell_len - 4 - _SLACK
        line = Table.grid(padding=(0, 2, 0, 0))
        cells: list[Text | ProgressBar] = [count, facts]
        if room >= _NARROWEST_BAR:
            bar = ProgressBar(
                counts.total,
                counts.done,
                width=min(room, _WIDEST_BAR),
                pulse=counts.total is None,
                finished_style="green" if not counts.failed else "yellow",
            )
            cells.insert(1, bar)
        for _ in cells:
            line.add_column(no_wrap=True, overflow="crop")
        line.add_row(*cells)
        return line

    def _facts(self) -> list[Text]:
        counts = self._counts
        facts = []
        if counts.done != counts.total:
            facts.append(Text(f"{counts.in_flight} in flight", "cyan"))
        if counts.failed:
            facts.append(Text(f"{counts.failed} failed", "red"))
        facts.append(Text(money(counts.spent)))
        if counts.maybe:
            facts.append(Text(f"perhaps {money(counts.maybe)} more", "yellow"))
        if counts.pause:
            facts.append(Text(f"paused ({counts.pause})", "yellow"))
        elif counts.stopping:
            facts.append(Text("finishing", "yellow"))
        elif counts.left is not None and counts.done != counts.total:
            facts.append(Text(f"about {span(counts.left)} left", "dim"))
        return facts

    def _say(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._say)
        counts = self._counts
        total = "" if counts.total is None else f" of {counts.total}"
        words = ", ".join(fact.plain for fact in self._facts())
        self.console.print(f"{counts.done}{total} done, {words}", markup=False, soft_wrap=True)
