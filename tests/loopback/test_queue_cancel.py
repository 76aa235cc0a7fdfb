"""Cancelling what was submitted: in the queue, between its draw and its request, and after it."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nbp_async import Failure
from nbp_async._flow.queue_source import QueueSource
from nbp_async.fake import FakeServer
from tests.loopback.test_open_run import (
    address as address,
)
from tests.loopback.test_open_run import (
    assert_account,
    made,
    opened,
)
from tests.loopback.test_open_run import (
    server as server,
)
from tests.loopback.test_open_run import (
    where as where,
)


async def test_what_is_cancelled_in_the_queue_costs_nothing(
    server: FakeServer, where: str, tmp_path: Path
) -> None:
    async with opened(server, where, tmp_path / "out") as run:
        tickets = await run.submit(["a", "b"])
        assert await run.cancel(tickets[:1]) == {tickets[0].number: "cancelled"}
        assert len(await made(run)) == 1
        failure = await run.wait(tickets[0])
        assert isinstance(failure, Failure)
        assert (failure.billing, failure.attempts) == ("no", ())
        await assert_account(run, server)


async def test_what_is_cancelled_while_it_is_out_ends_at_its_price(
    where: str, tmp_path: Path
) -> None:
    async with (
        FakeServer(latency=30.0, delivery="b64_json") as server,
        opened(server, where, tmp_path / "out") as run,
    ):
        (ticket,) = await run.submit(["a"])
        working = asyncio.ensure_future(made(run))
        while server.stats().in_flight == 0:
            await asyncio.sleep(0.01)
        assert await run.cancel([ticket]) == {ticket.number: "out"}
        assert not working.done()
        assert await run.cancel([ticket], accept_price=True) == {ticket.number: "out"}
        (outcome,) = await working
        assert isinstance(outcome, Failure)
        assert outcome.billing == "maybe"
        assert (await run.wait(ticket)).billing == "maybe"
        (status,) = await run.status([ticket])
        assert status.is_cancelled
        assert status.maybe > 0
        assert await run.requeue([ticket]) == [], "it may have been billed"
        await assert_account(run, server, lost=status.maybe)


async def test_one_process_submits_another_works_and_the_first_cancels(
    address: str, tmp_path: Path
) -> None:
    async with (
        FakeServer(latency=30.0, delivery="b64_json") as server,
        opened(server, address, tmp_path / "out") as face,
        opened(server, address, tmp_path / "out") as worker,
    ):
        working = asyncio.ensure_future(made(worker, forever=True))
        (ticket,) = await face.submit(["a"])
        while server.stats().in_flight == 0:
            await asyncio.sleep(0.01)
        await face.cancel([ticket], accept_price=True)
        outcome = await face.wait(ticket)
        assert outcome.billing == "maybe"
        working.cancel()
        await asyncio.wait([working])
        await assert_account(face, server, lost=Decimal("0.15"))


async def test_what_is_cancelled_between_its_draw_and_its_request_is_not_sent(
    server: FakeServer, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one draws both; before the second is begun it is cancelled, price and all."""
    async with opened(server, where, tmp_path / "out", in_flight=2) as run:
        tickets = await run.submit(["a", "b"])
        draw = QueueSource.draw
        drawn: list[Any] = []

        async def watched(self: QueueSource) -> Any:
            job = await draw(self)
            drawn.append(job)
            if len(drawn) == 1:
                await run.cancel(tickets[1:], accept_price=True)
            return job

        monkeypatch.setattr(QueueSource, "draw", watched)
        outcomes = {outcome.index: outcome for outcome in await made(run)}
        assert outcomes[tickets[0].number].ok
        assert outcomes[tickets[1].number].billing == "no"
        assert server.stats().requests == 1
        assert (await run.wait(tickets[1])).billing == "no"
        await assert_account(run, server)
