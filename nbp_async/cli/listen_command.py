"""`nbp listen`: incoming webhooks, one line each on stdout."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

import click

from nbp_async.cli import exit_codes
from nbp_async.cli.key_file import known_keys
from nbp_async.cli.output import print_line, stderr_console
from nbp_async.cli.stop_handler import STOP_SIGNALS
from nbp_async.cli.webhook_options import SCHEMES, read_secrets, secret_options
from nbp_async.display.formats import plural, printable

if TYPE_CHECKING:
    from nbp_async.webhooks import Receiver, Webhook, WebhookEvent

_LONGEST_END = 5.0  # seconds that a reader who does not read delays the end
_REJECTION_INTERVAL = 1.0  # seconds between two lines about rejected webhooks
_HELP = """\
Receive the webhooks of one service, and print a line for each: the task's id and its state.

Each webhook is verified by the service's signature scheme; duplicates are printed once. A webhook
is only a hint: ask the service what became of the task.

\b
  nbp listen --public-url https://hooks.shop.example --port 8787 \\
             --path vendor --inbox hooks.sqlite3 --json | your-program

A proxy in front of it (nginx, a tunnel) forwards the public address to --host and
--port. Without --public-url only this machine can send, for example `nbp fake`.
With --inbox a webhook is on disk before its sender gets the response, and one that was
not printed before a crash is printed at the next start. GET /health says that it is up.
Ctrl-C ends it.
"""


@click.command(help=_HELP)
@click.option(
    "--public-url",
    metavar="URL",
    default="",
    help="The https address that the service calls, without the last part of the path.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8789,
    show_default=True,
    metavar="N",
    help="Port to listen on; 0 for a free one.",
)
@click.option(
    "--path",
    metavar="WORD",
    help="Last part of the address. Default: random, another one at each start.",
)
@click.option(
    "--scheme",
    default="standard",
    show_default=True,
    type=click.Choice(SCHEMES),
    help="How the service signs.",
)
@secret_options
@click.option(
    "--max-body",
    type=click.IntRange(min=1),
    default=262_144,
    show_default=True,
    metavar="BYTES",
    help="Larger webhooks are rejected.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each as JSON, with its body.")
def listen(
    secret_env: tuple[str, ...], secret_file: tuple[Path, ...], as_json: bool, **settings: Any
) -> None:
    """Listen until a signal ends it."""

    async def work() -> int:
        from nbp_async.webhooks import Webhook

        secret = read_secrets(settings["scheme"], secret_env, secret_file)
        webhook = Webhook(secret=secret, **settings)
        return await _listen(webhook, _event_json if as_json else _event_text)

    exit_codes.run(work)


async def _listen(webhook: "Webhook", line_of: Callable[["WebhookEvent"], str]) -> int:
    from nbp_async.webhooks import HookServer, Receiver

    console, stop = stderr_console(), asyncio.Event()
    loop = asyncio.get_running_loop()
    printer = _LinePrinter(stop.set)
    printed_at = float("-inf")

    def on_rejected(reason: str) -> None:
        nonlocal printed_at
        if loop.time() - printed_at >= _REJECTION_INTERVAL:
            printed_at = loop.time()
            print_line(console, f"Rejected {printable(reason, 200)}")

    receiver = Receiver(
        webhook,
        lambda event: printer.print(line_of(event)),
        on_rejected=on_rejected,
        hide=known_keys(os.environ),
    )
    server = HookServer(receiver)
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        await server.open()
        print_line(console, f"Listening at {receiver.url}")
        await stop.wait()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_END):
                await server.aclose()
    print_line(console, _counts_text(receiver))
    return exit_codes.ALL_MADE


class _LinePrinter:
    """Writes lines to stdout in a thread of its own: the reader may be slow, and senders wait.

    Args:
        gone: Called in the event loop when the reader has closed stdout.
    """

    def __init__(self, gone: Callable[[], object]) -> None:
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._lines: SimpleQueue[tuple[str, asyncio.Future[None]]] = SimpleQueue()
        # A daemon thread: a reader that never reads must not keep the process alive.
        Thread(target=self._write_all, name="nbp-stdout", daemon=True).start()

    def print(self, line: str) -> "asyncio.Future[None]":
        """Done when it is written; cancelled once the reader has closed stdout."""
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
                # Python flushes stdout once more when it exits, and would print an error.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._call_in_loop(self._gone)
            self._call_in_loop(_finish, written, closed)

    def _call_in_loop(self, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing awaits the result
            self._loop.call_soon_threadsafe(call, *args)


def _finish(written: "asyncio.Future[None]", closed: bool) -> None:
    if written.done():
        return
    if closed:
        written.cancel()
    else:
        written.set_result(None)


def _event_json(event: "WebhookEvent") -> str:
    facts = {
        "id": event.id,
        "task": event.task,
        "state": event.state,
        "scheme": event.scheme,
        "received_at_s": round(event.received_at, 3),
        "body": _body(event),
    }
    return json.dumps(facts, ensure_ascii=False)


def _event_text(event: "WebhookEvent") -> str:
    at = datetime.fromtimestamp(event.received_at, UTC).astimezone().strftime("%H:%M:%S")
    return printable(f"{at}  {event.task or event.id}  {event.state}", 300).rstrip()


def _body(event: "WebhookEvent") -> object:
    try:
        return cast("object", json.loads(event.body))
    except (ValueError, RecursionError):
        return None


def _counts_text(receiver: "Receiver") -> str:
    counts = receiver.counts
    return (
        f"{plural(counts.accepted, 'webhook')} accepted; {plural(counts.duplicates, 'duplicate')}, "
        f"{counts.rejected} rejected, {counts.deferred} deferred."
    )
