"""A call that is under way as one piece of HTML: a bar, its figures, pictures, and what failed.

Written as `_html.py` says.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from nbp_async._html import BLUE, FRAME, GREEN, LINE, RED, SOFT, line_of
from nbp_async._words import money, plural, printable, span
from nbp_async.display.state import Progress, Reason

_MOST_REASONS = 5
_MESSAGE = 240  # characters of an error's message
_PROMPT = 120  # characters of a prompt under a picture
_TROUGH = (
    f"display:flex;height:.7em;border:1px solid {LINE};border-radius:.35em;overflow:hidden;"
    "-webkit-print-color-adjust:exact;print-color-adjust:exact"
)
_PICTURES = "display:flex;flex-wrap:wrap;gap:.4em;margin:.4em 0 0"
_PICTURE = (
    f"height:4.5rem;width:auto;max-width:9rem;margin:0;border:1px solid {LINE};border-radius:.25em"
)
_REASONS = "margin:.4em 0 0;padding:0;list-style:none;overflow-wrap:anywhere"
_REASON = f"margin:.2em 0 0;padding:0 0 0 .6em;border-left:.25em solid {RED}"


class Picture(NamedTuple):
    """A small picture: its data: address, the image's place from 0, and its prompt."""

    address: str
    place: int
    prompt: str


def bar_html(now: Progress, pictures: Sequence[Picture] = ()) -> str:
    """The bar with all that belongs to it, the latest picture first."""
    facts = line_of(facts_of(now))
    parts = [
        f'<div style="{FRAME}">',
        f"{_trough(now)}",
        f'<div style="margin:.2em 0 0"><b>{escape(headline(now))}</b> · {facts}</div>',
        *(f"<div>{escape(line)}</div>" for line in _advice(now)),
    ]
    if pictures:
        shown = "".join(map(_picture, pictures))
        parts.append(f'<div style="{_PICTURES}">{shown}</div>')
    return "".join([*parts, reasons_html(now.reasons), "</div>"])


def reasons_html(reasons: Sequence[Reason]) -> str:
    """What failed, by its reason, with what it cost and where it is."""
    lines = "".join(f'<li style="{_REASON}">{line}</li>' for line in _reasons(reasons))
    return f'<ul style="{_REASONS}">{lines}</ul>' if lines else ""


def bar_text(now: Progress) -> str:
    """The same in lines of text."""
    lines = [" · ".join([headline(now), *facts_of(now)]), *_advice(now)]
    lines += [f"{r.name} × {r.count:,}: {printable(r.message, _MESSAGE)}" for r in now.reasons]
    return "\n".join(lines)


def headline(now: Progress) -> str:
    """How far it is, or how it ended."""
    if now.state == "done":
        return plural(now.images, "image")
    if now.state in ("stopped", "cancelled"):
        return f"{now.state.capitalize()}: {plural(now.images, 'image')}"
    if now.state == "broken":
        return f"Ended by an error: {plural(now.images, 'image')}"
    return f"{now.done:,} of {now.total:,}" if now.total is not None else f"{now.done:,} done"


def facts_of(now: Progress) -> Iterator[str]:
    """The figures beside it, one by one."""
    if now.in_flight and not now.ended:
        yield f"{now.in_flight:,} in flight"
    if now.failed:
        yield f"{now.failed:,} failed"
    if now.not_sent and now.ended:
        yield f"{now.not_sent:,} not sent"
    if now.there:
        saved = f", {money(now.saved)} saved" if now.saved else ""
        yield f"{now.there:,} there already{saved}"
    yield money(now.spent)
    if now.maybe:
        yield f"perhaps {money(now.maybe)} more"
    if now.paused and not now.ended:
        yield f"paused by the vendor for {span(now.paused)}"
    yield span(now.elapsed) if now.ended else f"{span(now.elapsed)} so far"
    if now.state == "running" and now.left is not None and now.done != now.total:
        yield f"about {span(now.left)} left"


def _advice(now: Progress) -> Iterator[str]:
    """A line of its own, where there is something to say."""
    if now.state == "stopping":
        out = plural(now.in_flight, "request")
        waiting = f"; {out} that may be paid for already can still end" if now.in_flight else ""
        yield f"Stopping: nothing more is sent{waiting}."
    if now.state == "cancelled" and now.maybe:
        yield (
            "What was in flight may have been billed: the plan's `partial` names it, and has what "
            "came."
        )
    if now.why:
        yield printable(now.why, _MESSAGE)


def _trough(now: Progress) -> str:
    """The bar: what brought an image, what failed, what is in flight."""
    whole = max(now.total or 0, now.done + now.in_flight, 1)
    out = 0 if now.ended else now.in_flight
    shares = ((now.images, GREEN, 1.0), (now.failed, RED, 1.0), (out, BLUE, 0.7))
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
        f'style="{_TROUGH}">{inner}</div>'
    )


def _picture(picture: Picture) -> str:
    words = escape(f"Image {picture.place + 1}: {printable(picture.prompt, _PROMPT)}")
    address = escape(picture.address)
    return f'<img src="{address}" alt="{words}" title="{words}" height="72" style="{_PICTURE}">'


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        costs = [f"{money(reason.spent)} billed"] if reason.spent else []
        costs += [f"{money(reason.maybe)} may have been billed"] if reason.maybe else []
        cost = f" ({escape(', '.join(costs))})" if costs else ""
        message = escape(printable(reason.message, _MESSAGE))
        yield (
            f"<b>{escape(reason.name)} × {reason.count:,}</b>{cost}: {message}"
            f'<div style="{SOFT}">{_numbers(reason)}</div>'
        )
    more = reasons[_MOST_REASONS:]
    if more:
        yield f"and {sum(reason.count for reason in more):,} more, of {len(more)} other kinds"


def _numbers(reason: Reason) -> str:
    """Which of the images failed for it."""
    numbers = ", ".join(f"{place + 1:,}" for place in reason.places)
    rest = reason.count - len(reason.places)
    words = "Image" if reason.count == 1 else "Images"
    return f"{words} {numbers}" + (f" and {rest:,} more" if rest else "") if numbers else ""


def plan_html(title: str, lines: Sequence[str], note: str) -> str:
    """What a plan would do: the first line is the most important one."""
    first, *rest = [escape(printable(line)) for line in lines] or [""]
    items = "".join(f'<li style="margin:0">{line}</li>' for line in rest)
    parts = [
        f'<div style="{FRAME};border-left:.25em solid {BLUE};padding-left:.8em">',
        f'<div style="opacity:.8">{escape(printable(title))}</div>',
        f"<div><b>{first}</b></div>" if first else "",
        f'<ul style="margin:0;padding:0;list-style:none">{items}</ul>' if items else "",
        f'<div style="opacity:.8">{escape(printable(note))}</div></div>',
    ]
    return "".join(parts)
