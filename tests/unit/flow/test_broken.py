"""A call that a bug ends, or a broken sink or iterator, still hands out what was paid for."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async._base.errors import StorageError
from nbp_async._models.events import Listener
from nbp_async._models.outcomes import Outcome
from nbp_async._models.settings import Limits
from nbp_async._sinks.base import ImageWriter
from nbp_async._sinks.directory import DirectorySink
from nbp_async._sinks.file_threads import FileThreads
from nbp_async._sinks.memory import MemorySink
from nbp_async.testing.transport import FakeTransport
from tests.unit.flow.helpers import PRICE, client, good

pytestmark = pytest.mark.looptime


class BrokenSink(MemorySink):
    """Its `open` has a bug that shows with the image number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(1 << 30, FileThreads())
        self._left = at + 1  # the call tries it once before it sends anything

    async def open(self) -> ImageWriter:
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("no such bucket")
        return await super().open()


def broken_prompts(count: int) -> Iterator[str]:
    yield from (f"prompt {number}" for number in range(count))
    raise RuntimeError("the file is broken")


def note_of(exc: BaseException) -> str:
    return "\n".join(exc.__notes__)


async def ends_broken(transport: FakeTransport, prompts: Any, **options: Any) -> tuple[Any, str]:
    """The plan of a call that a RuntimeError ends, and the note on it."""
    async with client(transport, limits=Limits(max_in_flight=4)) as gen:
        plan = gen.many(prompts, **options)
        with pytest.raises(RuntimeError) as caught:
            await plan
        assert gen.in_flight == 0
    assert transport.in_flight == 0
    assert list(caught.value.partial) == list(plan.partial)  # type: ignore[attr-defined]
    return plan, note_of(caught.value)


async def test_a_broken_sink_leaves_what_was_made_in_the_plan() -> None:
    transport = FakeTransport(default=good(hold=10))
    plan, note = await ends_broken(transport, [f"{n}" for n in range(20)], out=BrokenSink(at=9))
    partial = plan.partial
    assert len(partial.images) >= 8
    assert len(partial.failures) == 1
    assert [f.billing for f in partial.failures] == ["maybe"]
    assert transport.billed == len(partial)
    assert f"{len(partial.images)} images had been made" in note
    assert f"${len(partial.images) * PRICE:.2f}" in note
    assert "they are in memory" in note
    assert "`partial`" in note


async def test_a_broken_iterator_leaves_what_was_made_in_the_plan() -> None:
    transport = FakeTransport(default=good(hold=10))
    plan, note = await ends_broken(transport, broken_prompts(8))
    assert len(plan.partial.images) == transport.billed == 8
    assert plan.partial.billing.spent == 8 * PRICE
    assert "8 images had been made, for $1.07" in note


async def test_the_note_names_the_folder_of_the_images(tmp_path: Path) -> None:
    transport = FakeTransport(default=good(hold=10))
    sink = DirectorySink(tmp_path, FileThreads())
    plan, note = await ends_broken(transport, broken_prompts(2), out=sink, journal=False)
    assert len(plan.partial.images) == 2
    assert f"they are in {tmp_path}" in note


async def test_a_call_that_made_nothing_has_no_note() -> None:
    transport = FakeTransport(default=good(hold=10))
    async with client(transport) as gen:
        plan = gen.many(broken_prompts(0))
        with pytest.raises(RuntimeError) as caught:
            await plan
    assert not getattr(caught.value, "__notes__", [])
    assert plan.partial.billing.spent == Decimal(0)


async def test_a_bug_after_an_image_was_made_does_not_end_its_siblings() -> None:
    """Here in what takes the outcomes, where no error is expected."""
    transport = FakeTransport(default=good(hold=10))
    taken: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        if outcome.index == 2:
            raise RuntimeError("a bug")
        taken.append(outcome)

    async with client(transport, limits=Limits(max_in_flight=4)) as gen:
        plan = gen.many([f"{n}" for n in range(4)])
        plan._take = take  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="a bug"):
            await plan
    assert transport.billed == 4
    assert sorted(outcome.index for outcome in taken) == [0, 1, 3]


async def test_a_listener_with_a_bug_ends_nothing() -> None:
    class Broken(Listener):
        def on_outcome(self, outcome: Outcome) -> None:
            raise RuntimeError(f"no row for {outcome.index}")

    transport = FakeTransport(default=good(hold=10))
    async with client(transport, listeners=[Broken()]) as gen:
        batch = await gen.many(["a", "b"])
    assert len(batch.images) == 2


async def test_a_call_that_cannot_open_closes_the_prompts_that_have_begun(tmp_path: Path) -> None:
    closed: list[bool] = []

    async def prompts() -> AsyncIterator[str]:
        try:
            yield "the header"
            yield "a red bicycle"
        finally:
            closed.append(True)

    source = prompts()
    await anext(source)
    transport = FakeTransport(default=good())
    (tmp_path / "file").touch()
    async with client(transport) as gen:
        with pytest.raises(StorageError):
            await gen.many(source, out=tmp_path / "file", journal=False)
        assert closed == [True]
    assert transport.requests == []
