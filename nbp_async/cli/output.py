"""Data goes to stdout, one item a line; messages for people go to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from nbp_async import Image, Listener, Outcome, Preview, PromptFile

_CONSOLE = "nbp_async.console"  # of a command's context


def stderr_console() -> Console:
    """The console on stderr, of which a command has one: it knows where a bar is drawn."""
    context = click.get_current_context(silent=True)
    return _new_console() if context is None else command_console(context)


def command_console(context: click.Context) -> Console:
    """The console of a command, whichever thread asks."""
    if _CONSOLE not in context.meta:
        context.meta[_CONSOLE] = _new_console()
    console: Console = context.meta[_CONSOLE]
    return console


def _new_console() -> Console:
    """It honours NO_COLOR, FORCE_COLOR and TERM=dumb."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_line(console: Console, text: str, *, label: str = "") -> None:
    """Print a line without markup; a terminal wraps it between words, and keeps its indent.

    Args:
        console: Where.
        text: The line.
        label: What stands before it, in yellow where there are colours.
    """
    inner = text.lstrip(" ")
    if not console.is_terminal or inner == text:
        line = Text.assemble((label, "yellow"), " " if label else "", text)
        console.print(line, soft_wrap=not console.is_terminal)
        return
    indent = (0, 0, 0, len(text) - len(inner))
    console.print(Padding(Text(inner), indent, expand=False))


class OutcomePrinter(Listener):
    """Writes lines about each outcome to stdout, in a thread of its own.

    The reader of stdout may be slow (`nbp many ... | less`), and the event loop with its paid
    requests must not wait for it.

    Args:
        lines: Makes the lines of one outcome; called in the thread.
        console: Where a progress bar may be. If stdout is the same terminal, lines go above it.
        gone: Called in the thread when the reader has closed stdout (`nbp many ... | head`).

    Attributes:
        patience: Seconds that the end waits for the reader; None (default) for no limit.
    """

    def __init__(
        self,
        lines: Callable[[Outcome], Iterable[str]],
        console: Console,
        gone: Callable[[], object],
    ) -> None:
        self._lines = lines
        self._console = console
        self._gone = gone
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        # A daemon thread: a reader that never reads must not keep the process alive.
        self._thread = Thread(target=self._write_all, name="nbp-stdout", daemon=True)
        self.patience: float | None = None

    def on_outcome(self, outcome: Outcome) -> None:
        self._outcomes.put(outcome)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Wait until all lines are written, for at most `patience` seconds."""
        self._outcomes.put(None)
        self._thread.join(self.patience)

    def _write_all(self) -> None:
        closed = False
        while (outcome := self._outcomes.get()) is not None:
            for line in self._lines(outcome):
                if closed:
                    continue  # making the line may rename the image's file, so go on
                try:
                    self._write(line)
                except BrokenPipeError:
                    closed = True
                    # Python flushes stdout once more when it exits, and would print an error.
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    self._gone()

    def _write(self, line: str) -> None:
        if self._console.is_terminal and sys.stdout.isatty():
            self._console.print(Text(line), soft_wrap=True)  # data: never wrapped
            return
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def outcome_json(outcome: Outcome, path: str | None, number: str = "index") -> str:
    """An outcome as one line of JSON; units are in the names.

    Args:
        outcome: What there is to tell.
        path: Its file or address.
        number: What its index is called.
    """
    attempts = outcome.attempts
    facts: dict[str, Any] = {
        number: outcome.index,
        "row": outcome.prompt.row,
        "ok": outcome.ok,
        "prompt": outcome.prompt.text,
        "billing": outcome.billing,
        "spent_usd": float(outcome.spent),
        "maybe_usd": float(outcome.maybe_spent),
        "attempts": len(attempts),
        "service_s": round(sum(attempt.timings.service for attempt in attempts), 3),
        "request_id": attempts[-1].request_id if attempts else "",
        "account_name": attempts[-1].account if attempts else "",
    }
    if isinstance(outcome, Image):
        facts |= {
            "path": None if outcome.links else path,
            "width": outcome.width,
            "height": outcome.height,
            "format": outcome.format,
            "size_bytes": outcome.stored.size,
            "sha256": outcome.sha256,
            "model": outcome.model,
            "url": outcome.url,
            "url_expires": outcome.url_expires,
            "mismatch": outcome.mismatch,
            "notes": list(outcome.notes),
        }
    else:
        facts |= {"reason": type(outcome.error).__name__, "message": str(outcome.error)}
    return json.dumps(facts, ensure_ascii=False)


def preview_json(preview: Preview, file: PromptFile | None) -> str:
    """A dry run as one line of JSON; units are in the names."""
    room = preview.room
    facts: dict[str, Any] = {
        "file": None if file is None else file.facts,
        "images": preview.images,
        "to_send": preview.to_send,
        "cost_usd": float(preview.cost),
        "most_usd": float(preview.most),
        "there": preview.there,
        "linked": preview.linked,
        "out": preview.out,
        "unclear": preview.unclear,
        "lost": preview.lost,
        "max_cost_left_usd": None if room is None else float(room),
        "covered": preview.covered,
        "batch": preview.batch,
        "least_s": preview.seconds,
        "disk_needed_bytes": preview.disk_needed,
        "disk_free_bytes": preview.disk_free,
        "disk_suffices": preview.fits,
        "store": preview.store,
    }
    return json.dumps(facts, ensure_ascii=False)
