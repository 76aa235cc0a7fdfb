"""The contact sheet: every image of a run on one page that needs nothing from elsewhere.

Prompts and vendors' messages are untrusted text. Jinja escapes all of it, the page has no script,
and its policy forbids any. Images are linked, relative to the page, so that the folder can be
moved or sent as a whole.
"""

import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from nbp_async._rows import Row
from nbp_async._stores.address import is_store
from nbp_async._words import billed, money, plural, printable, span, weight

_TEMPLATE = Path(__file__).with_name("sheet.html.j2")
_OPEN = 10  # failures that are shown at once; more are behind their reasons


def write_sheet(
    rows: Iterable[Row],
    file: Path,
    *,
    folder: Path,
    title: str,
    facts: Sequence[tuple[str, str]] = (),
    speed: float = 1.0,
) -> Path:
    """Write the page into `file`, and return its path. Blocks while it reads and writes.

    Args:
        rows: Images and failures, shown in this order; what was never sent is left out. An image
            whose file is not there is listed, with what it cost, and so is one in a store: a page
            could not open it without the keys.
        file: Its folder is made if it is missing. A page that is there is replaced in one step.
        folder: Where the images are, if their paths are not full.
        title: Heading of the page.
        facts: Name and value of what is worth saying above the images.
        speed: How many times faster than real the run was; spans are shown as they really are.

    Raises:
        OSError: It cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    images: list[dict[str, str | list[str]]] = []
    missing: list[Row] = []
    for row in rows:
        if row.ok and row.path and (folder / row.path).is_file():
            images.append(_card(row, os.path.relpath(folder / row.path, file.parent), speed))
        elif row.state != "planned":
            missing.append(row)
    named = [(name, value) for name, value in facts if name]
    page = _rendered(title=title, facts=named, images=images, missing=missing)
    temporary = file.with_name(f".{file.name}.part")
    temporary.write_text(page, "utf-8")
    temporary.replace(file)
    return file


def _rendered(*, missing: list[Row], **values: object) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        values, failures=_by_reason(missing), folded=len(missing) > _OPEN
    )


def _card(row: Row, link: str, speed: float) -> dict[str, str | list[str]]:
    repeated = plural(row.attempts, "attempt") if row.attempts > 1 else ""
    maybe = f"perhaps {money(row.maybe_usd)} more" if row.maybe_usd else ""
    pixels = f"{row.width}×{row.height}"
    facts = (pixels, span(row.service_s * speed), money(row.spent_usd), repeated, maybe)
    return {
        "number": str(row.index + 1),
        "link": quote(Path(link).as_posix()),
        "prompt": printable(row.prompt, 1000),
        "facts": [fact for fact in facts if fact],
        "detail": f"{row.format.upper()}, {weight(row.size_bytes or 0)}",
        "mismatch": row.mismatch,
        "width": str(row.width),
        "height": str(row.height),
    }


def _by_reason(missing: list[Row]) -> list[dict[str, object]]:
    """What brought no image, with what each reason cost."""
    groups: list[dict[str, object]] = []
    for reason, rest in groupby(sorted(missing, key=_reason), key=_reason):
        rows = list(rest)
        charged = (
            (sum((row.spent_usd for row in rows), Decimal(0)), "billed"),
            (sum((row.maybe_usd for row in rows), Decimal(0)), "may have been billed"),
        )
        dollars = ", ".join(f"{money(amount)} {words}" for amount, words in charged if amount)
        groups.append({"reason": reason, "dollars": dollars, "rows": list(map(_missing, rows))})
    return groups


def _reason(row: Row) -> str:
    if row.ok:
        return "In a store" if is_store(row.path) else "No file"
    return "No answer yet" if row.state == "armed" else row.reason or "No reason is known"


def _missing(row: Row) -> dict[str, str]:
    amount, message = row.spent_usd or row.maybe_usd, row.message
    if row.ok:
        message = f"{row.path} is not there." if row.path else "It has no file in this folder."
        message = f"It is in {row.path}" if is_store(row.path) else message
    elif row.state == "armed":
        message = "Its request is out, or was when the run was killed."
    return {
        "number": str(row.index + 1),
        "prompt": printable(row.prompt, 1000),
        "message": printable(message),
        "billing": billed(row.billing, amount),
        "charge": row.billing,
        "attempts": plural(row.attempts, "attempt"),
    }
