"""Temporary files: named for who writes them, deleted when that is nobody any more."""

import os
import subprocess
import sys
from pathlib import Path

from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads

NOW = 2_000_000_000.0
DAY = 86_400


def a_dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def plant(folder: Path, name: str, *, age: float = 60.0) -> Path:
    path = folder / name
    path.write_bytes(b"half an image")
    os.utime(path, (NOW - age, NOW - age))
    return path


async def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    some = "0123456789abcdef"
    left_over = [
        plant(tmp_path, f".{a_dead_process()}-{some}.part"),
        plant(tmp_path, f".4294967295-{some}.part"),
        plant(tmp_path, f".{some[::-1]}.part", age=2 * DAY),
    ]
    in_use = [
        plant(tmp_path, f".{os.getpid()}-{some}.part", age=2 * DAY),
        plant(tmp_path, f".{os.getppid()}-{some}.part"),
        plant(tmp_path, f".1-{some}.part"),
        plant(tmp_path, f".{some}.part"),
    ]
    not_ours = [
        plant(tmp_path, f"{a_dead_process()}-{some}.part", age=2 * DAY),
        plant(tmp_path, f".{some}.part.png", age=2 * DAY),
        plant(tmp_path, ".notes.part", age=2 * DAY),
        plant(tmp_path, "000000-0123456789ab.png", age=2 * DAY),
    ]
    folder = tmp_path / f".{a_dead_process()}-aaaaaaaaaaaaaaaa.part"
    folder.mkdir()
    threads = FileThreads()
    sink = DirectorySink(tmp_path, threads)
    assert await sink.clean(lambda: NOW) == len(left_over)
    assert set(tmp_path.iterdir()) == {*in_use, *not_ours, folder}
    threads.close()


async def test_a_planted_link_is_no_temporary_file(tmp_path: Path) -> None:
    link = tmp_path / f".{a_dead_process()}-0123456789abcdef.part"
    link.symlink_to(plant(tmp_path, "mine"))
    threads = FileThreads()
    assert await DirectorySink(tmp_path, threads).clean(lambda: NOW) == 0
    assert link.is_symlink()
    threads.close()


async def test_an_image_on_its_way_is_not_cleaned_away(tmp_path: Path) -> None:
    threads = FileThreads()
    sink = DirectorySink(tmp_path, threads)
    writer = await sink.open()
    await writer.write(bytes(1_000_000))
    (part,) = tmp_path.iterdir()
    assert part.name.startswith(f".{os.getpid()}-")
    assert await sink.clean(lambda: NOW) == 0
    stored = await writer.commit("000000", ".png")
    assert Path(stored.path).read_bytes() == bytes(1_000_000)
    threads.close()


async def test_a_file_that_another_machine_cleaned_away_is_written_again(tmp_path: Path) -> None:
    """In a shared folder the process of another machine looks dead to us, and ours to it."""
    threads = FileThreads()
    sink = DirectorySink(tmp_path, threads)
    writer = await sink.open()
    await writer.write(bytes(1_000_000))
    (part,) = tmp_path.iterdir()
    part.unlink()
    stored = await writer.commit("000000", ".png")
    assert Path(stored.path).read_bytes() == bytes(1_000_000)
    threads.close()


async def test_cleaning_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    threads = FileThreads()
    assert await DirectorySink(tmp_path / "none", threads).clean() == 0
    threads.close()


async def test_many_images_at_once_hold_no_more_in_memory_than_a_few(tmp_path: Path) -> None:
    """One alone is gathered for large writes; of two hundred, each is written earlier."""
    threads = FileThreads()
    sink = DirectorySink(tmp_path, threads)
    alone = await sink.open()
    for _ in range(10):
        await alone.write(bytes(50_000))
    assert sink.waiting == 500_000
    assert list(tmp_path.iterdir()) == [], "it costs no visit to a thread yet"
    alone.discard()
    writers = [await sink.open() for _ in range(200)]
    for _ in range(10):
        for writer in writers:
            await writer.write(bytes(50_000))
            assert sink.waiting < 27_000_000
    for number, writer in enumerate(writers):
        if number % 2:
            await writer.commit(f"{number:06d}", ".png")
        else:
            writer.discard()
    assert sink.waiting == 0
    assert len(list(tmp_path.iterdir())) == 100
    threads.close()
