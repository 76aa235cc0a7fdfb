"""Images are real files of the requested size, and differ by prompt."""

import base64
import io
import zlib

import pytest
from PIL import Image

from nbp_async.fake.pictures import Kind, draw, other, seed_of, weight_of

SIZES = [
    (1024, 1024),
    (848, 1264),
    (6336, 2688),
    (3072, 5504),
    (1000, 601),
    (57, 56),
    (50, 7),
    (1, 1),
]


def opened(data: bytes) -> Image.Image:
    """The image with every pixel decoded and, for a PNG, every checksum checked."""
    with Image.open(io.BytesIO(data)) as check:
        check.verify()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.convert("RGB")


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_image_has_the_requested_size_and_can_be_decoded(
    kind: Kind, size: tuple[int, int]
) -> None:
    picture = draw(seed_of("a red bicycle"), *size, kind)
    assert opened(picture.data()).size == size
    assert picture.size == len(picture.data())


def test_a_png_has_a_right_checksum_of_its_pixels() -> None:
    """Some readers ignore it; those that check it must accept it."""
    data = draw(seed_of("a red bicycle"), 1376, 768, "png").data()
    at, pixels = 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        pixels += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    assert len(zlib.decompress(pixels)) == 768 * (1 + 1376 // 2)


def test_both_formats_show_the_same() -> None:
    seed = seed_of("a red bicycle")
    png, jpeg = (opened(draw(seed, 1376, 768, kind).data()) for kind in ("png", "jpeg"))
    for x in range(4, 1376, 8):
        for y in (100, 300, 380, 500):
            pairs = zip(_rgb(png, x, y), _rgb(jpeg, x, y), strict=True)
            assert all(abs(a - b) <= 6 for a, b in pairs)


def _rgb(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return tuple(map(int, pixel))


def test_one_prompt_looks_the_same_and_two_do_not() -> None:
    def thumbnail(prompt: str, copy: int = 0) -> bytes:
        image = opened(draw(seed_of(prompt, copy), 1024, 1024, "png").data())
        return image.resize((32, 32)).tobytes()

    prompts = [f"prompt {n}" for n in range(100)]
    assert len({thumbnail(prompt) for prompt in prompts}) == 100
    assert thumbnail("prompt 1") == thumbnail("prompt 1")
    assert thumbnail("prompt 1", 1) != thumbnail("prompt 1")


def test_an_image_is_more_than_its_background() -> None:
    for n in range(30):
        image = opened(draw(seed_of(f"prompt {n}"), 1024, 1024, "png").data())
        colours = image.getcolors() or []
        assert len(colours) >= 3
        assert max(count for count, _ in colours) < 0.92 * 1024 * 1024


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("weight", [0, 1, 4096, 60_000, 123_457, 1_000_000])
def test_a_file_has_the_requested_bytes_and_hardly_more(kind: Kind, weight: int) -> None:
    light = draw(seed_of("a cat"), 1024, 1024, kind)
    heavy = draw(seed_of("a cat"), 1024, 1024, kind, weight)
    assert max(weight, light.size) <= heavy.size <= max(weight, light.size) + 2
    assert opened(heavy.data()).tobytes() == opened(light.data()).tobytes()


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("weight", [0, 300_000])
def test_base64_in_pieces_is_base64_of_the_whole_and_ends_in_padding(
    kind: Kind, weight: int
) -> None:
    picture = draw(seed_of("a cat"), 1024, 1024, kind, weight)
    text = b"".join(picture.base64())
    assert base64.b64decode(text, validate=True) == picture.data()
    assert text.endswith(b"=")


def test_padding_is_shared_between_images_and_does_not_compress() -> None:
    """Padding must not be made again for each file, and must not shrink when compressed."""
    first = draw(seed_of("a cat"), 1024, 1024, "png", 1_000_000)
    second = draw(seed_of("a dog"), 1024, 1024, "png", 1_000_000)
    assert first.pad is second.pad
    assert len(first.pad) > 950_000
    assert len(zlib.compress(first.data(), 1)) > 950_000


def test_weights_go_by_size() -> None:
    assert weight_of(None, "4K") == 0
    assert weight_of(500, "1K") == 500
    assert weight_of({"4K": 900}, "4K") == 900
    assert weight_of({"4K": 900}, "1K") == 0
    assert weight_of("real", "4K") == 6_000_000


def test_there_are_two_formats() -> None:
    assert (other("png"), other("jpeg")) == ("jpeg", "png")
