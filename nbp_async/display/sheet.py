"""The contact sheet: every image of a batch on one page that needs nothing from elsewhere.

Prompts and vendors' messages are untrusted text. Jinja escapes all of it, the page has no script,
and its policy forbids any. Images are linked, relative to the page, so that the folder can be
moved or sent as a whole.
"""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from nbp_async import Batch, ConfigError, Failure, Image
from nbp_async.display.words import money, plural, printable, span, weight

_TEMPLATE = Path(__file__).with_name("sheet.html.j2")
_CHARGED = {
    "no": "not billed",
    "maybe": "may have been billed",
    "yes": "billed",
}


def write_sheet(
    batch: Batch,
    folder: str | Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    speed: float = 1.0,
) -> Path:
    """Write `index.html` into `folder`, where the batch's images are, and return its path.

    Args:
        batch: Images and failures, shown in this order. Blocks while it writes.
        folder: Made if it is missing. A sheet that is there is replaced in one step.
        title: Heading of the page.
        facts: Name and value of what is worth saying above the images.
        speed: How many times faster than real the run was; spans are shown as they really are.

    Raises:
        ConfigError: An image of the batch is in memory, so that no page can link it.
    """
    target = Path(folder) / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    images = [_card(image, target.parent, speed) for image in batch.images]
    failures = sorted((_failed(f) for f in batch.failures), key=lambda row: row["reason"])
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        title=title,
        facts=facts,
        images=images,
        failures={k: list(rows) for k, rows in groupby(failures, lambda row: row["reason"])},
    )
    temporary = target.with_name(".index.html.part")
    temporary.write_text(page, "utf-8")
    temporary.replace(target)
    return target


def _card(image: Image, folder: Path, speed: float) -> dict[str, str | list[str]]:
    if image.path is None:
        raise ConfigError(
            "A contact sheet links images in a folder, and these are in memory: make them with "
            'out="folder/".'
        )
    took = sum(attempt.timings.service for attempt in image.attempts) * speed
    repeated = f"{len(image.attempts)} attempts" if len(image.attempts) > 1 else ""
    maybe = f"perhaps {money(image.maybe_spent)} more" if image.maybe_spent else ""
    facts = (f"{image.width}×{image.height}", span(took), money(image.cost), repeated, maybe)
    return {
        "number": str(image.index + 1),
        "link": quote(Path(os.path.relpath(image.path, folder)).as_posix()),
        "prompt": printable(image.prompt.text, 1000),
        "facts": [fact for fact in facts if fact],
        "detail": f"{image.format.upper()}, {weight(image.stored.size)}",
        "mismatch": image.mismatch,
        "width": str(image.width),
        "height": str(image.height),
    }


def _failed(failure: Failure) -> dict[str, str]:
    amount = failure.spent or failure.maybe_spent
    return {
        "number": str(failure.index + 1),
        "prompt": printable(failure.prompt.text, 1000),
        "reason": type(failure.error).__name__,
        "message": printable(str(failure.error)),
        "billing": _CHARGED[failure.billing] + (f": {money(amount)}" if amount else ""),
        "charge": failure.billing,
        "attempts": plural(len(failure.attempts), "attempt"),
    }
