"""`nbp` in a real terminal, as people see it: the bar, Ctrl-C once and twice, and no cut word."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.loopback.cli.terminal import TMUX, Terminal, terminal
from tests.loopback.cli.vendor import KEY, Vendor

pytestmark = pytest.mark.skipif(TMUX is None, reason="no tmux here: the terminal is its")
ORDER = "nbp many prompts.txt --out shop --max-in-flight 3; echo ended with $?"


@pytest.fixture(params=[80, 120])
async def width(request: pytest.FixtureRequest) -> int:
    columns: int = request.param
    return columns


@pytest.fixture
async def screen(vendor: Vendor, tmp_path: Path, width: int) -> AsyncIterator[Terminal]:
    (tmp_path / "prompts.txt").write_text("".join(f"prompt {n}\n" for n in range(6)))
    known = {"NBP_BASE_URL": vendor.url, "NBP_API_KEY": KEY}
    async with terminal(tmp_path, width, **known) as opened:
        yield opened


async def test_ctrl_c_once_lets_what_is_paid_finish_and_says_how_to_go_on(
    vendor: Vendor, screen: Terminal, width: int
) -> None:
    vendor.release.clear()
    await screen.type(ORDER)
    await screen.shows("0/6")
    await screen.shows("3 in flight")
    await screen.press_ctrl_c()
    await screen.shows("finishing 3 paid images (at most 5 m 0 s) - Ctrl-C again to drop them")
    vendor.release.set()
    await screen.shows("ended with 5")
    seen = await screen.shows("Run the same command again to continue.")
    assert "3 images · 3 not sent · $0.402 spent" in seen
    assert "3/6" in seen
    assert KEY not in seen
    assert all(len(line) <= width for line in seen.splitlines())
    await screen.type("clear; " + ORDER)
    await screen.shows("6 images · $0.402 spent")
    await screen.shows("3 images were there already: $0.402 saved.")
    assert len(vendor.asked) == 6


async def test_ctrl_c_twice_drops_it_and_names_what_it_may_cost(
    vendor: Vendor, screen: Terminal
) -> None:
    vendor.release.clear()
    await screen.type(ORDER)
    await screen.shows("3 in flight")
    await screen.press_ctrl_c()
    await screen.shows("Ctrl-C again to drop them")
    await screen.press_ctrl_c()
    seen = await screen.shows("ended with 3")
    assert "Traceback" not in seen
    assert "May have been billed in addition: $0.440." in seen
    assert "add --resend-ambiguous, and --max-cost with the dollars that" in " ".join(seen.split())


async def test_without_a_terminal_there_is_no_bar_and_no_colour(
    vendor: Vendor, screen: Terminal, tmp_path: Path
) -> None:
    await screen.type(ORDER.replace("; echo", " 2> said.txt; echo"))
    await screen.shows("ended with 0")
    said = (tmp_path / "said.txt").read_text()
    assert "6 images" in said
    assert "\x1b" not in said
    assert "━" not in said


async def test_doctor_and_help_fit_the_screen(screen: Terminal, width: int) -> None:
    await screen.type("nbp doctor --offline; nbp help money; echo ended with $?")
    seen = await screen.shows("ended with 0")
    assert "…cdef from NBP_API_KEY" in seen
    assert all(len(line) <= width for line in seen.splitlines())
