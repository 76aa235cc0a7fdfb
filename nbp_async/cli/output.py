"""Where words go: data to stdout, as lines; what people read to stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from nbp_async import Image, Listener, Outcome


def people() -> Console:
    """The console on stderr. It honours NO_COLOR, FORCE_COLOR and TERM=dumb."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def say(console: Console, text: str) -> None:
    """A line for people, its text taken as it is; wrapped between words where a terminal is.

    What begins further in goes on further in.
    """
    inner = text.lstrip(" ")
    if not console.is_terminal or inner == text:
        console.print(Text(text), soft_wrap=not console.is_terminal)
        return
    before = (0, 0, 0, len(text) - len(inner))
    console.print(Padding(Text(inner), before, expand=False))


class Data(Listener):
    """Writes lines about each outcome to stdout, from a thread of its own.

    Whoever reads stdout may be slow (`nbp many ... | less`); the event loop, where paid calls
    live, must not wait for them.

    Args:
        lines: Makes the lines of one outcome; called in the thread.
        console: Where a bar may be drawn. If stdout is the same terminal, lines go above it.
        gone: Called in the thread when the reader has left (`nbp many ... | head`).
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
        # A daemon: a reader that never reads must not keep the process from ending.
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
        """Wait until all is written, but no longer than `patience` seconds, if it was set."""
        self._outcomes.put(None)
        self._thread.join(self.patience)

    def _write_all(self) -> None:
        closed = False
        while (outcome := self._outcomes.get()) is not None:
            for line in self._lines(outcome):
                if closed:
                    continue  # making the line may have named the file: that goes on
                try:
                    self._write(line)
                except BrokenPipeError:
                    closed = True
                    # Python flushes stdout once more at its end, and would complain there.
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                    self._gone()

    def _write(self, line: str) -> None:
        if self._console.is_terminal and sys.stdout.isatty():
            self._console.print(Text(line), soft_wrap=True)  # data: never wrapped by us
            return
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def record(outcome: Outcome, path: str | None) -> str:
    """An outcome as one line of JSON; units are in the names. `path` is a file or an address."""
    attempts = outcome.attempts
    facts: dict[str, Any] = {
        "index": outcome.index,
        "ok": outcome.ok,
        "prompt": outcome.prompt.text,
        "billing": outcome.billing,
        "spent_usd": float(outcome.spent),
        "maybe_usd": float(outcome.maybe_spent),
        "attempts": len(attempts),
        "service_s": round(sum(attempt.timings.service for attempt in attempts), 3),
        "request_id": attempts[-1].request_id if attempts else "",
    }
    if isinstance(outcome, Image):
        facts |= {
            "path": path,
            "width": outcome.width,
            "height": outcome.height,
            "format": outcome.format,
            "size_bytes": outcome.stored.size,
            "sha256": outcome.sha256,
            "model": outcome.model,
            "url": outcome.url,
            "mismatch": outcome.mismatch,
        }
    else:
        facts |= {"reason": type(outcome.error).__name__, "message": str(outcome.error)}
    return json.dumps(facts, ensure_ascii=False)
