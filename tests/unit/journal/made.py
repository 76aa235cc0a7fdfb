"""Jobs, attempts and images for the tests of the journal."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from nbp_async._base.http import Billing
from nbp_async._models.outcomes import Attempt, Image, Job, Prompt, Stored, Timings
from nbp_async._vendors.sizes import canvas_for

PRICE, MOST = Decimal("0.134"), Decimal("0.146512")


def job(text: str = "a", index: int = 0, **more: Any) -> Job:
    canvas = canvas_for("nano-banana-pro", more.get("size") or "1K", more.get("aspect_ratio"))
    return Job(index, Prompt(text=text, **more), 0, "nano-banana-pro", canvas, PRICE, MOST)


def attempt(number: int = 1, billing: Billing = "yes", **more: Any) -> Attempt:
    return Attempt(number, billing, PRICE, Timings(1.0, 9.5, 2.0, 3.0, 8.0), **more)


def image(folder: Path, index: int = 0, **more: Any) -> Image:
    stored = Stored(1234, bytes(range(32)), str(folder / f"{index:06d}-abc.png"))
    return Image(
        index=index,
        prompt=Prompt(text="a"),
        stored=stored,
        format="png",
        width=1024,
        height=1024,
        **more,
    )
