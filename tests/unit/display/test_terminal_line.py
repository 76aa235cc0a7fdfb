"""One line about a run that is under way."""

import asyncio
import io
from collections.abc import Callable
from decimal import Decimal

import pytest
from rich.console import Console

from nbp_async import AuthError, Failure, Prompt, StoppedError
from nbp_async.display.progress import Progress
from nbp_async.display.progress_counter import ProgressCounter
from nbp_async.display.terminal_line import TerminalLine
from tests.unit.display.examples import failure
from tests.unit.display.test_progress_counter import end, start


def terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def pipe() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def written(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def under_way() -> ProgressCounter:
    counts = ProgressCounter(200, 50)
    counts.images, counts.failed, counts.in_flight = 129, 2, 50
    counts.spent, counts.maybe = Decimal("17.286"), Decimal("0.134")
    return counts


def reader() -> Callable[[], Progress]:
    counts = under_way()
    return lambda: counts.progress


def drawn(line: TerminalLine) -> str:
    with line.console.capture() as capture:
        line.console.print(line.line())
    return capture.get()


def test_the_line_says_where_the_run_stands() -> None:
    line = drawn(TerminalLine(reader(), terminal()))
    assert line.count("\n") == 1
    assert "131/200 " in line
    assert "━" in line
    assert "50 in flight · 2 failed · $17.29 · perhaps $0.134 more" in line


def test_a_pause_is_shown_with_its_reason() -> None:
    counts = under_way()
    counts.pause_reason = "RateLimitError"
    assert "paused (RateLimitError)" in drawn(TerminalLine(lambda: counts.progress, terminal(120)))


def test_a_run_that_is_being_stopped_promises_no_end() -> None:
    counts = under_way()
    start(counts)
    end(counts)
    assert "left" in drawn(TerminalLine(lambda: counts.progress, terminal(120)))
    counts.stopping = True
    line = drawn(TerminalLine(lambda: counts.progress, terminal(120)))
    assert "finishing" in line
    assert "left" not in line


def test_an_echoed_ctrl_c_does_not_wrap_the_line() -> None:
    assert len(drawn(TerminalLine(reader(), terminal(100))).rstrip()) <= 96


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_the_line_is_one_line_on_any_terminal(width: int) -> None:
    line = drawn(TerminalLine(reader(), terminal(width)))
    assert line.count("\n") == 1
    assert len(line.rstrip("\n")) <= width


def test_a_narrow_terminal_gets_the_facts_and_no_bar() -> None:
    line = drawn(TerminalLine(reader(), terminal(66)))
    assert "━" not in line
    assert "$17.29" in line


@pytest.mark.parametrize(
    ("width", "facts"),
    [
        (20, "$17.29"),
        (40, "2 failed · $17.29"),
        (60, "2 failed · $17.29 · perhaps $0.134 more"),
        (80, "50 in flight · 2 failed · $17.29 · perhaps $0.134 more"),
    ],
)
def test_no_fact_is_cut_and_money_and_failures_stay_longest(width: int, facts: str) -> None:
    line = drawn(TerminalLine(reader(), terminal(width)))
    count, _, rest = line.rstrip().partition("  ")
    assert count == "131/200"
    assert rest.lstrip("━╸╺ ") == facts
    assert ("━" in rest) == (width in (40, 80))


def test_what_was_never_sent_has_not_failed() -> None:
    counts = ProgressCounter(12_000, 50)
    counts.on_outcome(failure(AuthError("no.", status=401)))
    for index in range(1, 3_000):
        counts.on_outcome(Failure(index=index, prompt=Prompt("a"), error=StoppedError("Stopped.")))
    line = drawn(TerminalLine(lambda: counts.progress, terminal(120)))
    assert "3,000/12,000" in line
    assert " 1 failed · 2,999 not sent · $0.00" in line


def test_what_comes_before_the_first_request_is_said() -> None:
    counts = ProgressCounter(200, 50)
    counts.note = "120,000 rows checked"
    assert "120,000 rows checked · 0 in flight" in drawn(
        TerminalLine(lambda: counts.progress, terminal())
    )


async def test_a_terminal_gets_a_bar_that_ends_with_the_last_state() -> None:
    counts, console = under_way(), terminal()
    async with TerminalLine(lambda: counts.progress, console) as line:
        assert line.is_drawn
        counts.images = 198
    assert not line.is_drawn
    assert "200/200" in written(console).rpartition("\r")[2]


@pytest.mark.looptime
async def test_elsewhere_a_plain_line_comes_every_ten_seconds() -> None:
    console = pipe()
    async with TerminalLine(reader(), console):
        await asyncio.sleep(35)
    lines = written(console).splitlines()
    assert lines == ["131 of 200 done, 50 in flight, 2 failed, $17.29, perhaps $0.134 more"] * 3


@pytest.mark.looptime
async def test_nothing_more_is_said_after_the_end() -> None:
    console = pipe()
    async with TerminalLine(reader(), console):
        await asyncio.sleep(5)
    await asyncio.sleep(60)
    assert written(console) == ""


@pytest.mark.looptime
async def test_a_quiet_run_says_nothing() -> None:
    for console in (pipe(), terminal()):
        async with TerminalLine(reader(), console, quiet=True):
            await asyncio.sleep(60)
        assert written(console) == ""


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    console.print(TerminalLine(reader(), console).line())
    assert "\x1b[3" not in written(console)
