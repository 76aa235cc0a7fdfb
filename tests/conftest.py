"""Shared by all tests."""

import asyncio
import gc
import signal

import pytest

# pytest-asyncio 1.5 makes a default loop and drops it unclosed when a plain test ran first; with
# warnings as errors that fails a random later test (its issue #724).
asyncio.set_event_loop(None)

# A shell that starts us in the background has us, and all processes of ours, ignore Ctrl-C: those
# that are to heed it would not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep thousands of collected tests out of every later look for garbage: many tests ask for
    one, to see that nothing is left."""
    gc.collect()
    gc.freeze()
