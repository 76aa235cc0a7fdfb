"""Kill a merge before each of its operations on files and each of its statements, and look.

python -m tests.unit.journal.killed_merge FOLDER link|copy|new

Three runs are merged into one that has an image already, or into a new one. A child is killed
before the first event, the next before the second, and so on, until one comes to its end. Whatever
a kill leaves, the merged run is as it was, or a call refuses it, or it knows all images; the runs
that were read are as they were; and the next merge brings all of it. Prints the counts as JSON.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from collections import Counter
from pathlib import Path

from nbp_async._base.errors import JournalError
from nbp_async._client import merge_runs as merging
from nbp_async._client.merge_runs import merge_runs
from nbp_async._journal import compatibility
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.identity import identity
from nbp_async._journal.lost_journal import merging_path
from nbp_async._journal.reader import read_run
from nbp_async._sinks import gathered_files
from tests.unit.journal.made import job
from tests.unit.journal.test_manifest import end, opened

PARTS, IMAGES, SIZE = 3, 7, 1234
REPLY = "unread/000005-1-5f3a9c01.reply"
EVENTS = (
    "open",
    "os.link",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.utime",
    "sqlite3.connect",
)


async def make_run(folder: Path, indexes: range) -> None:
    journal = await opened(folder)
    for index in indexes:
        await end(journal, index)
        (folder / f"{index:06d}-abc.png").write_bytes(bytes([index]) * SIZE)
    await journal.aclose()


async def prepare(folder: Path, *, is_new: bool) -> None:
    """Runs of some images each; one of them has a kept answer, and a file that no item names."""
    await make_run(folder / ("part-0" if is_new else "all"), range(6, IMAGES))
    for part in range(PARTS):
        await make_run(folder / f"part-{part}", range(part, 6, PARTS))
    (folder / REPLY.split("/")[0]).mkdir()
    shutil.move(folder / "unread", folder / "part-2")
    (folder / "part-2" / REPLY).write_bytes(b"paid")
    (folder / "part-1" / "000009-5f3a9c01d2e4.png").write_bytes(b"paid, too")


def parts_of(folder: Path) -> list[Path]:
    return [folder / f"part-{part}" for part in range(PARTS)]


def killed_before(event: int, folder: Path) -> bool:
    """Merge in a child that is killed before this event; False if it ended before."""
    child = os.fork()
    if child == 0:
        left = [event]

        def count(*_: object) -> None:
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)

        def watch(name: str, args: tuple[object, ...]) -> None:
            if name in EVENTS and not str(args[0]).startswith(sys.prefix):
                count()

        def connect(path: Path, *, wait_for_disk: bool) -> sqlite3.Connection:
            db = compatibility.connect(path, wait_for_disk=wait_for_disk)
            db.set_trace_callback(count)
            return db

        merging.connect = connect  # type: ignore[attr-defined]
        sys.addaudithook(watch)
        merge_runs(folder / "all", *parts_of(folder))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


async def states(folder: Path) -> list[str]:
    journal = await opened(folder)
    found: list[str] = []
    for index in range(IMAGES):
        asked = job(f"prompt {index}", index)
        found.append((await journal.claim(asked, identity(asked, "me", ()))).state)
    await journal.aclose()
    return found


def is_whole(folder: Path) -> bool:
    files = [folder / f"{index:06d}-abc.png" for index in range(IMAGES)]
    return (
        asyncio.run(states(folder)) == ["stored"] * IMAGES
        and [path.stat().st_size for path in files] == [SIZE] * IMAGES
        and (folder / REPLY).read_bytes() == b"paid"
        and (folder / "000009-5f3a9c01d2e4.png").read_bytes() == b"paid, too"
        and read_run(folder).totals.images == IMAGES
        and not merging_path(folder / JOURNAL).exists()
    )


def is_safe(folder: Path) -> bool:
    images = len(list(folder.glob("0*")))
    if images <= 1 and not merging_path(folder / JOURNAL).exists():  # as it was
        return read_run(folder).totals.images == 1 if images else not (folder / JOURNAL).exists()
    try:
        return is_whole(folder)
    except JournalError as exc:
        return "A merge of" in str(exc)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in parts_of(folder)
        for path in part.rglob("*")
        if path.is_file() and path.name != "journal.lock" and not path.name.endswith(".part")
    }


def main() -> None:
    folder, counts = Path(sys.argv[1]), Counter[str]()
    is_new = sys.argv[2] == "new"
    if sys.argv[2] == "copy":
        gathered_files.can_link = lambda *_: False
    asyncio.run(prepare(folder, is_new=is_new))
    (folder / "all").mkdir(exist_ok=True)
    before, is_over = content(folder), False
    while not is_over:
        shutil.copytree(folder / "all", folder / "all.before")
        is_over = not killed_before(counts["kills"] + 1, folder)
        if not is_over:
            counts["kills"] += 1
            copy = shutil.copytree(folder / "all", folder / "look")
            counts["safe"] += is_safe(copy)
            shutil.rmtree(copy)
            merge_runs(folder / "all", *parts_of(folder))
        counts["whole"] += is_whole(folder / "all") and content(folder) == before
        shutil.rmtree(folder / "all")
        (folder / "all.before").rename(folder / "all")
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
