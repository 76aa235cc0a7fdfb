"""The progress of a call in words, for a line of text and for HTML alike."""

from collections.abc import Iterator

from nbp_async._base.text import format_dollars, format_seconds, plural, printable
from nbp_async.display.progress import FailureGroup, Progress

MOST_MESSAGE = 240  # characters of an error's message


def progress_text(now: Progress) -> str:
    """Some lines: how far it is, what to do, and what failed."""
    lines = [" · ".join([headline(now), *facts_of(now)]), *advice(now)]
    return "\n".join([*lines, *map(failures_text, now.reasons)])


def failures_text(group: FailureGroup) -> str:
    """`3 × ReadTimeout (#1, #5, #7; 2 may have been billed): no answer within 300 s.`"""
    numbers = ", ".join(f"#{index + 1}" for index in group.indexes)
    more = ", …" if group.count > len(group.indexes) else ""
    counts = [f"{group.billed:,} billed"] if group.billed else []
    counts += [f"{group.maybe_billed:,} may have been billed"] if group.maybe_billed else []
    billed = "; ".join(counts) or "not billed"
    message = printable(group.message, MOST_MESSAGE)
    return f"{group.count:,} × {group.reason} ({numbers}{more}; {billed}): {message}"


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
    """The figures beside the headline."""
    if now.in_flight and not now.ended:
        yield f"{now.in_flight:,} in flight"
    if failed := now.failed - now.unsent:
        yield f"{failed:,} failed"
    if not_sent := now.unsent + now.not_sent * now.ended:
        yield f"{not_sent:,} not sent"
    if now.resumed:
        saved = f", {format_dollars(now.saved)} saved" if now.saved else ""
        yield f"{now.resumed:,} there already{saved}"
    yield format_dollars(now.spent)
    if now.maybe:
        yield f"perhaps {format_dollars(now.maybe)} more"
    if now.paused and not now.ended:
        yield f"paused by the vendor for {format_seconds(now.paused)}"
    if now.limit and not now.ended:
        yield f"finding the limit: {now.limit}"
    yield format_seconds(now.elapsed) if now.ended else f"{format_seconds(now.elapsed)} so far"
    if now.state == "running" and now.left is not None and now.done != now.total:
        yield f"about {format_seconds(now.left)} left"


def advice(now: Progress) -> Iterator[str]:
    """Sentences, where there is something to say."""
    if now.state == "stopping":
        requests = plural(now.in_flight, "request")
        rest = f"; {requests} in flight may be billed and can still end" if now.in_flight else ""
        yield f"Stopping: nothing more is sent{rest}."
    if now.state == "cancelled" and now.maybe:
        yield (
            "What was in flight may have been billed: the plan's `partial` lists it, with all that "
            "came."
        )
    if now.note:
        yield printable(now.note, MOST_MESSAGE)
