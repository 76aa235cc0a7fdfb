"""nbp_async: hundreds of Nano Banana Pro images at once, each paid for once and none lost.

```python
async with Client.from_env() as gen:
    batch = await gen.many(prompts, size="4K", out="catalogue/")
```

`Client` makes images, `run_many` does so without async. What is asked is a `Prompt`, what comes is
a `Batch` of `Image` and `Failure`; `Limits`, `Timeouts` and `Retry` say how. `read_run`,
`fetch_run` and `BatchRun` look after a run later. Beside it: `nbp_async.fake` for trying without
paying, `nbp_async.testing` for tests of your own, `nbp_async.webhooks` for services that call back.

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "Ask",
    "Attempt",
    "AuthError",
    "BadHeadError",
    "Batch",
    "BatchRun",
    "BatchStatus",
    "Bill",
    "BodyTooLargeError",
    "BudgetError",
    "CancelledAttemptError",
    "CertificateError",
    "Client",
    "ClosedError",
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "ContentBlockedError",
    "DeadlineError",
    "DisconnectedError",
    "DownloadError",
    "Failure",
    "fetch_run",
    "FetchOptions",
    "Image",
    "InterruptedAttemptError",
    "InvalidRequestError",
    "Job",
    "JournalError",
    "Limits",
    "LinkExpiredError",
    "Listener",
    "LocalLimitError",
    "MalformedReplyError",
    "NbpError",
    "NoImageError",
    "NoReplyError",
    "NotAnImageError",
    "NotSentError",
    "Outcome",
    "OverloadedError",
    "ParkedError",
    "Plan",
    "Preview",
    "Prices",
    "Profile",
    "PROFILES",
    "Progress",
    "Prompt",
    "QuotaError",
    "Rate",
    "RateLimitError",
    "read_run",
    "ReadTimeout",
    "RefusedError",
    "Report",
    "Retry",
    "Row",
    "run_many",
    "RunAsk",
    "RunBusyError",
    "Running",
    "ServerError",
    "SlowBodyError",
    "Spend",
    "StoppedError",
    "StorageError",
    "TaskError",
    "TaskFailedError",
    "TaskLostError",
    "TaskOpenError",
    "TaskTable",
    "Timeouts",
    "Timings",
    "TruncatedError",
    "UploadTimeout",
    "Usage",
    "Webhook",
]

TYPE_CHECKING = False  # as type checkers read it; importing typing would cost more than all this
if TYPE_CHECKING:
    from nbp_async._batch import Batch, Bill
    from nbp_async._batch_runs import BatchRun, BatchStatus
    from nbp_async._client import Client
    from nbp_async._config import Limits, Rate, Retry, Spend, Timeouts
    from nbp_async._errors import (
        AuthError,
        BadHeadError,
        BodyTooLargeError,
        BudgetError,
        CancelledAttemptError,
        CertificateError,
        ClosedError,
        ConfigError,
        ConnectError,
        ConnectTimeout,
        ContentBlockedError,
        DeadlineError,
        DisconnectedError,
        DownloadError,
        InterruptedAttemptError,
        InvalidRequestError,
        JournalError,
        LinkExpiredError,
        LocalLimitError,
        MalformedReplyError,
        NbpError,
        NoImageError,
        NoReplyError,
        NotAnImageError,
        NotSentError,
        OverloadedError,
        ParkedError,
        QuotaError,
        RateLimitError,
        ReadTimeout,
        RefusedError,
        RunBusyError,
        ServerError,
        SlowBodyError,
        StoppedError,
        StorageError,
        TaskError,
        TaskFailedError,
        TaskLostError,
        TaskOpenError,
        TruncatedError,
        UploadTimeout,
    )
    from nbp_async._events import Listener
    from nbp_async._fetch import FetchOptions, fetch_run
    from nbp_async._flow.plan import Plan
    from nbp_async._flow.preview import Preview
    from nbp_async._flow.start import Running
    from nbp_async._http import Usage
    from nbp_async._journal.reader import Report, read_run
    from nbp_async._models import Attempt, Failure, Image, Job, Outcome, Prompt, Timings
    from nbp_async._options import Ask, RunAsk
    from nbp_async._prices import Prices
    from nbp_async._profiles import PROFILES, Profile
    from nbp_async._rows import Row
    from nbp_async._script import run_many
    from nbp_async._services import TaskTable
    from nbp_async._webhooks.settings import Webhook
    from nbp_async.display.state import Progress

_ROOMS = {
    "Client": "_client",
    "Limits": "_config",
    "Rate": "_config",
    "Retry": "_config",
    "Timeouts": "_config",
    "Listener": "_events",
    "fetch_run": "_fetch",
    "FetchOptions": "_fetch",
    "Plan": "_flow.plan",
    "read_run": "_journal.reader",
    "Report": "_journal.reader",
    "Preview": "_flow.preview",
    "Progress": "display.state",
    "Running": "_flow.start",
    "Row": "_rows",
    "Spend": "_config",
    "Attempt": "_models",
    "Batch": "_batch",
    "BatchRun": "_batch_runs",
    "BatchStatus": "_batch_runs",
    "Bill": "_batch",
    "Failure": "_models",
    "Image": "_models",
    "Job": "_models",
    "Outcome": "_models",
    "Prompt": "_models",
    "Timings": "_models",
    "Prices": "_prices",
    "Usage": "_http",
    "Profile": "_profiles",
    "PROFILES": "_profiles",
    "run_many": "_script",
    "TaskTable": "_services",
    "Webhook": "_webhooks.settings",
    "Ask": "_options",
    "RunAsk": "_options",
}  # what is not here is an error, or does not exist


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import sys
    from importlib import import_module

    import_module(_home(name))
    for public in __all__[1:]:
        thing = getattr(sys.modules.get(_home(public)), public, None)
        if thing is not None:  # not there while another thread is still importing its room
            globals()[public] = _signed(thing)
    return globals()[name]


def _home(name: str) -> str:
    return f"{__name__}.{_ROOMS.get(name, '_errors')}"


def _signed(thing: object) -> object:
    """The thing, named in tracebacks and help by the address that people import it from."""
    if getattr(thing, "__module__", "").startswith(__name__):
        thing.__module__ = __name__
    return thing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
