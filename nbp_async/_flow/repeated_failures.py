"""Three failures in a row with one cause that every prompt shares stop the call.

Such a cause is a refused key, a used-up balance, a wrong address or model, or answers that are
paid for and cannot be read. To go on would ask, or buy, the same thing for each prompt that is
left. Requests that are out by then cannot be taken back, and are waited for: one wave at most, and
under a cap on dollars no wider than what that could pay at three times the price.

The first request of a call is not waited for before others leave: an image takes a minute or two,
and each call would pay that minute for the rare call that is set up wrongly.
"""

import re

from nbp_async._base.errors import (
    AuthError,
    BodyTooLargeError,
    InvalidRequestError,
    MalformedReplyError,
    NbpError,
    NoImageError,
    NotSentError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    ServerError,
    SlowBodyError,
    TaskError,
    TruncatedError,
)
from nbp_async._dialects.task_answer import NOTHING_FOUND

MOST_IN_A_ROW = 3
_DETAILS = re.compile(r'".*|[0-9]+', re.DOTALL)  # the part of a message that differs each time
_CUT_HINT = (
    "The answers are billed and do not come whole: check the network and what is on the way "
    "(a proxy, a limit on sizes), or ask for a smaller size."
)
_UNREADABLE_HINT = (
    "Each such answer is billed, or may be: check the address, the model's name and the options "
    "before you go on."
)


class RepeatedFailures:
    """Counts the failures of a call that follow each other with one cause."""

    __slots__ = ("_cause", "_count", "_has_image")

    def __init__(self) -> None:
        self._cause = ""
        self._count = 0
        self._has_image = False

    def record(self, error: NbpError | None) -> bool:
        """An attempt ended in this error, or with an image; whether the call must stop."""
        if error is None:
            self._has_image = True
        elif isinstance(error, NotSentError | RateLimitError | OverloadedError):
            return False  # it says nothing about the cause of the others
        cause = "" if error is None else self._shared_cause(error)
        self._count = self._count + 1 if cause and cause == self._cause else bool(cause)
        self._cause = cause
        return self._count >= MOST_IN_A_ROW

    def _shared_cause(self, error: NbpError) -> str:
        """What the other prompts would meet as well, or ""."""
        kind = type(error).__name__
        if isinstance(error, TaskError):
            cause = error.__cause__  # why its polls cannot be read
            return self._shared_cause(cause) if isinstance(cause, NbpError) else ""
        if isinstance(error, AuthError | QuotaError):
            return kind
        if isinstance(error, InvalidRequestError):
            # A 400 or 422 is about one prompt; these are about the address or the model.
            status = error.status
            return f"{kind} {status}" if status in (404, 405) or not 400 <= status < 500 else ""
        if isinstance(error, TruncatedError | SlowBodyError):
            # A vendor that restarts cuts many answers at once: once images came, that passes.
            return "" if self._has_image else kind
        is_foreign = isinstance(error, NoImageError) and (
            error.billing == "maybe" or error.reason == NOTHING_FOUND
        )
        no_answer = isinstance(error, ServerError) and error.status < 300
        if isinstance(error, MalformedReplyError) or is_foreign or no_answer:
            return f"{kind} {_DETAILS.sub('', error.message)}"
        return ""


def advice(error: NbpError) -> str:
    """What to check, where the error does not say it itself."""
    if isinstance(error, TaskError) and isinstance(error.__cause__, NbpError):
        return advice(error.__cause__)
    if isinstance(error, TruncatedError | SlowBodyError):
        return _CUT_HINT
    if isinstance(error, BodyTooLargeError | AuthError | QuotaError):
        return ""
    return _UNREADABLE_HINT if isinstance(error, MalformedReplyError | NoImageError) else ""
