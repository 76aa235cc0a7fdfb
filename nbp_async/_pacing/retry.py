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
    RateLimitError,
    RefusedError,
    ServerError,
)
from nbp_async._http import Billing
from nbp_async._profiles import Profile

Action = Literal["finish", "again", "throttled", "resend"]

# Tokens of the retry budget that a further attempt costs.
_CONNECT, _SERVER, _RESEND = 1, 2, 5


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
        return Verdict("again", "no", delay, _CONNECT)
    if isinstance(error, RefusedError):
        return _refused(error, retry, profile, tries, rng)
    if isinstance(error, NoReplyError):
        billing: Billing = "maybe"
        if isinstance(error, CancelledAttemptError):
            return Verdict("finish", billing)
        return _ambiguous(retry, tries, rng)
    if isinstance(error, NoImageError):
        return Verdict("finish", profile.billed_without_image)
    return Verdict("finish", error.billed)


def _refused(
    error: RefusedError,
    retry: Retry,
    profile: Profile,
    tries: Tries,
    rng: Callable[[], float],
) -> Verdict:
    listed = retry.statuses is not None and error.status in retry.statuses
    billing = profile.billing(error.status)
    if isinstance(error, RateLimitError | OverloadedError):
        if not listed and (retry.statuses is not None or billing != "no"):
            return Verdict("finish", billing)
        if retry.throttle_counts:
            if _attempts(retry, tries) >= retry.attempts:
                return Verdict("finish", billing)
            return Verdict("throttled", billing, _backoff(retry, _attempts(retry, tries), rng))
        patience = retry.max_throttle - tries.throttled_for
        if patience <= 0 or (error.retry_after or 0.0) > patience:
            return Verdict("finish", billing)
        return Verdict("throttled", billing)
    if not isinstance(error, ServerError):
        return Verdict("finish", billing)
    if retry.statuses is not None and not listed:
        return Verdict("finish", billing)
    if billing == "no" or listed:
        if _attempts(retry, tries) >= retry.attempts:
            return Verdict("finish", billing)
        delay = max(_backoff(retry, _attempts(retry, tries), rng), error.retry_after or 0.0)
        return Verdict("again", billing, delay, _SERVER)
    return _ambiguous(retry, tries, rng) if billing == "maybe" else Verdict("finish", billing)


def _ambiguous(retry: Retry, tries: Tries, rng: Callable[[], float]) -> Verdict:
    if retry.ambiguous != "resend" or _attempts(retry, tries) >= retry.attempts:
        return Verdict("finish", "maybe")
    return Verdict("resend", "maybe", _backoff(retry, _attempts(retry, tries), rng), _RESEND)


def _attempts(retry: Retry, tries: Tries) -> int:
    """Attempts that count: a 429 or 503 is a word to the gate, not a failure of the prompt."""
    return tries.reached if retry.throttle_counts else tries.reached - tries.throttled


def _backoff(
    retry: Retry, number: int, rng: Callable[[], float], *, base: float | None = None
) -> float:
    """Full jitter under a doubling ceiling: capped first and drawn then, so that it spreads."""
    ceiling = min(retry.cap, (base or retry.base) * 2.0 ** min(number - 1, 60))
    return rng() * ceiling if retry.jitter else ceiling
