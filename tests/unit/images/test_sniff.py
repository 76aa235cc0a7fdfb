"""Format and pixels from the first bytes, wholeness from the last, nothing decoded."""

import io
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from nbp_async._base.errors import NotAnImageError
from nbp_async._images.sniff import ImageFacts, ImageSniffer
from tests.pictures import png


def encoded(kind: str, size: tuple[int, int], **options: object) -> bytes:
    buffer = io.BytesIO()
    Pillow.radial_gradient("L").resize(size).convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def boxes(kind: bytes, size: tuple[int, int]) -> bytes:
    """The smallest file of boxes: a tile, the picture, and its data."""

    def box(name: bytes, content: bytes) -> bytes:
        return (len(content) + 8).to_bytes(4, "big") + name + content

    def ispe(width: int, height: int) -> bytes:
        return box(b"ispe", bytes(4) + width.to_bytes(4, "big") + height.to_bytes(4, "big"))

    meta = bytes(4) + box(b"iprp", box(b"ipco", ispe(8, 8) + ispe(*size)))
    head = box(b"ftyp", kind + bytes(4) + b"mif1miaf" + kind)
    return head + box(b"meta", meta) + box(b"mdat", b"x" * 90)


SVG = b"""<?xml version="1.0"?>
<!-- > drawn <svg> -->
<svg xmlns="http://www.w3.org/2000/svg" width="30" height='20.5px'><path d="M0 0"/></svg>"""
EXIF = Pillow.Exif()
EXIF[0x010E] = "x" * 40_000  # a description that moves the frame header far from the start
SAMPLES = {
    "png": (encoded("png", (37, 21)), ImageFacts("png", 37, 21)),
    "jpeg": (encoded("jpeg", (37, 21)), ImageFacts("jpeg", 37, 21)),
    "progressive": (encoded("jpeg", (640, 480), progressive=True), ImageFacts("jpeg", 640, 480)),
    "exif": (encoded("jpeg", (16, 8), exif=EXIF), ImageFacts("jpeg", 16, 8)),
    "webp": (encoded("webp", (37, 21)), ImageFacts("webp", 37, 21)),
    "lossless": (encoded("webp", (300, 7), lossless=True), ImageFacts("webp", 300, 7)),
    "avif": (boxes(b"avif", (640, 480)), ImageFacts("avif", 640, 480)),
    "heic": (boxes(b"heic", (640, 480)), ImageFacts("heic", 640, 480)),
    "gif": (encoded("gif", (37, 21)), ImageFacts("gif", 37, 21)),
    "svg": (SVG, ImageFacts("svg", 30, 20)),
    "extended": (encoded("webp", (64, 48), exif=EXIF), ImageFacts("webp", 64, 48)),
}


UNMARKED = "the image's jpeg has no end mark: its last rows may be missing"


def sniff(pieces: list[bytes], *, is_framed: bool = True) -> ImageFacts:
    sniffer = ImageSniffer()
    for piece in pieces:
        sniffer.feed(piece)
    return sniffer.close(is_framed=is_framed)


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
            sniff([content[:-lost]], is_framed=False)


