"""What can go wrong, sorted by how far the prompt got.

NbpError
├── ConfigError              a setting or an argument that cannot work; nothing was sent
├── ClosedError              used after aclose, or in another event loop; nothing was sent
├── BudgetError              the spend cap has no room for it; nothing was sent
├── StoppedError             the run was stopped before it was sent
├── ParkedError              an earlier call may have paid for it: not sent again unasked
├── NotSentError             never left this machine: a retry costs nothing
│   ├── ConnectError           refused, unreachable, no such name
│   ├── ConnectTimeout         no connection in time (DNS, TCP and TLS together)
│   ├── CertificateError       the host cannot prove who it is: never retried
│   └── LocalLimitError        this machine has no file descriptor or buffer left
├── NoReplyError             left, and no whole answer head came: to send it again may pay twice
│   ├── DisconnectedError      the connection ended
│   ├── UploadTimeout          the server did not take the request
│   ├── ReadTimeout            no answer in time
│   ├── BadHeadError           the answer's head is not HTTP
│   ├── CancelledAttemptError  you cancelled while the request was out
│   └── InterruptedAttemptError  its process ended while the request was out
├── RefusedError             the server answered no
│   ├── InvalidRequestError    400, 404, 413, 422: the request itself is wrong
│   ├── AuthError              401, 402, 403: the key, its rights or its balance
│   ├── RateLimitError         429: wait, then again
│   ├── QuotaError             429 that waiting will not cure
│   ├── OverloadedError        503: wait, then again
│   └── ServerError            500, 502, 504, 408 and their kin; the vendor's table says who pays
├── TaskError                the vendor took it on as a task, which brought nothing (yet)
│   ├── TaskFailedError        the vendor says that it failed; the service's table says who pays
│   ├── TaskLostError          the vendor does not know it any more
│   └── TaskOpenError          not done in time: the next call on the run asks for it again
├── NoImageError             answered 200 with everything but an image
│   └── ContentBlockedError    refused for what was asked or drawn
├── MalformedReplyError      answered 200, and it cannot be read: paid
│   ├── TruncatedError         the body ended early
│   ├── SlowBodyError          the body came too slowly, or stopped
│   ├── BodyTooLargeError      the body is over the cap
│   └── NotAnImageError        whole, but not a PNG, JPEG or WebP that ends as it should
├── DownloadError            paid; the link is known and its bytes could not be fetched
│   └── LinkExpiredError       the link no longer answers
├── DeadlineError            the caller's deadline leaves no time for another attempt
├── StorageError             the image came, and could not be kept
└── JournalError             the run's journal cannot be written or read; nothing was sent
    └── RunBusyError           another process works on this run
"""

from typing import ClassVar

from nbp_async._http import Billing, Usage


class NbpError(Exception):
    """Base of every error that this library raises on purpose.

    Attributes:
        billed: What the vendor charges for an attempt that ends like this, where the kind of
            error alone decides it: `"no"`, `"maybe"` or `"yes"`.
        hint: What to do about it, in one sentence; may be empty.
    """

    billed: ClassVar[Billing] = "no"
    _cost: ClassVar[str] = ""
    _advice: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or self._advice

    def __str__(self) -> str:
        """What happened, what it cost where the kind alone says so, and what to do."""
        text = str(self.args[0]) if self.args else type(self).__name__
        cost = "" if self._cost in text else self._cost
        return " ".join(filter(None, (text, cost, self.hint)))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[NbpError], args: tuple[object, ...], facts: dict[str, object]) -> NbpError:
    """Unpickle without calling `__init__`, whose keywords differ from class to class."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(NbpError, ValueError):
    """A setting or an argument that cannot work. Nothing was sent."""

    _cost = "Nothing was sent."


class ClosedError(NbpError, RuntimeError):
    """The client is closed, not open yet, or belongs to another event loop. Nothing was sent."""

    _cost = "Nothing was sent."


class BudgetError(NbpError):
    """The spend cap leaves no room for this attempt. Nothing was sent."""


class StoppedError(NbpError):
    """The run was stopped before this prompt was sent."""


class ParkedError(NbpError):
    """An earlier call on the same run paid for it, or may have: it is not sent again unasked."""


class NotSentError(NbpError):
    """The request never left this machine: a retry costs nothing."""

    permanent: ClassVar[bool] = False


class ConnectError(NotSentError):
    """No connection: refused, unreachable, or no such name."""


class ConnectTimeout(NotSentError):  # noqa: N818  spans that ran out end in Timeout
    """No connection within the connect time-out, which covers DNS, TCP and TLS together."""


class CertificateError(NotSentError):
    """The host's certificate was refused. Trying again will not mend it."""

    permanent = True


