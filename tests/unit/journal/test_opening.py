"""What is found where a journal should be, and what is done with it: mended, or left as it is."""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import JournalError, RunBusyError
from nbp_async._journal.compatibility import connect
from nbp_async._journal.run_lock import RunLock
from nbp_async._journal.schema import APPLICATION
from nbp_async._journal.sqlite import SqliteJournal
from tests.unit.journal.made import job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="flock")


async def opened(path: Path, **more: Any) -> SqliteJournal:
    given: dict[str, Any] = {"account": "me", "folder": path.parent, "wall_clock": lambda: 0.0}
    return await SqliteJournal.open(path, **(given | more))


async def test_one_that_was_killed_before_its_tables_were_made_is_begun_again(
    tmp_path: Path,
) -> None:
    """The header is written before the tables are: a kill in between leaves just that."""
    path = tmp_path / "journal.sqlite3"
    connect(path, wait_for_disk=True).close()
    assert path.stat().st_size > 0
    journal = await opened(path)
    assert (await journal.claim(job(), bytes(32))).item == 1
    await journal.aclose()
    assert sqlite3.connect(path).execute("PRAGMA application_id").fetchone() == (APPLICATION,)


@pytest.mark.parametrize(
    "pragma", ["PRAGMA application_id=7", "PRAGMA user_version=1", "CREATE TABLE theirs (x)"]
)
async def test_an_empty_database_of_somebody_else_is_left_as_it_is(
    tmp_path: Path, pragma: str
) -> None:
    path = tmp_path / "journal.sqlite3"
    db = sqlite3.connect(path)
    db.execute(pragma)
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"not a journal of nbp_async\. Nothing was changed"):
        await opened(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*-wal"))


async def test_a_text_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"dear diary" * 1000)
    with pytest.raises(JournalError, match=r"not a journal.*Nothing was changed"):
        await opened(path)
    assert path.read_bytes() == b"dear diary" * 1000


def open_files(folder: Path) -> list[str]:
    """The files of a folder that this process has open, where the system tells."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        return []
    names = [str(fd.readlink()) for fd in descriptors.iterdir() if fd.is_symlink()]
    return [name for name in names if name.startswith(str(folder))]


async def test_what_was_refused_is_neither_open_nor_locked_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await (await opened(path)).aclose()
    path.chmod(0o600)
    for _ in range(3):
        with pytest.raises(JournalError, match="another account"):
            await opened(path, account="somebody else")
    assert open_files(tmp_path) == []
    await (await opened(path)).aclose()


@pytest.mark.parametrize("inline", [False, True])
async def test_who_leaves_while_it_opens_leaves_nothing_open(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "journal.sqlite3"
    for turns in range(4):
        opening = asyncio.ensure_future(opened(path, inline=inline))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await opening).aclose()
        await (await opened(path, inline=inline)).aclose()


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "deep" / "er" / "journal.sqlite3")
    await journal.claim(job(), bytes(32))
    modes = {f.name: f.stat().st_mode & 0o777 for f in journal.path.parent.glob("*sqlite3*")}
    assert set(modes.values()) == {0o600}, modes
    await journal.aclose()


def holder(path: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock until its input ends."""
    code = (
        "import sys; from pathlib import Path; from nbp_async._journal.run_lock import RunLock; "
        "held = RunLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_that_holds_it_is_named_and_its_death_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.lock"
    with holder(path) as process:
        with pytest.raises(RunBusyError, match=f"Process {process.pid} is working") as caught:
            RunLock(path)
        assert caught.value.pid == process.pid
        assert json.loads(path.read_text())["pid"] == process.pid
        process.kill()
        process.wait()
    RunLock(path).release()


def test_a_holder_whose_name_cannot_be_read_is_a_holder_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "journal.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for text in ("", "{", "[]", '{"pid": null}', "\x00"):
            path.write_text(text)
            with pytest.raises(RunBusyError, match="Process \\? is working") as caught:
                RunLock(path)
            assert caught.value.pid is None


def test_a_lock_that_was_let_go_is_free_though_a_child_has_inherited_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "journal.lock")
    file = lock._file
    assert file is not None
    inherited = os.dup(file.fileno())  # what a fork leaves the child with
    try:
        lock.release()
        lock.release()
        RunLock(tmp_path / "journal.lock").release()
    finally:
        os.close(inherited)


def test_a_file_system_without_locks_is_said_to_be_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JournalError, match=r"No locks available.*Nothing was sent") as caught:
        RunLock(tmp_path / "journal.lock")
    assert not isinstance(caught.value, RunBusyError)
    assert "local disk" in caught.value.hint
