"""Runs the calls of a script one after the other, and prints what came of each."""

import http.server
import json
import queue
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

T = TypeVar("T")


def run(client: Any, *calls: Callable[[Any], object]) -> None:
    for call in calls:
        try:
            result = str(call(client))
        except Exception as exc:  # noqa: BLE001  the test compares it
            result = f"{type(exc).__name__}: {exc}"
        print(json.dumps([call.__name__, result]), flush=True)


def until(done: Callable[[T], bool], look: Callable[[], T]) -> T:
    """Look until it is done."""
    end = time.monotonic() + 30
    while not done(found := look()):
        assert time.monotonic() < end, f"not done: {found}"
        time.sleep(0.05)
    return found


class Receiver:
    """Receives webhooks; each goes into `webhooks`, as its headers and its body."""

    def __init__(self) -> None:
        self.webhooks: queue.Queue[tuple[dict[str, str], str]] = queue.Queue()
        webhooks = self.webhooks

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                webhooks.put((dict(self.headers), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def size_of(data: bytes) -> str:
    """Format and size of an image, without a package that reads images."""
    if data[:4] == b"\x89PNG":
        width, height = struct.unpack(">II", data[16:24])
        return f"png {width}x{height}"
    at = data.index(b"\xff\xc0") + 5
    height, width = struct.unpack(">HH", data[at : at + 4])
    return f"jpeg {width}x{height}"
