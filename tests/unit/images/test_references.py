"""Reference images: looked at before they are read, and refused before anything is sent."""

import base64
import os
from pathlib import Path

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._images.references import MAX_REFERENCE, MAX_REQUEST, load_references
from nbp_async._models.outcomes import Prompt, Reference
from tests.pictures import png

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    "image/heic": b"\0\0\0\x18ftypheic",
    "image/heif": b"\0\0\0\x18ftypmif1",
}


async def load(*references: str | Path | bytes) -> tuple[Reference, ...]:
    return await load_references(Prompt(text="a red bicycle", references=references))


async def test_files_bytes_and_links_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(png(4, 4))
    link = "https://x.example/a.webp?size=2"
    assert await load(path, str(path), png(5, 5), link, "gs://bucket/b.JPG") == (
        Reference(mime="image/png", data=png(4, 4)),
        Reference(mime="image/png", data=png(4, 4)),
        Reference(mime="image/png", data=png(5, 5)),
        Reference(mime="image/webp", uri=link),
        Reference(mime="image/jpeg", uri="gs://bucket/b.JPG"),
    )


@pytest.mark.parametrize("mime", HEADS)
async def test_the_bytes_say_what_it_is(mime: str) -> None:
    (reference,) = await load(HEADS[mime] + bytes(100))
    assert reference.mime == mime


async def test_all_brands_of_a_file_of_boxes_count() -> None:
    """`mif1` names the container alone, and AVIF is not taken."""
    avif = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + bytes(100)
    with pytest.raises(ConfigError, match="not a PNG"):
        await load(avif)
    (reference,) = await load(avif.replace(b"avif", b"heic"))
    assert reference.mime == "image/heic"


async def test_addresses_of_data_and_files_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(png(4, 4))
    monkeypatch.setenv("HOME", str(tmp_path))
    data = "data:image/png;base64," + base64.b64encode(png(4, 4)).decode()
    loaded = await load(path.as_uri(), data, "~/a b.png")
    assert loaded == (Reference(mime="image/png", data=png(4, 4)),) * 3
    for damaged in ("data:image/png,abc", "data:image/png;base64,a*"):
        with pytest.raises(ConfigError, match="data: address"):
            await load(damaged)


async def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte: read, it would not fit into memory."""
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(HEADS["image/png"])
        file.truncate(1 << 40)
    with pytest.raises(
        ConfigError, match=r"huge\.png has 1099511\.6 MB, and at most 7\.3 MB are allowed"
    ):
        await load(path)


async def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a file"):
        await load(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a file"):
        await load(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        await load(tmp_path / "none.png")
    with pytest.raises(ConfigError, match="not a PNG"):
        await load(b"GIF89a" + bytes(100))


async def test_references_that_are_too_large_together_are_refused() -> None:
    largest = HEADS["image/png"] + bytes(MAX_REFERENCE - 8)
    fit = MAX_REQUEST // MAX_REFERENCE
    assert len(await load(*[largest] * fit)) == fit
    with pytest.raises(ConfigError, match="together"):
        await load(*[largest] * fit, HEADS["image/png"] + bytes(100))
    with pytest.raises(ConfigError, match=r"at most 7\.3 MB"):
        await load(largest + b"\0")
