"""What a notebook shows, looked at in a browser: on light and on dark paper, wide and narrow."""

import base64
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pixels

from nbp_async import Batch, ContentBlockedError
from nbp_async.display.progress import FailureGroup, Progress, ProgressState
from nbp_async.display.progress_html import Thumbnail, plan_html, progress_html
from tests.browser import look_at, needs_browser
from tests.unit.display.examples import failure, image
from tests.unit.display.test_timeline import SMALL, crowd

STATES: tuple[ProgressState, ...] = (
    "running",
    "stopping",
    "done",
    "stopped",
    "cancelled",
    "broken",
)
LONG = "https://relay.example/" + "very-long-path/" * 20


def thumbnail(place: int) -> Thumbnail:
    small = BytesIO()
    Pixels.new("RGB", (96, 54), (200, 20 * place, 60)).save(small, "JPEG")
    text = base64.b64encode(small.getvalue()).decode()
    return Thumbnail(f"data:image/jpeg;base64,{text}", place, f'a "red" <b>bicycle</b> {place}')


def bar(state: ProgressState) -> str:
    reasons = tuple(
        FailureGroup(
            reason=name,
            count=count,
            message=f"{LONG} <script>alert({count})</script>",
            maybe=Decimal("0.27"),
        )
        for name, count in (("ReadTimeout", 12), ("ContentBlockedError", 2))
    )
    now = Progress(
        state=state,
        total=1_000_000,
        images=412_345,
        resumed=12,
        failed=14,
        reasons=reasons,
        in_flight=500,
        spent=Decimal("55254.23"),
        maybe=Decimal("3.24"),
        saved=Decimal("1.61"),
        elapsed=86_400.0,
        left=172_800.0,
        paused=12.0,
        note=LONG,
    )
    return progress_html(now, [thumbnail(n) for n in range(6)])


def made(folder: Path) -> str:
    """What an image, a failure and a batch show of themselves."""
    path = folder / f"{LONG[-80:].replace('/', '-')}.png"
    Pixels.new("RGB", (512, 256), (200, 90, 60)).save(path)
    there, gone = image(path, text=LONG), image(LONG.replace("/", "-"), index=1, text=LONG)
    lost = failure(ContentBlockedError(LONG, reason="SAFETY"), "yes", index=2, text=LONG)
    batch = Batch([there, gone, lost])
    return there._repr_html_() + gone._repr_html_() + lost._repr_html_() + batch._repr_html_()


def times() -> str:
    """The timelines of a few requests and of very many."""
    return SMALL.timeline()._repr_html_() + crowd(400, 300).timeline()._repr_html_()


@needs_browser
@pytest.mark.slow
def test_all_that_is_shown_can_be_read_on_light_and_dark_paper(tmp_path: Path) -> None:
    plan = plan_html("many(40 prompts)", [LONG, "40 images: 40 to make"], "Nothing is sent.")
    look = look_at(tmp_path, "".join(map(bar, STATES)) + plan + made(tmp_path) + times(), width=400)
    assert look["too_wide"] == 0
    assert min(contrast for _, contrast in look["texts"]) >= 4.5
    assert len(look["texts"]) > 60
    assert look["pictures"] == ([96] * 6 * len(STATES) + [256, 144]) * 2
    assert min(look["bars"]) >= 6
    assert look["scripts"] == 0
