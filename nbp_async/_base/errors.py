"""What can go wrong, sorted by how far the prompt got.

NbpError
├── ConfigError              a setting or an argument that cannot work; nothing was sent
├── ClosedError              used after aclose, or in another event loop; nothing was sent
├── BudgetError              the spend cap has no room for it; nothing was sent
├── StoppedError             the run was stopped before it was sent
├── ParkedError              an earlier call may have paid for it: not sent again by default
├── NotSentError             never left this machine: a retry costs nothing
│   ├── ConnectError           refused, unreachable, no such name
│   ├── ConnectTimeout         no connection in time (DNS, TCP and TLS together)
│   ├── ProxyRefusedError      a proxy did not connect us: its status says why
│   ├── CertificateError       the host's certificate is invalid: never retried
│   └── LocalLimitError        this machine has no file descriptor or buffer left
├── NoReplyError             sent, and no complete response head came: a retry may pay twice
│   ├── DisconnectedError      the connection ended
│   ├── UploadTimeout          the server did not read the whole request in time
│   ├── ReadTimeout            no response in time
│   ├── BadHeadError           the response head is not valid HTTP
│   ├── CancelledAttemptError  you cancelled while the request was in flight
│   └── InterruptedAttemptError  the process ended while the request was in flight
├── RefusedError             the server refused
│   ├── InvalidRequestError    400, 404, 413, 422: the request itself is wrong
│   ├── AuthError              401, 402, 403: the key, its rights or its balance
│   ├── RateLimitError         429: retry after a wait
│   ├── QuotaError             no quota or balance left: no wait of minutes solves it
│   ├── OverloadedError        503: retry after a wait
│   └── ServerError            500, 502, 504, 408, ...; the vendor's table says whether it is billed
├── TaskError                the vendor accepted a task, which has no image (yet)
│   ├── TaskFailedError        the vendor says that it failed; the vendor's table says the billing
│   ├── TaskLostError          the vendor no longer knows it
│   └── TaskOpenError          not done in time: the next call on the run polls it again
├── NoImageError             answered 200 without an image
│   └── ContentBlockedError    refused because of the prompt or the drawn image
├── MalformedReplyError      answered 200 and cannot be read: billed; of a web page, maybe
│   ├── TruncatedError         the body ended early
│   ├── SlowBodyError          the body came too slowly, or stopped
│   ├── BodyTooLargeError      the body is larger than allowed
│   └── NotAnImageError        no image that is known, or cut off
├── DownloadError            billed; the link is known and its image could not be fetched
│   └── LinkExpiredError       the link no longer works
├── DeadlineError            the caller's deadline leaves no time for another attempt
├── StorageError             the image came, and could not be stored
└── JournalError             the run's journal cannot be written or read; nothing was sent
    ├── NoRunError             there is no run at that place
    └── RunBusyError           another process uses this run
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from nbp_async._base.http import Billing, Usage
from nbp_async._base.option_text import OptionWriter, as_keyword, storable


class NbpError(Exception):
    """Base of every error that this library raises on purpose.

    Its facts are attributes: a command line or an HTTP service words them for its own readers.

    Attributes:
        message: What happened, in one sentence or two, without the option and its value.
        option: The option or argument at fault, as `"max_cost"`; "" if none is.
        value: What was given for it, as text, a number or a repr. Never a key.
        index: Position of the prompt at fault in the list, from 0, or None.
        row: Its row in a table or a file, from 0 as data frames count it, or None.
        column: Its column in a file, as the file spells it; else "".
        where: Where it stands: `"prompts.csv, line 7"`; "" if `index` says it all.
        remedy: Options that solve it, each with a value to pass, as `{"max_cost": "45"}`.
        remedy_start: What stands before them, where they solve it in one case only.
        hint: What to do about it, in one sentence; may be empty.
        billing: What the vendor charges, by the kind of error; its outcome says it exactly.
        cost: Dollars that were billed, or may have been.
        attempts, outcome: What was sent for the prompt, and its `Failure`, where `one` raises it.
        unread: Where an answer is kept that could not be read, or "": `nbp recover` reads it again.
        is_transient: Whether the same request may succeed later, whatever it costs.
    """

    billing: Billing = "no"
    cost: Decimal = Decimal(0)
    attempts: tuple[Any, ...] = ()
    outcome: Any = None
    unread: str = ""
    is_transient: bool = False
    row: int | None = None
    column: str = ""
    where: str = ""
    remedy_start: str = "Pass"
    _effect: ClassVar[str] = ""
    _advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        option: str = "",
        value: object = None,
        index: int | None = None,
        remedy: Mapping[str, object] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.option = option
        self.value = storable(option, value)
        self.index = index
        self.remedy = {name: storable(name, given) for name, given in (remedy or {}).items()}
        self.hint = hint or self._advice

    @property
    def message(self) -> str:
        """What happened, without the option, its value and what to do."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        where = self.where or ("" if self.index is None else f"prompts[{self.index}]")
        return f"{where}: {self.describe(as_keyword)}" if where else self.describe(as_keyword)

    def describe(self, write: OptionWriter) -> str:
        """What happened, what it cost where the kind alone says so, and what to do.

        Args:
            write: Writes an option and its value, as `size='4K'` or `--size 4K`.
        """
        start = f"{write(self.option, self.value)}: " if self.option else ""
        effect = "" if self._effect in self.message else self._effect
        options = " and ".join(write(name, value) for name, value in self.remedy.items())
        remedy = f"{self.remedy_start} {options}." if options else ""
        kept = f"Its answer is kept in {self.unread}." if self.unread else ""
        return " ".join(filter(None, (start + self.message, effect, remedy, self.hint, kept)))

    # Exception's own __reduce__ calls the class with `args` alone, and loses every keyword.
    def __reduce__(self) -> tuple[object, ...]:
        return type(self).__new__, (type(self), *self.args), self.__dict__


