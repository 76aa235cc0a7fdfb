"""Format and pixels from the first bytes, wholeness from the last, nothing decoded."""

import io
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from nbp_async._errors import NotAnImageError
from nbp_async._images.sniff import ImageFacts, ImageSniffer
from tests.pictures import png


def encoded(kind: str, size: tuple[int, int], **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.radial_gradient("L").resize(size).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


EXIF = Pillow.Exif()
EXIF[0x010E] = "x" * 40_000  # a description that moves the frame header far from the start
SAMPLES = {
    "png": (encoded("png", (37, 21)), ImageFacts("png", 37, 21)),
    "jpeg": (encoded("jpeg", (37, 21)), ImageFacts("jpeg", 37, 21)),
    "progressive": (encoded("jpeg", (640, 480), progressive=True), ImageFacts("jpeg", 640, 480)),
    "exif": (encoded("jpeg", (16, 8), exif=EXIF), ImageFacts("jpeg", 16, 8)),
    "webp": (encoded("webp", (37, 21)), ImageFacts("webp", 37, 21)),
    "lossless": (encoded("webp", (300, 7), lossless=True), ImageFacts("webp", 300, 7)),
    "extended": (encoded("webp", (64, 48), exif=EXIF), ImageFacts("webp", 64, 48)),
}


def sniff(pieces: list[bytes]) -> ImageFacts:
    sniffer = ImageSniffer()
    for piece in pieces:
        sniffer.feed(piece)
    return sniffer.close()


@pytest.mark.parametrize("name", SAMPLES)
def test_real_images_are_recognised_in_any_pieces(name: str) -> None:
    content, facts = SAMPLES[name]
    assert sniff([content]) == facts
    for step in (1, 7, 1000):
        pieces = [content[i : i + step] for i in range(0, len(content), step)]
        if len(pieces) < 60_000:
            assert sniff(pieces) == facts


@pytest.mark.parametrize("name", SAMPLES)
def test_an_image_that_is_cut_off_is_none(name: str) -> None:
    content, _ = SAMPLES[name]
    for lost in (1, 2, 5, len(content) // 2, len(content) - 30, len(content) - 3):
        with pytest.raises(NotAnImageError):
            sniff([content[:-lost]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + b"\0" * 40,
        b"BM" + b"\0" * 60,
        b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 30,
        b"\xff\xd8\xff\xd9",
        png(0, 10),
        png(65_535, 65_535),
        png(64, 64) + b"<script>",
    ],
)
def test_what_is_no_image_or_an_impossible_one_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        sniff([content])


def test_a_jpeg_that_was_filled_up_is_whole_however_long_the_filling() -> None:
    content, facts = SAMPLES["jpeg"]
    for filled in (content + b"\0" * 20, content + b"\0" * 5000, content + b"\r\n"):
        assert sniff([filled]) == facts
        assert sniff([filled[i : i + 1] for i in range(len(filled))]) == facts


def test_an_end_marker_with_a_zero_inside_is_none_wherever_it_is_cut() -> None:
    content, _ = SAMPLES["jpeg"]
    broken = content[:-2] + b"\xff\0\xd9"
    for cut in range(len(broken) - 5, len(broken)):
        with pytest.raises(NotAnImageError):
            sniff([broken[:cut], broken[cut:]])
    with pytest.raises(NotAnImageError):
        sniff([broken[i : i + 1] for i in range(len(broken))])


def test_what_comes_before_the_frame_of_a_jpeg_is_passed_over_not_kept() -> None:
    content, facts = SAMPLES["jpeg"]
    profile = b"\xff\xe2\xff\xff" + b"x" * 65_533
    sniffer = ImageSniffer()
    sniffer.feed(content[:2])
    tracemalloc.start()
    for _ in range(40):
        sniffer.feed(profile)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sniffer.feed(content[2:])
    assert sniffer.close() == facts
    assert grown < 10_000


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"])
)
@settings(max_examples=300, deadline=None)
def test_junk_is_never_worse_than_a_typed_error(junk: bytes, magic: bytes) -> None:
    with suppress(NotAnImageError):
        sniff([magic, junk])
