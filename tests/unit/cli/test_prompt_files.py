"""A terminal shows how far a long file of prompts is read."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from nbp_async import ConfigError
from nbp_async.cli.prompt_files import FileOptions

CLEARED = "\r\x1b[K"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_long_file_shows_its_rows_while_it_is_read(tmp_path: Path, is_terminal: bool) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a bicycle\n" * 20_000)
    console = Console(file=StringIO(), force_terminal=is_terminal, _environ={"TERM": "xterm"})
    file = FileOptions(file=str(path), column=None, format=None).read(console)
    assert len(file) == 20_000
    shown = console.file.getvalue() if isinstance(console.file, StringIO) else ""
    steps = [f"Reading {path}: {rows:,} rows ..." for rows in (10_000, 20_000)]
    assert shown == (CLEARED.join(["", *steps, ""]) if is_terminal else "")


def test_the_line_is_gone_before_an_error_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('"a bicycle"\n' * 10_000 + "{")
    console = Console(file=StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    with pytest.raises(ConfigError, match="line 10001: not JSON"):
        FileOptions(file=str(path), column=None, format=None).read(console)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().endswith(CLEARED)