class ConfigError(NbpError, ValueError):
    """A setting or an argument that cannot work. Nothing was sent."""

    _effect = "Nothing was sent."


class ClosedError(NbpError, RuntimeError):
    """The client is closed, not open yet, or belongs to another event loop. Nothing was sent."""

    _effect = "Nothing was sent."


class BudgetError(NbpError):
    """The spend cap leaves no room for this attempt. Nothing was sent."""


class StoppedError(NbpError):
    """The run was stopped before this prompt was sent."""


class ParkedError(NbpError):
    """An earlier call on the same run was, or may have been, billed for it: not sent again."""


class NotSentError(NbpError):
    """The request never left this machine: a retry costs nothing."""

    is_transient: bool = True


class ConnectError(NotSentError):
    """No connection: refused, unreachable, or no such name."""


class ConnectTimeout(NotSentError):  # noqa: N818  spans that ran out end in Timeout
    """No connection within the connect timeout, which covers DNS, TCP and TLS together."""


class ProxyRefusedError(NotSentError):
    """A proxy let nothing out; `status` is HTTP's: 407 for credentials, 403 for its own rules."""

    status: int = 0


class CertificateError(NotSentError):
    """The host's certificate was refused. Trying again does not help."""

    is_transient: bool = False


class LocalLimitError(NotSentError):
    """This machine ran out of file descriptors or socket buffers."""


class NoReplyError(NbpError):
    """Sent, and no response came: the vendor may have made, and billed, the image."""

    billing: Billing = "maybe"
    is_transient: bool = True


class DisconnectedError(NoReplyError):
    """The connection ended after the request was sent."""


class UploadTimeout(NoReplyError):  # noqa: N818
    """The server did not read the whole request in time."""


class ReadTimeout(NoReplyError):  # noqa: N818
    """No response within the read timeout."""


class BadHeadError(NoReplyError):
    """The response is not valid HTTP."""


class CancelledAttemptError(NoReplyError):
    """The caller cancelled while the request was in flight."""


class InterruptedAttemptError(NoReplyError):
    """The process ended while the request was in flight; a later one found it in the journal."""


