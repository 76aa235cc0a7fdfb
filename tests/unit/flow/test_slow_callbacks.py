"""A function of the user's that holds the event loop is named, with its line, once."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nbp_async import Client, Listener
from nbp_async._flow import slow_callbacks as slow_callbacks
from nbp_async._flow.slow_callbacks import describe_callable
from nbp_async.fake import FakeServer
from tests.loopback.play import KEY, profile


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_callbacks, "_named", set())


def words(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "blocked the event loop" in r.getMessage()]


def slow_prompts() -> Iterator[str]:
    yield "a red bicycle"
    time.sleep(0.06)
    yield "a green one"


class Slow(Listener):
    def on_outcome(self, outcome: Any) -> None:  # noqa: ARG002
        time.sleep(0.06)


class Broken(Listener):
    def on_outcome(self, outcome: Any) -> None:  # noqa: ARG002
        raise RuntimeError("no such table")


async def make(prompts: Any, *listeners: Listener) -> None:
    async with (
        FakeServer(latency=0.0, keys=[KEY]) as server,
        Client(profile(server, "openai_images"), KEY, listeners=listeners) as gen,
    ):
        assert len((await gen.many(prompts, size="1K")).images) == 2


async def test_a_listener_that_holds_the_loop_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "nbp_async"):
        await make(["a", "b"], Slow())
    (message,) = words(caplog)
    line = Slow.on_outcome.__code__.co_firstlineno
    assert message.startswith(
        f"Slow.on_outcome (test_slow_callbacks.py:{line}) blocked the event loop for 0."
    )
    assert "run_in_executor" in message


async def test_prompts_that_are_slow_to_come_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nbp_async"):
        await make(slow_prompts())
    (message,) = words(caplog)
    line = slow_prompts.__code__.co_firstlineno
    assert message.startswith(
        f"slow_prompts (test_slow_callbacks.py:{line}) blocked the event loop"
    )


async def test_a_listener_that_fails_is_named_and_fails_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "nbp_async"):
        await make(["a", "b"], Broken())
    (first, *_) = caplog.records
    assert first.getMessage().startswith(
        "A listener failed in Broken.on_outcome (test_slow_callbacks.py:"
    )
    assert "no such table" in caplog.text


def test_what_has_no_code_has_its_type_for_a_name() -> None:
    assert describe_callable(iter([])) == "list_iterator"
    assert describe_callable(Listener().on_outcome).startswith("Listener.on_outcome (events.py:")
