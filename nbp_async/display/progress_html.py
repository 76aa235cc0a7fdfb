"""The progress of a call as one piece of HTML: a bar, its figures, thumbnails, and what failed.

Written as `_base/html.py` says.
"""

from collections.abc import Iterator, Sequence
from html import escape

import msgspec

from nbp_async._base.html import BLUE, FRAME, GREEN, LINE, RED, SOFT, line_of
from nbp_async._base.text import format_dollars, printable
from nbp_async.display.progress import FailureGroup, Progress
from nbp_async.display.progress_text import MOST_MESSAGE, advice, facts_of, headline

_MOST_GROUPS = 5
_MOST_PROMPT = 120  # characters of a thumbnail's prompt
_BAR = (
    f"display:flex;height:.7em;border:1px solid {LINE};border-radius:.35em;overflow:hidden;"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact"
)
_THUMBNAILS = "display:flex;flex-wrap:wrap;gap:.4em;margin:.4em 0 0"
_THUMBNAIL = (
    f"height:4.5rem;width:auto;max-width:9rem;margin:0;border:1px solid {LINE};border-radius:.25em"
)
_GROUPS = "margin:.4em 0 0;padding:0;list-style:none;overflow-wrap:anywhere"
_GROUP = f"margin:.2em 0 0;padding:0 0 0 .6em;border-left:.25em solid {RED}"


class Thumbnail(msgspec.Struct, frozen=True):
    """A small picture: its `data:` address, the image's index, and its prompt."""

    address: str
    index: int
    prompt: str


def progress_html(now: Progress, thumbnails: Sequence[Thumbnail] = ()) -> str:
    """The bar, its figures, the thumbnails in this order, and what failed."""
    facts = line_of(facts_of(now))
    parts = [
        f'<div style="{FRAME}">',
        _bar(now),
        f'<div style="margin:.2em 0 0"><b>{escape(headline(now))}</b> · {facts}</div>',
        *(f"<div>{escape(line)}</div>" for line in advice(now)),
    ]
    if thumbnails:
        parts.append(f'<div style="{_THUMBNAILS}">{"".join(map(_thumbnail, thumbnails))}</div>')
    return "".join([*parts, failures_html(now.reasons), "</div>"])


def failures_html(groups: Sequence[FailureGroup]) -> str:
    """What failed, by reason, with what it cost and where it is; or nothing."""
    lines = [*map(_group, groups[:_MOST_GROUPS])]
    if more := groups[_MOST_GROUPS:]:
        count = sum(group.count for group in more)
        lines.append(f"and {count:,} more, of {len(more)} other kinds")
    items = "".join(f'<li style="{_GROUP}">{line}</li>' for line in lines)
    return f'<ul style="{_GROUPS}">{items}</ul>' if lines else ""


def plan_html(title: str, lines: Sequence[str], note: str) -> str:
    """What a plan would do: the first line is the most important one."""
    first, *rest = [escape(printable(line)) for line in lines] or [""]
    items = "".join(f'<li style="margin:0">{line}</li>' for line in rest)
    parts = [
        f'<div style="{FRAME};border-left:.25em solid {BLUE};padding-left:.8em">',
        f'<div style="{SOFT}">{escape(printable(title))}</div>',
        f"<div><b>{first}</b></div>" if first else "",
        f'<ul style="margin:0;padding:0;list-style:none">{items}</ul>' if items else "",
        f'<div style="{SOFT}">{escape(printable(note))}</div></div>',
    ]
    return "".join(parts)


def _bar(now: Progress) -> str:
    """Shares of one bar: images, failures, requests in flight."""
    whole = max(now.total or 0, now.done + now.in_flight, 1)
    in_flight = 0 if now.ended else now.in_flight
    shares = ((now.images, GREEN, 1.0), (now.failed, RED, 1.0), (in_flight, BLUE, 0.7))
    inner = "".join(
        f'<div style="width:{100 * count / whole:.2f}%;background:{colour};opacity:{opacity}">'
        "</div>"
        for count, colour, opacity in shares
        if count
    )
    words = escape(", ".join([headline(now), *facts_of(now)]))
    limits = ""
    if now.total is not None:
        most = max(now.total, now.done)
        limits = f' aria-valuemin="0" aria-valuemax="{most}" aria-valuenow="{now.done}"'
    return (
        f'<div role="progressbar" aria-label="Images"{limits} aria-valuetext="{words}" '
        f'style="{_BAR}">{inner}</div>'
    )


def _thumbnail(thumbnail: Thumbnail) -> str:
    words = escape(f"Image {thumbnail.index + 1}: {printable(thumbnail.prompt, _MOST_PROMPT)}")
    address = escape(thumbnail.address)
    return f'<img src="{address}" alt="{words}" title="{words}" height="72" style="{_THUMBNAIL}">'


def _group(group: FailureGroup) -> str:
    costs = [f"{format_dollars(group.spent)} billed"] if group.spent else []
    costs += [f"{format_dollars(group.maybe)} may have been billed"] if group.maybe else []
    cost = f" ({escape(', '.join(costs))})" if costs else ""
    message = escape(printable(group.message, MOST_MESSAGE))
    return (
        f"<b>{escape(group.reason)} × {group.count:,}</b>{cost}: {message}"
        f'<div style="{SOFT}">{"".join(_numbers(group))}</div>'
    )


def _numbers(group: FailureGroup) -> Iterator[str]:
    """`Images 4, 6 and 12 more`."""
    if group.indexes:
        yield "Image " if group.count == 1 else "Images "
        yield ", ".join(f"{index + 1:,}" for index in group.indexes)
        rest = group.count - len(group.indexes)
        yield f" and {rest:,} more" if rest else ""
