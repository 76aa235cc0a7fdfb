"""Shared by all tests."""

import asyncio
import gc
import signal
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No test asserts a wall-clock time: a machine that can hardly keep up must not fail one.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# pytest-asyncio 1.5 makes a default loop and drops it unclosed when a plain test ran first; with
# warnings as errors that fails a random later test (its issue #724).
asyncio.set_event_loop(None)

# A shell that starts us in the background has us, and all processes of ours, ignore Ctrl-C: those
# that should end by it would not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Kills, minutes of traffic, processes of the command line, batch jobs, trials of the benchmark.
SLOW = (
    "tests/loopback/durable/",
    "tests/loopback/pacing/",
    "tests/loopback/cli/",
    "tests/loopback/gateway/",
    "tests/loopback/test_batch",
    "tests/bench/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test` leaves to `make slow` what stands under these names."""
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep thousands of collected tests out of every later look for garbage: many tests ask for
    one, to see that nothing is left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _own_temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests leave among the temporary files goes with pytest's: replies that are kept."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("temporary"))
    yield
    tempfile.tempdir = before
