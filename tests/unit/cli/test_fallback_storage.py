"""An image that the disk refused is put where there is room, or is named as lost."""

import hashlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from nbp_async import Image, Prompt
from nbp_async._models.outcomes import MemoryBytes, Stored
from nbp_async.cli.destination import Destination
from nbp_async.cli.fallback_storage import save_elsewhere
from nbp_async.cli.outcome_lines import OutcomeLines
from tests.pictures import png

DATA = png(4, 4)


def image(index: int = 0, extras: tuple[Image, ...] = ()) -> Image:
    stored = Stored(len(DATA), hashlib.sha256(DATA).digest(), MemoryBytes(DATA))
    return Image(
        index=index,
        prompt=Prompt(text="a"),
        stored=stored,
        format="png",
        width=4,
        height=4,
        extras=extras,
    )


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=500)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_folder_that_takes_it_gets_it(tmp_path: Path, console: Console) -> None:
    path = save_elsewhere(image(6), [tmp_path / "none", tmp_path], console)
    assert path is not None
    assert path.parent == tmp_path
    assert path.read_bytes() == DATA
    assert "Image 7" in said(console)
    assert str(path) in said(console)


def test_nobody_s_file_is_replaced(tmp_path: Path, console: Console) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = save_elsewhere(image(), [tmp_path / "a"], console)
    assert first is not None
    second = save_elsewhere(image(), [tmp_path / "a", tmp_path / "b"], console)
    assert second is not None
    assert second.parent == tmp_path / "b"


def test_what_no_folder_takes_is_named(tmp_path: Path, console: Console) -> None:
    assert save_elsewhere(image(), [tmp_path / "none"], console) is None
    assert "paid for" in said(console)
    assert "No such file" in said(console)


def test_the_lines_of_a_command_name_the_files_that_were_rescued(
    tmp_path: Path, console: Console
) -> None:
    made = OutcomeLines(
        destination=Destination(folder=tmp_path),
        name=lambda image: image.location,
        console=console,
        as_json=False,
    )
    lines = list(made.of(image(0, extras=(image(1),))))
    assert {Path(line) for line in lines} == set(tmp_path.iterdir())
    assert len(lines) == 2
