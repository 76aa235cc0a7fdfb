"""A terminal shows how far a long file of prompts is read."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from nbp_async import ConfigError, read_prompts
from nbp_async.cli.make_images import watch_check
from nbp_async.cli.prompt_files import FileOptions
from nbp_async.display.progress_counter import ProgressCounter
from tests.unit.display.test_progress_counter import start

CLEARED = "\r\x1b[K"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_file_shows_its_rows_while_it_is_read(tmp_path: Path, is_terminal: bool) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a bicycle\n" * 20_000)
    environ = {"TERM": "xterm"}
    console = Console(file=StringIO(), force_terminal=is_terminal, width=200, _environ=environ)
    file = FileOptions(file=str(path)).read(console)
    assert len(file) == 20_000
    shown = console.file.getvalue() if isinstance(console.file, StringIO) else ""
    steps = [f"Reading {path}: {rows:,} rows ..." for rows in (10_000, 20_000)]
    assert shown == (CLEARED.join(["", *steps, ""]) if is_terminal else "")


def test_a_long_name_is_shortened_to_the_width_of_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / f"{'p' * 200}.txt"
    path.write_text("a bicycle\n" * 10_000)
    console = Console(file=StringIO(), force_terminal=True, width=60, _environ={"TERM": "xterm"})
    FileOptions(file=str(path)).read(console)
    assert isinstance(console.file, StringIO)
    (line,) = filter(None, console.file.getvalue().split(CLEARED))
    assert len(line) == 59
    assert line.endswith("…: 10,000 rows ...")


def test_the_bar_says_how_far_a_long_file_is_checked_before_the_first_request(
    tmp_path: Path,
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a bicycle\n" * 25_000)
    file, counter = read_prompts(path), ProgressCounter(25_000, 10)
    watch_check(file, counter)
    assert len(list(file)) == 25_000
    assert counter.progress.note == "20,000 rows checked"
    start(counter)
    assert counter.progress.note == ""
    assert len(list(file)) == 25_000  # drawn while the call runs
    assert counter.progress.note == ""


def test_the_line_is_gone_before_an_error_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('"a bicycle"\n' * 10_000 + "{")
    console = Console(file=StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    with pytest.raises(ConfigError, match="line 10001: not JSON"):
        FileOptions(file=str(path)).read(console)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().endswith(CLEARED)
