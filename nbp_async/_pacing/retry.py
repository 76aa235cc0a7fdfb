"""What to do after an attempt that brought no image: one pure function, and nothing else decides.

It goes by what is known about the bill, not by the name of an exception:

    billing "no"      try again, as far as attempts, patience and the retry budget last
    billing "maybe"   finish, unless the user allowed a resend (`Retry.ambiguous`) or listed the
                      status (`Retry.statuses`)
    billing "yes"     finish: the image was paid for
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from nbp_async._base.errors import (
    CancelledAttemptError,
    NbpError,
    NoImageError,
    NoReplyError,
    NotSentError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    RefusedError,
    ServerError,
    TaskError,
)
from nbp_async._base.http import Billing
from nbp_async._models.settings import Retry
from nbp_async._vendors.profiles import Profile

Action = Literal["finish", "again", "throttled", "resend"]

# Tokens of the retry budget that a further attempt costs.
_SERVER, _RESEND = 2, 5


class AttemptHistory(msgspec.Struct, frozen=True, gc=False):
    """What was tried for a prompt, including the attempt that just ended.

    Attributes:
        reached: Attempts that reached the server.
        connects: Attempts that never left.
        throttled: Attempts among `reached` that were answered 429 or 503.
        throttled_for: Seconds for which 429 and 503 have delayed the prompt so far.
    """

    reached: int = 0
    connects: int = 0
    throttled: int = 0
    throttled_for: float = 0.0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What to do now.

    Attributes:
        action: "finish"; "again" after `delay`; "throttled": close the gate and pass it again;
            "resend": again, although it may be paid for twice, if the dollars for it are left.
        billing: What the vendor charges for the attempt that just ended.
        delay: Seconds to wait before the next attempt.
        tokens: Of the retry budget, that it takes.
    """

    action: Action
    billing: Billing
    delay: float = 0.0
    tokens: int = 0


def judge(
    error: NbpError,
    *,
    retry: Retry,
    profile: Profile,
    history: AttemptHistory,
    rng: Callable[[], float],
    model: str | None = None,
) -> Verdict:
    """Say what the attempt that ended in `error` costs, and what to do next.

    `model` is the model that was asked; None for that of the profile.
    """
    if isinstance(error, NotSentError):
        if not error.is_transient or history.connects >= retry.connect_attempts:
            return Verdict("finish", "no")
        delay = _backoff(retry, history.connects, rng, base=retry.base / 2)
        return Verdict("again", "no", delay)
    if isinstance(error, RefusedError):
        return _refused(error, retry, profile, history, rng)
    if isinstance(error, NoReplyError):
        if isinstance(error, CancelledAttemptError):
            return Verdict("finish", "maybe")
        return _ambiguous(retry, history, rng)
    if isinstance(error, TaskError):
        number = _attempts(retry, history)
        if error.billing != "no" or not error.is_transient or number >= retry.attempts:
            return Verdict("finish", error.billing)
        return Verdict("again", "no", _backoff(retry, number, rng), _SERVER)
    if isinstance(error, NoImageError):
        billing, prices = profile.billed_without_image, profile.prices_for(model or profile.model)
        by_tokens = prices is not None and prices.by_tokens
        if billing == "yes" and (
            error.billing == "maybe"  # it is not an answer of this API: who wrote it is unknown
            or (error.usage is None and by_tokens)  # charged, and none are counted
        ):
            billing = "maybe"
        return Verdict("finish", billing)
    return Verdict("finish", error.billing)


def _refused(
    error: RefusedError,
    retry: Retry,
    profile: Profile,
    history: AttemptHistory,
    rng: Callable[[], float],
) -> Verdict:
    if isinstance(error, QuotaError):  # nothing is made without a balance, whatever the status
        return Verdict("finish", "no")
    billing = profile.billing(error.status)
    finish = Verdict("finish", billing)
    is_listed = retry.statuses is not None and error.status in retry.statuses
    if retry.statuses is not None and not is_listed:
        return finish
    asked = error.retry_after or 0.0
    patience = retry.max_throttle - history.throttled_for
    if asked > max(0.0, patience):
        return finish
    number = _attempts(retry, history)
    if isinstance(error, RateLimitError | OverloadedError):
        if billing != "no" and not is_listed:
            return finish
        if not retry.throttle_counts:
            return Verdict("throttled", billing) if patience > 0 else finish
        if number >= retry.attempts:
            return finish
        return Verdict("throttled", billing, _backoff(retry, number, rng))
    has_failed = isinstance(error, ServerError)
    if is_listed or (has_failed and billing == "no"):
        if number >= retry.attempts:
            return finish
        return Verdict("again", billing, max(asked, _backoff(retry, number, rng)), _SERVER)
    if has_failed and billing == "maybe":
        return _ambiguous(retry, history, rng, asked)
    return finish


def _ambiguous(
    retry: Retry, history: AttemptHistory, rng: Callable[[], float], asked: float = 0.0
) -> Verdict:
    number = _attempts(retry, history)
    if retry.ambiguous != "resend" or number >= retry.attempts:
        return Verdict("finish", "maybe")
    return Verdict("resend", "maybe", max(asked, _backoff(retry, number, rng)), _RESEND)


def _attempts(retry: Retry, history: AttemptHistory) -> int:
    """Attempts that count: a 429 or 503 is a signal to the gate, not a failure of the prompt."""
    return history.reached if retry.throttle_counts else history.reached - history.throttled


def _backoff(
    retry: Retry, number: int, rng: Callable[[], float], *, base: float | None = None
) -> float:
    """Full jitter under a ceiling that doubles. The cap comes before the draw, so that waits at
    the cap are spread as well."""
    ceiling = min(retry.cap, (base or retry.base) * 2.0 ** min(number - 1, 60))
    return rng() * ceiling if retry.jitter else ceiling
