"""Keeps headers of our requests and replies out of other libraries' logs: the key is one of them.

httpcore writes the headers of each reply at DEBUG, and a vendor may repeat the key in one; hpack,
for HTTP/2, writes those of the request as well. What these libraries do for others is not touched.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = ("httpcore.http11", "httpcore.http2", "httpcore.proxy", "hpack.hpack", "hpack.table")

_is_ours: ContextVar[bool] = ContextVar("nbp_request", default=False)


def _has_no_headers(record: logging.LogRecord) -> bool:
    if not _is_ours.get():
        return True
    return record.name.startswith("httpcore") and "headers.complete" not in record.getMessage()


@contextmanager
def unlogged_headers() -> Iterator[None]:
    """Within it, nothing is logged that has headers in it."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_has_no_headers)  # once: it is known after that
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)
