"""`nbp listen`: webhooks that come in, one line each on stdout."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import click

from nbp_async._words import plural, printable
from nbp_async.cli import codes
from nbp_async.cli.hooks import SCHEMES, secret_options, secrets_of
from nbp_async.cli.output import people, say

if TYPE_CHECKING:
    from nbp_async.webhooks import Event, Receiver, Webhook

_PATIENCE = 5.0  # seconds that a reader who does not read delays the end
_SAY_EVERY = 1.0  # seconds between two lines on what was refused
_HELP = """\
Take the webhooks of one service in, and print a line for each: the task's id and its state.

Each is checked as the service signs it, counts once however often it comes, and is
printed. It is a hint: what became of the task, the service says when it is asked.

\b
  nbp listen --public-url https://hooks.shop.example --port 8787 \\
             --path vendor --inbox hooks.sqlite3 --json | your-program

Something before it (nginx, a tunnel) passes the public address on to --host and
--port. Without --public-url only this machine can send, such as `nbp fake`.
With --inbox what came is on disk before its sender is answered, and what was not
printed before a crash is printed at the next start. GET /health says that it is up.
Ctrl-C ends it.
"""


@click.command(help=_HELP)
@click.option("--public-url", metavar="URL", default="",
              help="What the service is told, up to the last part of the path: https.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8789, show_default=True,
              metavar="N", help="Port to listen on; 0 for a free one.")  # fmt: skip
@click.option("--path", metavar="WORD",
              help="Last part of the address. Default: drawn, other at each start.")  # fmt: skip
@click.option("--scheme", default="standard", show_default=True,
              type=click.Choice(SCHEMES),
              help="How the service signs.")  # fmt: skip
@secret_options
@click.option("--max-body", type=click.IntRange(min=1), default=262_144, show_default=True,
              metavar="BYTES", help="Larger ones are turned away.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print each as a line of JSON, whole.")
def listen(
    secret_env: tuple[str, ...], secret_file: tuple[Path, ...], as_json: bool, **settings: Any
) -> None:
    """Listen until it is told to end."""

    async def work() -> int:
        from nbp_async.webhooks import Webhook

        secret = secrets_of(settings["scheme"], secret_env, secret_file)
        return await _listen(Webhook(secret=secret, **settings), _in_json if as_json else _in_words)

    codes.run(work)


async def _listen(webhook: "Webhook", line_of: Callable[["Event"], str]) -> int:
    from nbp_async.webhooks import Door, Receiver

    console, stop = people(), asyncio.Event()
    loop = asyncio.get_running_loop()
    printer = _Printer(stop.set)
    said_at = float("-inf")

    def refused(reason: str) -> None:
        nonlocal said_at
        if loop.time() - said_at >= _SAY_EVERY:
            said_at = loop.time()
            say(console, f"Refused {printable(reason, 200)}")

    receiver = Receiver(webhook, lambda event: printer.print(line_of(event)), refused=refused)
    door = Door(receiver)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await door.open()
        say(console, f"Listening at {receiver.url}")
        await stop.wait()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await door.aclose()
    say(console, _tally(receiver))
    return codes.ALL_MADE


class _Printer:
    """Writes lines to stdout in a thread of its own: its reader may be slow, and senders wait.

    Args:
        gone: Called in the event loop when the reader has left.
    """

    def __init__(self, gone: Callable[[], object]) -> None:
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._lines: SimpleQueue[tuple[str, asyncio.Future[None]]] = SimpleQueue()
        # A daemon: a reader that never reads must not keep the process from ending.
        Thread(target=self._write_all, name="nbp-stdout", daemon=True).start()

    def print(self, line: str) -> "asyncio.Future[None]":
        """Done when it is written; cancelled if nobody reads any more."""
        written: asyncio.Future[None] = self._loop.create_future()
        self._lines.put((line, written))
        return written

    def _write_all(self) -> None:
        closed = False
        while True:
            line, written = self._lines.get()
            try:
                if not closed:
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
            except BrokenPipeError:
                closed = True
                # Python flushes stdout once more at its end, and would complain there.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._tell(self._gone)
            self._tell(_end, written, closed)

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *args)


def _end(written: "asyncio.Future[None]", closed: bool) -> None:
    if written.done():
        return
    if closed:
        written.cancel()
    else:
        written.set_result(None)


def _in_json(event: "Event") -> str:
    facts = {
        "id": event.id,
        "task": event.task,
        "state": event.state,
        "scheme": event.scheme,
        "received_at_s": round(event.received_at, 3),
        "body": _body(event),
    }
    return json.dumps(facts, ensure_ascii=False)


def _in_words(event: "Event") -> str:
    at = datetime.fromtimestamp(event.received_at, UTC).astimezone().strftime("%H:%M:%S")
    return printable(f"{at}  {event.task or event.id}  {event.state}", 300).rstrip()


def _body(event: "Event") -> object:
    try:
        return cast("object", json.loads(event.body))
    except (ValueError, RecursionError):
        return None


def _tally(receiver: "Receiver") -> str:
    came = receiver.tally
    return (
        f"{plural(came.taken, 'webhook')} came; {came.repeated} of the same came again, "
        f"{came.refused} refused, {came.put_off} put off."
    )
