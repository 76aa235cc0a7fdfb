"""Small pictures of images, and how a live display shows the latest of them. In real time."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image as Pixels

from nbp_async import Image
from nbp_async._models.thumbnails import thumbnail
from nbp_async.display.live_display import MOST_THUMBNAILS
from tests.unit.display.examples import image
from tests.unit.display.test_live_display import Wall, live


def pictured(folder: Path, n: int) -> Image:
    path = folder / f"{n}.png"
    Pixels.new("RGB", (64, 48), (n * 20 % 256, 90, 30)).save(path)
    return image(path, index=n, text=f'"{n}" <b>')


async def test_the_latest_images_are_pictures_the_latest_first(tmp_path: Path) -> None:
    wall = Wall()
    async with live(wall, total=20) as call:
        for n in range(20):
            call.on_outcome(pictured(tmp_path, n))
    assert wall.html.count("<img ") == MOST_THUMBNAILS
    places = [wall.html.index(f"Image {n}: &quot;") for n in range(20, 14, -1)]
    assert places == sorted(places)
    assert len(wall.html) < 20_000


async def test_an_image_that_cannot_be_shown_leaves_no_gap(tmp_path: Path) -> None:
    wall = Wall()
    (tmp_path / "odd.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    async with live(wall) as call:
        call.on_outcome(image(tmp_path / "odd.png", index=0))
        call.on_outcome(image(tmp_path / "gone.png", index=1))
        call.on_outcome(image("s3://bucket/there.png", index=2))
        call.on_outcome(pictured(tmp_path, 3))
    assert wall.html.count("<img ") == 1


def test_a_small_picture_is_a_few_kilobytes_of_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Pixels.effect_noise((512, 256), 90).save(path)
    address = thumbnail(image(path), 96)
    assert address is not None
    assert address.startswith("data:image/jpeg;base64,")
    assert len(address) < 10_000


def test_what_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Pixels.new("1", (64, 64)).save(path)
    assert thumbnail(replace(image(path), width=60_000, height=60_000)) is None


def test_without_pillow_there_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pictured(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert thumbnail(made) is None
