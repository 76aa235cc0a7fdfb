"""What a run writes is for its owner alone, unless the umask or an option says otherwise."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbp_async._journal.base import JOURNAL, MANIFEST
from nbp_async._journal.rebuild import rebuild_run
from nbp_async._journal.sqlite import SqliteJournal
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
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
