"""One image in a file of a given name: it replaces nothing, and what was paid is never lost."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.image_file import ImageFileSink, image_file_of


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    made = FileThreads()
    yield made
    made.close()


async def write(sink: ImageFileSink, stem: str, suffix: str) -> Path:
    writer = await sink.open()
    await writer.write(b"paid")
    stored = await writer.commit(stem, suffix)
    writer.discard()
    assert Path(stored.path).read_bytes() == b"paid"
    return Path(stored.path)


@pytest.mark.parametrize(
    ("wanted", "suffix", "name"),
    [
        ("x.png", ".png", "x.png"),
        ("x.jpeg", ".jpg", "x.jpeg"),
        ("x.JPG", ".jpg", "x.JPG"),
        ("x.png", ".jpg", "x.jpg"),
        ("x.y.webp", ".png", "x.y.png"),
    ],
)
async def test_its_suffix_is_that_of_what_came(
    tmp_path: Path, threads: FileThreads, wanted: str, suffix: str, name: str
) -> None:
    folder = tmp_path / "deep" / "er"
    assert await write(ImageFileSink(folder / wanted, threads), "000000", suffix) == folder / name
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("links", [True, False])
async def test_a_name_that_was_taken_meanwhile_is_not_overwritten(
    tmp_path: Path, threads: FileThreads, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    sink = ImageFileSink(tmp_path / "x.png", threads)
    writer = await sink.open()
    await writer.write(b"paid")
    (tmp_path / "x.png").write_bytes(b"mine")
    (tmp_path / "x-2.png").symlink_to("nowhere")
    stored = await writer.commit("000000", ".png")
    assert stored.path == str(tmp_path / "x-3.png")
    assert (tmp_path / "x.png").read_bytes() == b"mine"
    assert Path(stored.path).read_bytes() == b"paid"
    assert len(list(tmp_path.iterdir())) == 3


async def test_extras_have_names_of_their_own(tmp_path: Path, threads: FileThreads) -> None:
    sink = ImageFileSink(tmp_path / "x.png", threads)
    (await sink.open()).discard()
    assert (await write(sink, "000000", ".png")).name == "x.png"
    assert (await write(sink, "000000-extra1", ".webp")).name == "x-extra1.webp"


async def test_a_file_that_exists_is_refused_before_anything_is_sent(
    tmp_path: Path, threads: FileThreads
) -> None:
    (tmp_path / "x.png").symlink_to("nowhere")
    with pytest.raises(StorageError, match=r"exists, and is not overwritten\. Nothing was sent\."):
        await ImageFileSink(tmp_path / "x.png", threads).open()


def test_what_names_a_file(tmp_path: Path) -> None:
    (tmp_path / "dir.png").mkdir()
    assert image_file_of(tmp_path / "x.png") == tmp_path / "x.png"
    assert image_file_of(str(tmp_path / "x.JPEG")) == tmp_path / "x.JPEG"
    for other in (tmp_path / "x", tmp_path / "dir.png", "s3://bucket/x.png", None, object()):
        assert image_file_of(other) is None