@pytest.mark.parametrize("name", ["jpeg", "progressive", "exif"])
def test_a_jpeg_without_its_end_mark_is_kept_and_flagged_where_its_length_was_told(
    name: str,
) -> None:
    content, facts = SAMPLES[name]
    for lost in (1, 2, 5):
        assert sniff([content[:-lost]]).notes == (UNMARKED,)
    assert sniff([content[:-2]]).width == facts.width
    for lost in (len(content) - 30, len(content) - 3):
        with pytest.raises(NotAnImageError):
            sniff([content[:-lost]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an image at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"<!DOCTYPE html><html><svg></svg></html>",
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        b'<?xml version="1.0"?><html><svg></svg>',
        b"GIF89a" + b"\0" * 40,
        b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\0\0\0\x08mdat" * 4,
        boxes(b"avif", (60_000, 60_000)),
        b"BM" + b"\0" * 60,
        b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 30,
        b"\xff\xd8\xff\xd9",
        png(0, 10),
        png(65_535, 65_535),
    ],
)
def test_what_is_no_image_or_an_impossible_one_is_refused(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        sniff([content])


@st.composite
def split(draw: st.DrawFn, content: bytes) -> list[bytes]:
    """The content in pieces of any length, most of them near its end."""
    near = st.integers(max(0, len(content) - 40), len(content))
    cuts = sorted(draw(st.lists(near | st.integers(0, len(content)), max_size=8)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


PADDING = st.text("\0\r\n\t ", max_size=40).map(str.encode)


@given(st.data(), st.sampled_from(sorted(SAMPLES)), PADDING)
@settings(max_examples=200)
def test_zeros_and_blanks_may_follow_an_image_in_any_pieces(
    data: st.DataObject, name: str, padding: bytes
) -> None:
    content, facts = SAMPLES[name]
    assert sniff(data.draw(split(content + padding))) == facts


def test_letters_in_the_place_of_a_box_after_the_picture_are_a_foreign_tail() -> None:
    """`000A` may be the name of a box whose length would be past the end of the file."""
    content, facts = SAMPLES["avif"]
    found = sniff([content + b"    000A" + bytes(8)])
    assert found.notes == ("bytes follow the end of the image's avif",)
    assert (found.width, found.height) == (facts.width, facts.height)


@given(st.data(), st.sampled_from(sorted(SAMPLES)), PADDING, st.binary(min_size=1, max_size=30))
@settings(max_examples=200)
def test_other_bytes_that_follow_one_are_kept_and_flagged(
    data: st.DataObject, name: str, padding: bytes, rest: bytes
) -> None:
    content, facts = SAMPLES[name]
    assume(rest.strip(b"\0\r\n\t ") and not rest.rstrip(b"\0\r\n\t ").endswith(b"\xff\xd9"))
    pieces = data.draw(split(content + padding + rest))
    if name == "svg":
        with pytest.raises(NotAnImageError):
            sniff(pieces)
        return
    found = sniff(pieces)
    assert found.notes == (f"bytes follow the end of the image's {facts.format}",)
    assert (found.width, found.height) == (facts.width, facts.height)


@given(st.data(), st.sampled_from(sorted(SAMPLES)), st.integers(1, 40))
@settings(max_examples=200)
def test_padding_does_not_stand_for_an_end_that_is_missing(
    data: st.DataObject, name: str, lost: int
) -> None:
    """A WebP tells its length and has no end mark: filled up it looks whole, cut it does not."""
    content, _ = SAMPLES[name]
    has_length = content.startswith(b"RIFF") or name in ("avif", "heic")
    filled = content[:-lost] + bytes(0 if has_length else 40)
    with pytest.raises(NotAnImageError):
        sniff(data.draw(split(filled)), is_framed=False)


def test_padding_may_be_as_long_as_it_likes() -> None:
    for name in ("png", "jpeg", "webp"):
        content, facts = SAMPLES[name]
        assert sniff([content + bytes(5000)]) == facts
        assert sniff([content, *[b"\0"] * 5000]) == facts


def test_an_end_marker_with_a_zero_inside_is_none_wherever_it_is_cut() -> None:
    content, _ = SAMPLES["jpeg"]
    broken = content[:-2] + b"\xff\0\xd9"
    for cut in range(len(broken) - 5, len(broken)):
        with pytest.raises(NotAnImageError):
            sniff([broken[:cut], broken[cut:]], is_framed=False)
    with pytest.raises(NotAnImageError):
        sniff([broken[i : i + 1] for i in range(len(broken))], is_framed=False)


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
@settings(max_examples=300)
def test_junk_is_never_worse_than_a_typed_error(junk: bytes, magic: bytes) -> None:
    with suppress(NotAnImageError):
        sniff([magic, junk])
