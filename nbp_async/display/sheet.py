"""The contact sheet: every image of a run on one page that loads nothing from elsewhere.

Prompts and vendors' messages are untrusted text. Jinja escapes all of it; the page has no script,
and its policy forbids scripts. Images are linked relative to the page, so that the folder can be
moved or sent as a whole.
"""

import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from nbp_async._base.folders import make_folder
from nbp_async._base.text import (
    describe_billing,
    format_bytes,
    format_dollars,
    format_seconds,
    plural,
    printable,
)
from nbp_async._models.rows import Row
from nbp_async._stores.store_address import is_store
from nbp_async.display.output_file import replacing
from nbp_async.display.run_summary import number_of

_TEMPLATE = Path(__file__).with_name("sheet.html.j2")
_MOST_OPEN = 10  # failures that are listed at once; with more, each reason is folded


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
        rows: Images and failures, shown in this order; prompts that were never sent are left out.
            An image whose file is missing is listed with its cost, and so is one in a store, which
            a page cannot open without the keys.
        file: Its folder is made if it is missing. An existing page is replaced in one step, and
            keeps its rights; a new one is for its owner alone.
        folder: Where the images are, for paths that are relative.
        title: Heading of the page.
        facts: Names and values to show above the images.
        speed: How many times faster than real time the run was; times are shown as in real time.

    Raises:
        OSError: It cannot be written.
    """
    make_folder(file.parent, shared=False)
    images: list[dict[str, str | list[str]]] = []
    missing: list[Row] = []
    for row in rows:
        if row.ok and row.path and (folder / row.path).is_file():
            images.append(_card(row, os.path.relpath(folder / row.path, file.parent), speed))
        elif row.state != "planned":
            missing.append(row)
    named = [(name, value) for name, value in facts if name]
    page = _rendered(title=title, facts=named, images=images, missing=missing)
    with replacing(file) as target:
        target.write(page.encode())
    return file


def _rendered(*, missing: list[Row], **values: object) -> str:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        values, failures=_by_reason(missing), folded=len(missing) > _MOST_OPEN
    )


def _card(row: Row, link: str, speed: float) -> dict[str, str | list[str]]:
    repeated = plural(row.attempts, "attempt") if row.attempts > 1 else ""
    maybe = f"perhaps {format_dollars(row.maybe_usd)} more" if row.maybe_usd else ""
    pixels = f"{row.width}×{row.height}"
    facts = (
        pixels,
        format_seconds(row.service_s * speed),
        format_dollars(row.spent_usd),
        repeated,
        maybe,
    )
    return {
        "number": str(number_of(row)),
        "link": quote(Path(link).as_posix()),
        "prompt": printable(row.prompt, 1000),
        "facts": [fact for fact in facts if fact],
        "detail": f"{row.format.upper()}, {format_bytes(row.size_bytes or 0)}",
        "mismatch": row.mismatch,
        "width": str(row.width),
        "height": str(row.height),
    }


def _by_reason(missing: list[Row]) -> list[dict[str, object]]:
    """Rows without an image to show, with what each reason cost."""
    groups: list[dict[str, object]] = []
    for reason, rest in groupby(sorted(missing, key=_reason), key=_reason):
        rows = list(rest)
        charged = (
            (sum((row.spent_usd for row in rows), Decimal(0)), "billed"),
            (sum((row.maybe_usd for row in rows), Decimal(0)), "may have been billed"),
        )
        dollars = ", ".join(
            f"{format_dollars(amount)} {words}" for amount, words in charged if amount
        )
        groups.append({"reason": reason, "dollars": dollars, "rows": list(map(_missing, rows))})
    return groups


def _reason(row: Row) -> str:
    if row.ok:
        if row.state == "answered":
            return "Kept as a link"
        return "In a store" if is_store(row.path) else "No file"
    return "No answer yet" if row.state == "armed" else row.reason or "Unknown reason"


def _missing(row: Row) -> dict[str, str]:
    amount, message = row.spent_usd or row.maybe_usd, row.message
    if row.ok:
        message = f"{row.path} is missing." if row.path else "It has no file in this folder."
        message = f"It is in {row.path}" if is_store(row.path) else message
        message = f"It is at {row.url}" if row.state == "answered" else message
    elif row.state == "armed":
        message = "Its request is in flight, or was when the run was killed."
    return {
        "number": str(number_of(row)),
        "prompt": printable(row.prompt, 1000),
        "message": printable(message),
        "billing": describe_billing(row.billing, amount),
        "charge": row.billing,
        "attempts": plural(row.attempts, "attempt"),
    }
