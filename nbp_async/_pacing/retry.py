"""What to do after an attempt that brought no image: one pure function, and nothing else decides.

It goes by what is known about the bill, not by the name of an exception. What was not billed is
tried again; what may have been is not, unless the user said so; what was paid for never is.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from nbp_async._config import Retry
from nbp_async._errors import (
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
from nbp_async._http import Billing
from nbp_async._profiles import Profile

Action = Literal["finish", "again", "throttled", "resend"]

# Tokens of the retry budget that a further attempt costs.
_SERVER, _RESEND = 2, 5


class Tries(msgspec.Struct, frozen=True, gc=False):
    """What was tried for a prompt, the attempt that just ended included.

    Attributes:
        reached: Attempts that reached the server.
        connects: Attempts that never left.
        throttled: Attempts among `reached` that were answered 429 or 503.
        throttled_for: Seconds that 429 and 503 have put the prompt off so far.
    """

    reached: int = 0
    connects: int = 0
    throttled: int = 0
    throttled_for: float = 0.0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What to do now.

    Attributes:
        action: "finish"; "again" after `delay`; "throttled": close the gate and go through it
            again; "resend": again, though it may be paid twice, if the dollars for it are there.
        billing: What the vendor charges for the attempt that just ended.
        delay: Seconds to wait before the next attempt.
        cost: Tokens of the retry budget that it takes.
    """

    action: Action
    billing: Billing
    delay: float = 0.0
    cost: int = 0


def judge(
    error: NbpError,
    *,
    retry: Retry,
    profile: Profile,
    tries: Tries,
    rng: Callable[[], float],
) -> Verdict:
    """Say who pays for the attempt that ended in `error`, and what to do next."""
    if isinstance(error, NotSentError):
        if error.permanent or tries.connects >= retry.connect_attempts:
            return Verdict("finish", "no")
        delay = _backoff(retry, tries.connects, rng, base=retry.base / 2)
        return Verdict("again", "no", delay)
    if isinstance(error, RefusedError):
        return _refused(error, retry, profile, tries, rng)
    if isinstance(error, NoReplyError):
        billing: Billing = "maybe"
        if isinstance(error, CancelledAttemptError):
            return Verdict("finish", billing)
        return _ambiguous(retry, tries, rng)
    if isinstance(error, TaskError):
        number = _attempts(retry, tries)
        if error.who != "no" or not error.passing or number >= retry.attempts:
            return Verdict("finish", error.who)
        return Verdict("again", "no", _backoff(retry, number, rng), _SERVER)
    if isinstance(error, NoImageError):
        who = profile.billed_without_image
        if who == "yes" and error.usage is None and profile.prices.by_tokens:
            who = "maybe"  # charged by tokens, and told of none
        return Verdict("finish", who)
    return Verdict("finish", error.billed)


def _refused(
    error: RefusedError,
    retry: Retry,
    profile: Profile,
    tries: Tries,
    rng: Callable[[], float],
) -> Verdict:
    billing = profile.billing(error.status)
    finish = Verdict("finish", billing)
    listed = retry.statuses is not None and error.status in retry.statuses
    if isinstance(error, QuotaError) or (retry.statuses is not None and not listed):
        return finish
    asked = error.retry_after or 0.0
    patience = retry.max_throttle - tries.throttled_for
    if asked > max(0.0, patience):
        return finish
    number = _attempts(retry, tries)
    if isinstance(error, RateLimitError | OverloadedError):
        if billing != "no" and not listed:
            return finish
        if not retry.throttle_counts:
            return Verdict("throttled", billing) if patience > 0 else finish
        if number >= retry.attempts:
            return finish
        return Verdict("throttled", billing, _backoff(retry, number, rng))
    failed = isinstance(error, ServerError)
    if listed or (failed and billing == "no"):
        if number >= retry.attempts:
            return finish
        return Verdict("again", billing, max(asked, _backoff(retry, number, rng)), _SERVER)
    return _ambiguous(retry, tries, rng, asked) if failed and billing == "maybe" else finish


def _ambiguous(retry: Retry, tries: Tries, rng: Callable[[], float], asked: float = 0.0) -> Verdict:
    number = _attempts(retry, tries)
    if retry.ambiguous != "resend" or number >= retry.attempts:
        return Verdict("finish", "maybe")
    return Verdict("resend", "maybe", max(asked, _backoff(retry, number, rng)), _RESEND)


def _attempts(retry: Retry, tries: Tries) -> int:
    """Attempts that count: a 429 or 503 is a word to the gate, not a failure of the prompt."""
    return tries.reached if retry.throttle_counts else tries.reached - tries.throttled


def _backoff(
    retry: Retry, number: int, rng: Callable[[], float], *, base: float | None = None
) -> float:
    """Full jitter under a doubling ceiling: capped first and drawn then, so that it spreads."""
    ceiling = min(retry.cap, (base or retry.base) * 2.0 ** min(number - 1, 60))
    return rng() * ceiling if retry.jitter else ceiling
