"""A status that is not a success is an error of ours, with its billing, whatever the body is."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbp_async._base.errors import (
    AuthError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    RefusedError,
    ServerError,
)
from nbp_async._base.http import ReplyHead
from nbp_async._models.settings import Retry
from nbp_async._pacing.retry import AttemptHistory, judge
from tests.contracts.dialects.kit import SUBJECTS, Subject

KINDS: dict[int, type[RefusedError]] = {
    204: ServerError,
    302: InvalidRequestError,
    400: InvalidRequestError,
    401: AuthError,
    402: AuthError,
    403: AuthError,
    404: InvalidRequestError,
    408: ServerError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: OverloadedError,
    504: ServerError,
    524: ServerError,
}
BODIES = {
    "empty": b"",
    "error": json.dumps({"error": {"message": "no", "code": "x_y"}}).encode(),
    "list": json.dumps([{"error": {"message": "no"}}]).encode(),
    "page": b"<html><title>Bad Gateway</title></html>",
    "cut": b'{"error": {"mess',
    "bytes": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_each_status_has_its_class_and_its_billing(subject: Subject, body: bytes) -> None:
    for status, kind in KINDS.items():
        error = subject.dialect.refusal(ReplyHead(status, {}), body, subject.profile)
        assert type(error) is kind, status
        assert error.status == status
        assert str(error).startswith(f"{subject.profile.name} answered {status}")
        verdict = judge(
            error,
            retry=Retry.none(),
            profile=subject.profile,
            history=AttemptHistory(reached=1),
            rng=lambda: 0.5,
        )
        assert (verdict.action, verdict.billing) == ("finish", subject.profile.billing(status))


def test_its_successes_are_no_refusals(subject: Subject) -> None:
    assert {200, 201} <= subject.dialect.statuses
    assert not subject.dialect.statuses & KINDS.keys()


def test_the_request_id_of_a_refusal_is_in_its_head() -> None:
    assert ReplyHead(500, {"x-request-id": "r-1"}).request_id == "r-1"
    assert ReplyHead(500, {"request-id": "r-2"}).request_id == "r-2"
    assert ReplyHead(500, {}).request_id == ""


@given(
    st.sampled_from(SUBJECTS),
    st.integers(100, 999),
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps(text).encode()),
)
@settings(max_examples=300)
def test_a_refusal_never_raises_and_is_short(subject: Subject, status: int, body: Any) -> None:
    error = subject.dialect.refusal(ReplyHead(status, {}), body, subject.profile)
    assert isinstance(error, RefusedError)
    assert len(str(error)) < 400
    assert str(error).isprintable()
