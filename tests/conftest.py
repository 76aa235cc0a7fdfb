"""Shared by all tests."""

import asyncio
import gc

import pytest

# pytest-asyncio 1.5 makes a default loop and drops it unclosed when a plain test ran first; with
# warnings as errors that fails a random later test (its issue #724).
asyncio.set_event_loop(None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep thousands of collected tests out of every later look for garbage: many tests ask for
    one, to see that nothing is left."""
    gc.collect()
    gc.freeze()