class LocalLimitError(NotSentError):
    """This machine ran out of file descriptors or socket buffers."""


class NoReplyError(NbpError):
    """The request left, and no answer came: the vendor may have made, and billed, the image."""

    billed = "maybe"


class DisconnectedError(NoReplyError):
    """The connection ended after the request had left."""


class UploadTimeout(NoReplyError):  # noqa: N818
    """The server did not take the whole request in time."""


class ReadTimeout(NoReplyError):  # noqa: N818
    """No answer within the read time-out."""


class BadHeadError(NoReplyError):
    """Bytes came back that are no HTTP answer."""


class CancelledAttemptError(NoReplyError):
    """The caller cancelled while the request was out."""


class InterruptedAttemptError(NoReplyError):
    """The process ended while the request was out; a later one found it in the journal."""


class RefusedError(NbpError):
    """The server answered no.

    Attributes:
        status: HTTP status code.
        code: The vendor's own word for it (`"insufficient_quota"`, `"RESOURCE_EXHAUSTED"`), or "".
        retry_after: Seconds the server asks us to wait, or None if it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class InvalidRequestError(RefusedError):
    """The request itself is wrong (400, 404, 413, 422, ...). Never retried."""


class AuthError(RefusedError):
    """The key is unknown, has no right, or has no balance (401, 402, 403)."""


class RateLimitError(RefusedError):
    """Too many requests (429): the server asks for patience."""


class QuotaError(RefusedError):
    """A 429 that waiting will not cure: a used-up quota, balance or spend limit."""


class OverloadedError(RefusedError):
    """The model is overloaded (503): the server asks for patience."""


class ServerError(RefusedError):
    """The server, or something before it, failed. Who pays is the vendor's rule."""

    billed = "maybe"


class TaskError(NbpError):
    """The vendor took the prompt on as a task, and there is no image of it.

    Attributes:
        task: The vendor's id of the task: what their support asks for.
        who: What the vendor charges for it.
        passing: What went wrong may pass, as far as the vendor says.
    """

    billed = "maybe"

    def __init__(
        self,
        message: str,
        *,
        task: str,
        who: Billing = "maybe",
        passing: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.task = task
        self.who: Billing = who
        self.passing = passing


class TaskFailedError(TaskError):
    """The vendor says that the task failed, or was cancelled."""


class TaskLostError(TaskError):
    """The vendor took the task, and does not know it any more."""


class TaskOpenError(TaskError):
    """The task is not done, and is not asked for any more by this call.

    It stays in the run's journal under its id: the same call made again goes on asking.
    """


class NoImageError(NbpError):
    """A successful answer without an image.

    Attributes:
        reason: The vendor's word (`"NO_IMAGE"`, `"IMAGE_SAFETY"`, ...), or what was missing.
        text: What the model said instead, at most 500 characters.
        usage: The tokens it cost, or None if the vendor did not say.
    """

    billed = "yes"

    def __init__(
        self, message: str, *, reason: str, text: str = "", usage: Usage | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.text = text
        self.usage = usage


class ContentBlockedError(NoImageError):
    """Refused for what was asked or drawn. Asking again the same way gives the same answer."""

    _advice = "Asked the same way it is refused again: change the prompt."


class MalformedReplyError(NbpError):
    """A successful answer that cannot be read. The image was made, so it was paid for."""

    billed = "yes"


class TruncatedError(MalformedReplyError):
    """The body ended before it was whole."""


class SlowBodyError(MalformedReplyError):
    """The body came more slowly than the floor, or stopped coming."""


class BodyTooLargeError(MalformedReplyError):
    """The body is larger than `Limits.max_body`."""


class NotAnImageError(MalformedReplyError):
    """The bytes are no PNG, JPEG or WebP, or do not end as one."""


class DownloadError(NbpError):
    """The image was made and paid for; its link is known, but its bytes could not be fetched.

    Attributes:
        url: The link. It usually lives for days: fetch it before it expires.
    """

    billed = "yes"

    def __init__(self, message: str, *, url: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.url = url


class LinkExpiredError(DownloadError):
    """The link of a paid image no longer answers (403, 404, 410)."""


class DeadlineError(NbpError):
    """The caller's deadline leaves no time for another attempt. Nothing more was sent."""


class StorageError(NbpError):
    """The image came, and could not be kept: disk full, no permission, I/O error."""

    billed = "yes"


class JournalError(NbpError):
    """The journal of a run cannot be opened, read or written. Nothing was sent without it."""


class RunBusyError(JournalError):
    """Another process works on this run; `pid` is its number, or None if it did not say."""

    def __init__(self, message: str, *, pid: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pid = pid
