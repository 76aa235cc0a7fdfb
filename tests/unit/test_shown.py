"""What a notebook shows of one image and of one failure."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from PIL import Image as Pixels

from nbp_async import ContentBlockedError, Image, ReadTimeout
from nbp_async._models.outcomes import MemoryBytes, Stored
from nbp_async._stores.stored import FreedMemory
from tests.unit.display.examples import attempt, failure, image

EVIL = "<script>alert(\"1\")</script> & 'more'"


def picture(folder: Path, name: str = "a.png") -> Path:
    path = folder / name
    Pixels.effect_noise((2048, 1024), 90).convert("RGB").save(path)
    return path


def test_an_image_shows_a_small_picture_and_never_the_original(tmp_path: Path) -> None:
    path = picture(tmp_path)
    html = image(path, text=EVIL)._repr_html_()
    assert html.count('<img src="data:image/jpeg;base64,') == 1
    assert len(html) < 60_000 < path.stat().st_size / 10
    assert "1024×1024 PNG" in html
    assert "$0.134" in html
    assert str(path) in html
    assert "<script" not in html
    assert 'alt="Image 1: &lt;script&gt;' in html


def test_a_link_is_relative_where_notebooks_can_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(tmp_path, "50 % off.png")
    assert f'href="{path.as_uri()}"' in image(path)._repr_html_()
    monkeypatch.chdir(tmp_path)
    assert 'href="50%20%25%20off.png"' in image(path)._repr_html_()
    assert 'href="50%20%25%20off.png"' in image("50 % off.png")._repr_html_()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("gone.png", "Its file does not exist any more."),
        (f"{'a' * 300}.png", "Its file does not"),
        ("s3://bucket/a.png", "It is in a store"),
    ],
)
def test_an_image_that_is_not_here_says_so_and_where_it_was(place: str, says: str) -> None:
    html = image(place)._repr_html_()
    assert says in html
    assert place in html
    assert "<img" not in html
    assert "<a " not in html


def test_bytes_in_memory_have_a_picture_until_their_process_ends(tmp_path: Path) -> None:
    data = picture(tmp_path).read_bytes()
    held = replace(image(""), stored=Stored(len(data), b"\1" * 32, where=MemoryBytes(data)))
    assert "<img" in held._repr_html_()
    freed = replace(image(""), stored=Stored(len(data), b"\1" * 32, where=FreedMemory()))
    assert "were in the memory of a process that has ended" in freed._repr_html_()
    assert "given to the call&#x27;s own sink" in image("")._repr_html_()


def test_without_pillow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = image(picture(tmp_path))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install &quot;nbp-async[notebook]&quot;" in made._repr_html_()


def test_what_else_came_of_it_is_said() -> None:
    odd = replace(
        image("a.png"),
        mismatch="1024x1024 instead of 2048x2048",
        extras=(image("b.png"),),
        attempts=(attempt("maybe"), attempt("yes")),
    )
    html = odd._repr_html_()
    for words in (
        "instead of 2048x2048",
        "1 more image in `extras`",
        "2 attempts",
        "perhaps $0.134 more",
    ):
        assert words in html
    there: Image = replace(image("a.png"), attempts=(), earlier=(attempt("yes"),))
    assert "there already" in there._repr_html_()


def test_a_failure_shows_its_reason_and_who_pays() -> None:
    blocked = failure(ContentBlockedError(EVIL, reason="SAFETY"), "yes", index=16, text=EVIL)
    html = blocked._repr_html_()
    assert "No image 17: ContentBlockedError" in html
    assert "billed: $0.134" in html
    assert "<script" not in html
    unclear = replace(failure(ReadTimeout("no answer"), "maybe"), links=("https://x.example/1",))
    html = unclear._repr_html_()
    assert "may have been billed: $0.134" in html
    assert "1 link" in html
