"""What a run writes is for its owner alone, unless the umask or an option says otherwise."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.rebuild import rebuild_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._models.outcomes import Image, Prompt, Stored
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._webhooks.inbox import SqliteInbox
from nbp_async.cli.app import app
from nbp_async.display.timeline import Timeline
from tests.unit.journal.test_manifest import end

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")


@pytest.fixture(params=[0o022, 0o002, 0o077, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


async def make_run(folder: Path, *, shared: bool = False) -> None:
    """Write an image, a journal and a manifest."""
    threads = FileThreads()
    writer = await DirectorySink(folder, threads, shared=shared).open()
    await writer.write(b"image")
    await writer.commit("cat", ".png")
    threads.close()
    journal = await SqliteJournal.open(
        folder / JOURNAL,
        account="me",
        folder=folder,
        wall_clock=lambda: 0.0,
        manifest=folder / MANIFEST,
        shared=shared,
    )
    await end(journal, 0)
    await journal.totals()
    assert rights(folder)[f"{JOURNAL}-wal"] == rights(folder)[JOURNAL]
    await journal.aclose()


def rights(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


@pytest.mark.parametrize("shared", [False, True])
async def test_files_and_folders_of_a_run(tmp_path: Path, umask: int, shared: bool) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "deep" / "er"
    await make_run(folder, shared=shared)
    files, folders = (0o666, 0o777) if shared else (0o600, 0o700)
    found = rights(folder)
    assert found.keys() > {JOURNAL, MANIFEST, "journal.lock"}
    assert len(found) == 4
    assert set(found.values()) == {files & ~umask}, found
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [
        folders & ~umask
    ] * 2
    assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_a_stricter_umask_holds(tmp_path: Path) -> None:
    """One that takes a right from the owner as well."""
    old = os.umask(0o277)
    try:
        threads = FileThreads()
        writer = await DirectorySink(tmp_path, threads).open()
        await writer.write(b"image")
        stored = await writer.commit("cat", ".png")
        threads.close()
    finally:
        os.umask(old)
    assert Path(stored.path).stat().st_mode & 0o777 == 0o400


async def test_what_exists_keeps_its_rights(tmp_path: Path) -> None:
    """A folder and files that the user has opened to others, through a rewriting and a rebuild."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o750)
    await make_run(folder)
    for name in (JOURNAL, MANIFEST):
        (folder / name).chmod(0o640)
    content = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(content + content)  # it is rewritten when the run is opened
    journal = await SqliteJournal.open(
        folder / JOURNAL,
        account="me",
        folder=folder,
        wall_clock=lambda: 0.0,
        manifest=folder / MANIFEST,
    )
    await journal.aclose()
    assert (folder / MANIFEST).read_bytes() == content
    rebuild_run(folder)
    found = rights(folder)
    assert (found[JOURNAL], found[MANIFEST]) == (0o640, 0o640)
    assert folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["export", "--to", "csv", "-o"], "run.csv"),
        (["export", "--to", "json", "-o"], "run.json"),
        (["show", "--html"], "pages/index.html"),
    ],
)
async def test_what_is_made_of_a_run(
    tmp_path: Path, umask: int, words: list[str], name: str
) -> None:
    await make_run(tmp_path / "run")
    file = tmp_path / name
    done = CliRunner().invoke(app, [*words, str(file), str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert file.stat().st_mode & 0o777 == 0o600 & ~umask
    file.chmod(0o644)
    assert CliRunner().invoke(app, [*words, str(file), str(tmp_path / "run")]).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o644, "what exists keeps its rights"
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]
    if file.parent != tmp_path:
        assert file.parent.stat().st_mode & 0o777 == 0o700 & ~umask


def test_images_and_timelines_that_are_saved(tmp_path: Path, umask: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"image")
    stored = Stored(5, b"0" * 32, str(source))
    image = Image(index=0, prompt=Prompt("a cat"), stored=stored, format="png", width=1, height=1)
    for shared in (False, True):
        mode = (0o666 if shared else 0o600) & ~umask
        saved = image.save(tmp_path / f"cat-{shared}.png", shared=shared)
        assert (saved.read_bytes(), saved.stat().st_mode & 0o777) == (b"image", mode)
        page = Timeline([]).save(tmp_path / f"{shared}.svg", shared=shared)
        assert page.stat().st_mode & 0o777 == mode


async def test_the_inbox_of_webhooks(tmp_path: Path, umask: int) -> None:
    inbox = SqliteInbox(tmp_path / "hooks.sqlite3")
    await inbox.open()
    found = rights(tmp_path)
    await inbox.aclose()
    assert set(found.values()) == {0o600 & ~umask}, found
