"""What every prompt would meet alike stops the call after three times; what one meets does not."""

import json
from typing import Any

import pytest

from nbp_async._base.errors import MalformedReplyError, NbpError, StoppedError, TruncatedError
from nbp_async._calls.batch import Batch
from nbp_async._models.settings import Limits
from nbp_async.testing.transport import Canned, FakeTransport
from tests.unit.flow.helpers import answer, assert_settled, client, good, refusal

pytestmark = pytest.mark.looptime

_PAGE = Canned(b"<!doctype html><title>New API</title>")
_OTHER_JSON = Canned(json.dumps({"task_id": "t-1"}).encode())
_CUT = Canned(answer()[:-200])
_NO_IMAGE = Canned(json.dumps({"created": 1, "data": [], "usage": {"output_tokens": 9}}).encode())
_NOT_PNG = Canned(answer(b"GIF89a and so on"))


def no_credits() -> Canned:
    body = json.dumps({"error": {"message": "no", "code": "insufficient_user_quota"}}).encode()
    return Canned(body, status=429)


async def ten_in_turn(*script: Canned, default: Canned, width: int = 1, **more: Any) -> Batch:
    transport = FakeTransport(*script, default=default)
    async with client(transport, limits=Limits(max_in_flight=width), **more) as gen:
        batch = await gen.many([f"prompt {n}" for n in range(10)])
        assert_settled(batch, transport)
    return batch


def not_sent(batch: Batch) -> int:
    return sum(isinstance(f.error, StoppedError) for f in batch.failures)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (_PAGE, "Check the address"),
        (_OTHER_JSON, "check the address, the model's name"),
        (_CUT, "a proxy, a limit on sizes"),
        (_NOT_PNG, "check the address, the model's name"),
        (no_credits(), "top up"),
        (refusal(404), "Check the model's name"),
        (refusal(302), "is the address right?"),
        (Canned(b"{}", status=202), "202"),
    ],
)
async def test_three_in_a_row_stop_the_call_and_say_what_to_check(
    reply: Canned, words: str
) -> None:
    batch = await ten_in_turn(default=reply)
    assert not_sent(batch) == 7
    stopped = batch.failures[-1].error
    assert "3 attempts in a row ended alike" in str(stopped)
    assert words in str(stopped)
    assert batch.stopped is batch.failures[2].error


@pytest.mark.parametrize("reply", [refusal(400), refusal(422), _NO_IMAGE])
async def test_what_is_wrong_with_one_prompt_stops_no_others(reply: Canned) -> None:
    assert not_sent(await ten_in_turn(default=reply)) == 0


async def test_other_outcomes_between_them_begin_the_count_again() -> None:
    script = [_PAGE, _PAGE, good(1), _PAGE, _PAGE, _CUT, _PAGE, _PAGE]
    assert not_sent(await ten_in_turn(*script, default=good(1))) == 0


async def test_a_pause_between_them_does_not() -> None:
    script = [_PAGE, refusal(503), _PAGE, refusal(503), _PAGE]
    assert not_sent(await ten_in_turn(*script, default=good(1))) == 7


async def test_answers_that_are_cut_together_do_not_stop_a_call_that_has_images() -> None:
    batch = await ten_in_turn(good(1), _CUT, _CUT, _CUT, _CUT, default=good(1))
    assert not_sent(batch) == 0
    assert [type(f.error) for f in batch.failures] == [TruncatedError] * 4


async def test_what_is_out_by_then_is_waited_for_and_nothing_more_leaves() -> None:
    page = Canned(b"<html></html>", hold=5)
    batch = await ten_in_turn(page, page, page, default=good(60), width=5)
    kinds: list[type[NbpError]] = [type(f.error) for f in batch.failures]
    assert kinds.count(MalformedReplyError) == 3
    assert len(batch.images) == 4, "two of the first wave, and two that took the first free slots"
    assert kinds.count(StoppedError) == 3


async def test_a_done_task_whose_result_is_refused_has_failed() -> None:
    base = "https://queue.fal.run/fal-ai/nano-banana-pro/requests/r-1"
    known = {"request_id": "r-1", "status_url": f"{base}/status", "response_url": base}
    detail = [{"loc": ["body"], "msg": "flagged", "type": "content_policy_violation"}]
    transport = FakeTransport(
        Canned(json.dumps({**known, "status": "IN_QUEUE"}).encode()),
        Canned(json.dumps({**known, "status": "COMPLETED"}).encode()),
        Canned(json.dumps({"detail": detail}).encode(), status=422),
    )
    async with client(transport, endpoint="fal") as gen:
        batch = await gen.many(["a red bicycle"], via="poll")
    assert [type(f.error).__name__ for f in batch.failures] == ["ContentBlockedError"]
    assert "flagged" in str(batch.failures[0].error)
    assert len(transport.requests) == 3
