"""What is logged at WARNING: what may cost money, and why nothing happens."""

import logging
import pickle

import pytest

from nbp_async._base.errors import ConnectError, DisconnectedError, StoppedError
from nbp_async._models.outcomes import Prompt
from nbp_async._models.settings import Limits, Retry
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.flow.helpers import MOST, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime

_DOWN = Canned(error=ConnectError("relay: no connection: connection refused."))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


async def test_each_maybe_and_each_paid_failure_is_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = Canned(b'{"data":', headers={"x-request-id": "req-7"})
    gone = Canned(error=DisconnectedError("the connection ended."))
    transport = FakeTransport(cut, gone, refusal(400), good(1))
    async with client(transport, limits=Limits(max_in_flight=1)) as gen:
        batch = await gen.many(["a", "b", "c", "d"])
    assert_settled(batch, transport)
    paid, unclear = warnings(caplog)
    assert paid.startswith(
        "Image 1 was billed $0.134 and is not here (request id: req-7): TruncatedError: The JSON"
    )
    assert unclear == (
        f"Image 2 may have been billed ${MOST.normalize():f} and is not here (request id: none): "
        "DisconnectedError: the connection ended. The vendor may go on, and bill, without us."
    )


async def test_without_a_connection_one_warning_says_why_after_two_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = FakeTransport(default=_DOWN)
    retry = Retry(base=1.0, jitter=False)
    async with client(transport, retry=retry) as gen:
        batch = await gen.many(["a", "b", "c"])
    assert len(batch.failures) == 3
    assert_settled(batch, transport)
    [warning] = warnings(caplog)
    assert warning == (
        "relay: no connection: connection refused. Tried again, up to 8 times for each prompt; "
        "nothing was sent so far."
    )


@pytest.mark.parametrize("script", [[_DOWN, good(1)], [good(1), *[_DOWN] * 5]])
async def test_a_connection_that_comes_soon_or_came_before_is_not_warned_of(
    script: list[Canned], caplog: pytest.LogCaptureFixture
) -> None:
    async with client(
        FakeTransport(*script, default=good(1)),
        limits=Limits(max_in_flight=1),
        retry=Retry(jitter=False),
    ) as gen:
        batch = await gen.many(["a", "b"])
    assert len(batch.images) == 2
    assert not warnings(caplog)


async def test_a_prompt_that_cannot_be_encoded_fails_alone() -> None:
    transport = FakeTransport(default=good(1))
    extra = Prompt("an emoji in a field", extra={"style": "\ud83d"})
    prompts: list[str | Prompt] = ["a ferry", "a bicycle \ud83d", extra, "a tram"]
    async with client(transport) as gen:
        outcomes = [o async for o in gen.stream(prompt for prompt in prompts)]
    outcomes.sort(key=lambda outcome: outcome.index)
    assert [outcome.ok for outcome in outcomes] == [True, False, False, True]
    assert [outcome.billing for outcome in outcomes] == ["yes", "no", "no", "yes"]
    assert not any(o.ok or isinstance(o.error, StoppedError) for o in outcomes[1:3])
    assert transport.billed == 2


async def test_what_one_raises_carries_its_outcome_and_its_bill() -> None:
    transport = FakeTransport(Canned(error=DisconnectedError("gone")))
    async with client(transport) as gen:
        with pytest.raises(DisconnectedError) as caught:
            await gen.one("a red bicycle")
    error = caught.value
    assert (error.billing, error.cost) == ("maybe", MOST)
    assert error.outcome.error is error
    assert error.attempts == error.outcome.attempts
    assert len(error.attempts) == 1
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.billing, copy.cost, copy.message) == ("maybe", MOST, "gone")
    assert copy.outcome.error is copy
    assert pickle.loads(pickle.dumps(error.outcome)).error.cost == MOST
