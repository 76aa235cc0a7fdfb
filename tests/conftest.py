"""Shared by all tests."""

import asyncio

# pytest-asyncio 1.5 makes a default loop and drops it unclosed when a plain test ran first; with
# warnings as errors that fails a random later test (its issue #724).
asyncio.set_event_loop(None)
