"""Sizes and ratios are checked against what the model draws, before anything is sent."""

import pytest

from nbp_async._base.errors import ConfigError
from nbp_async._vendors.catalog import models
from nbp_async._vendors.sizes import Canvas, canvas_for

PRO_MODEL = "gemini-3-pro-image"


@pytest.mark.parametrize(
    ("size", "ratio", "canvas"),
    [
        ("1K", None, Canvas("1K", None, (1024, 1024))),
        ("2K", "16:9", Canvas("2K", "16:9", (2752, 1536))),
        ("4K", "21:9", Canvas("4K", "21:9", (6336, 2688))),
        ("4096x4096", None, Canvas("4K", "1:1", (4096, 4096))),
        ("1376x768", "16:9", Canvas("1K", "16:9", (1376, 768))),
    ],
)
def test_a_size_of_the_table_is_resolved(size: str, ratio: str | None, canvas: Canvas) -> None:
    assert canvas_for(PRO_MODEL, size, ratio) == canvas


def test_every_ratio_of_every_size_has_pixels_of_about_that_ratio() -> None:
    for model in models():
        for by_ratio in model.pixels.values():
            for name, (width, height) in by_ratio.items():
                left, right = (int(part) for part in name.split(":"))
                assert width / height == pytest.approx(left / right, rel=0.03)


@pytest.mark.parametrize(
    ("size", "ratio", "says"),
    [
        ("4k", None, "did you mean '4K'"),
        ("8K", None, "1K, 2K, 4K"),
        ("3000x1777", None, "nearest that it draws is"),
        ("2K", "7:5", "16:9"),
        ("1024x1024", "16:9", "give a size or an aspect ratio"),
        ("", None, "draws 1K"),
    ],
)
def test_what_the_model_does_not_draw_is_refused_with_what_it_does(
    size: str, ratio: str | None, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        canvas_for(PRO_MODEL, size, ratio)
    assert "Nothing was sent" in str(caught.value)


def test_a_smaller_model_is_held_to_its_own_table() -> None:
    assert canvas_for("gemini-2.5-flash-image", "1K", "16:9").pixels == (1344, 768)
    with pytest.raises(ConfigError, match="1K"):
        canvas_for("gemini-2.5-flash-image", "4K", None)


def test_with_a_reference_and_no_ratio_the_pixels_are_the_model_s_choice() -> None:
    assert canvas_for(PRO_MODEL, "2K", None, references=1).pixels is None
    assert canvas_for(PRO_MODEL, "2K", "1:1", references=1).pixels == (2048, 2048)


def test_too_many_references_are_refused() -> None:
    canvas_for(PRO_MODEL, "2K", None, references=14)
    with pytest.raises(ConfigError, match="at most 14"):
        canvas_for(PRO_MODEL, "2K", None, references=15)


def test_an_unknown_model_is_only_checked_for_form() -> None:
    assert canvas_for("some-model", "1536x1024", None) == Canvas("1536x1024", None, (1536, 1024))
    assert canvas_for("some-model", "8K", "9:21") == Canvas("8K", "9:21", None)
    for size, ratio in (("huge", None), ("2K", "wide")):
        with pytest.raises(ConfigError):
            canvas_for("some-model", size, ratio)