class RefusedError(NbpError):
    """The server refused the request.

    Attributes:
        status: HTTP status code.
        code: The vendor's error code (`"insufficient_quota"`, `"RESOURCE_EXHAUSTED"`), or "".
        retry_after: Seconds the server asks us to wait, or None if it did not say.
        per_minute: Requests a minute that the server says it takes, or None.
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
        self.per_minute: int | None = None


class InvalidRequestError(RefusedError):
    """The request itself is wrong (400, 404, 413, 422, ...). Never retried."""


class AuthError(RefusedError):
    """The key is unknown, lacks a right, or has no balance (401, 402, 403)."""


class RateLimitError(RefusedError):
    """Too many requests (429): retried after a wait."""

    is_transient: bool = True


class QuotaError(RefusedError):
    """A used-up quota, balance or spend limit: no wait of minutes solves it. With `is_daily` it is
    the day's, which is renewed at `resets_at`, in seconds since 1970."""

    is_daily: bool = False
    resets_at: float | None = None


class OverloadedError(RefusedError):
    """The model is overloaded (503): retried after a wait."""

    is_transient: bool = True


class ServerError(RefusedError):
    """The server, or a proxy before it, failed. The vendor's table says whether it is billed."""

    billing: Billing = "maybe"
    is_transient: bool = True


class TaskError(NbpError):
    """There is no image of a task that the vendor accepted; `task` is the vendor's id of it."""

    billing: Billing = "maybe"

    def __init__(
        self,
        message: str,
        *,
        task: str,
        billing: Billing = "maybe",
        is_transient: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.task = task
        self.billing = billing
        self.is_transient = is_transient


class TaskFailedError(TaskError):
    """The vendor says that the task failed, or was cancelled."""


class TaskLostError(TaskError):
    """The vendor accepted the task, and no longer knows it."""


class TaskOpenError(TaskError):
    """Not done; this call polls it no longer. With a journal the same call continues to poll it."""


class NoImageError(NbpError):
    """A successful response without an image.

    Attributes:
        reason: The vendor's reason (`"NO_IMAGE"`, `"IMAGE_SAFETY"`, ...), or what was missing.
        text: What the model wrote instead, at most 500 characters.
        usage: The tokens it cost, if the vendor said so.
    """

    billing: Billing = "yes"

    def __init__(
        self, message: str, *, reason: str, text: str = "", usage: Usage | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.text = text
        self.usage = usage


class ContentBlockedError(NoImageError):
    """Refused because of the prompt or the drawn image; the same prompt is refused again."""

    _advice = "The same prompt is refused again: change it."


class MalformedReplyError(NbpError):
    """A successful response that cannot be read: billed, if the vendor wrote it."""

    billing: Billing = "yes"


class TruncatedError(MalformedReplyError):
    """The body ended before it was complete."""


class SlowBodyError(MalformedReplyError):
    """The body came more slowly than the lowest allowed speed, or stopped."""


class BodyTooLargeError(MalformedReplyError):
    """The body is larger than `Limits.max_body`."""


class NotAnImageError(MalformedReplyError):
    """The bytes are not a PNG, JPEG, WebP, AVIF, HEIC, GIF or SVG, or they were cut off."""


class DownloadError(NbpError):
    """Billed, and could not be fetched from `url`: that link usually works for days."""

    billing: Billing = "yes"

    def __init__(self, message: str, *, url: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.url = url


class LinkExpiredError(DownloadError):
    """The link of a billed image no longer works: 410, or 403 or 404 for some seconds."""


class DeadlineError(NbpError):
    """The caller's deadline leaves no time for another attempt. Nothing more was sent."""


class StorageError(NbpError):
    """The image came, and could not be stored: disk full, no permission, I/O error."""

    billing: Billing = "yes"


class JournalError(NbpError):
    """The journal of a run cannot be opened, read or written. Nothing is sent without it."""


class NoRunError(JournalError):
    """There is no run at that place."""


class RunBusyError(JournalError):
    """Another process uses this run; `pid` is its process id, or None if unknown."""

    def __init__(self, message: str, *, pid: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.pid = pid
