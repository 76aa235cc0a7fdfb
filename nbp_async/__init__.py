"""nbp_async: hundreds of Nano Banana Pro images at once, each paid for once and none lost.

```python
async with Client.from_env() as gen:
    batch = await gen.many(prompts, size="4K", out="catalogue/")
```

`Client` makes images, `run_many` does so without async. A `Prompt` says what to draw, and
`read_prompts` reads a file of them; a `Batch` holds an `Image` or a `Failure` for each; `Limits`,
`Timeouts` and `Retry` say how hard to try. A `Run` is a queue that many processes submit to and
work on. `read_run`, `fetch_run`, `recover_run` and `BatchRun`
read and finish a run later. `nbp_async.fake` is a server for trying without paying,
`nbp_async.testing` helps your own tests, `nbp_async.webhooks` receives the calls of services, and
`nbp_async.display` shows progress and runs.

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

__version__ = "0.2.0"

__all__ = [
    "__version__",
    "Account",
    "AccountBill",
    "Attempt",
    "AuthError",
    "AutoLimit",
    "BadHeadError",
    "Batch",
    "BatchRun",
    "BatchStatus",
    "Bill",
    "BodyTooLargeError",
    "BoughtTwice",
    "BudgetError",
    "CallOptions",
    "CancelledAttemptError",
    "Canvas",
    "canvas_for",
    "CertificateError",
    "check_key",
    "Client",
    "ClientOptions",
    "ClosedError",
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "ContentBlockedError",
    "copy_journal",
    "DeadlineError",
    "DialectName",
    "DisconnectedError",
    "DownloadError",
    "endpoint_from_env",
    "FailedLines",
    "Failure",
    "fetch_run",
    "FetchOptions",
    "find_profile",
    "Image",
    "ImageOptions",
    "InterruptedAttemptError",
    "InvalidRequestError",
    "Job",
    "JournalError",
    "key_from_env",
    "key_variable",
    "key_warning",
    "Limits",
    "LinkExpiredError",
    "Listener",
    "LocalLimitError",
    "MalformedReplyError",
    "merge_runs",
    "MergeReport",
    "Model",
    "models",
    "NbpError",
    "NoImageError",
    "NoReplyError",
    "NoRunError",
    "NotAnImageError",
    "NotSentError",
    "on_signal",
    "option_fields",
    "OptionField",
    "Outcome",
    "OverloadedError",
    "ParkedError",
    "parse_out",
    "Plan",
    "Preview",
    "Prices",
    "Profile",
    "PROFILES",
    "Progress",
    "Prompt",
    "PromptFile",
    "ProxyRefusedError",
    "Purse",
    "QueueCounts",
    "QuotaError",
    "Rate",
    "RateLimitError",
    "read_accounts",
    "read_prompts",
    "read_run",
    "read_run_jobs",
    "ReadTimeout",
    "rebuild_run",
    "RebuildReport",
    "recover_run",
    "RecoverOptions",
    "RefusedError",
    "Report",
    "Retry",
    "Row",
    "row_of",
    "Run",
    "run_many",
    "RunBusyError",
    "RunControl",
    "RunJobs",
    "RunLimits",
    "Running",
    "SchemeName",
    "Secret",
    "ServerError",
    "SlowBodyError",
    "Spend",
    "StoppedError",
    "StorageError",
    "SubmitOptions",
    "SyncClient",
    "SyncStream",
    "TaskError",
    "TaskFailedError",
    "TaskLostError",
    "TaskOpenError",
    "TaskTable",
    "Ticket",
    "TicketStatus",
    "Timeouts",
    "Timings",
    "TruncatedError",
    "UploadTimeout",
    "Usage",
    "Via",
    "Webhook",
]

TYPE_CHECKING = False  # as type checkers read it; importing typing would cost more than all this
if TYPE_CHECKING:
    from nbp_async._base.errors import (
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
        NoRunError,
        NotAnImageError,
        NotSentError,
        OverloadedError,
        ParkedError,
        ProxyRefusedError,
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
    from nbp_async._base.http import Usage
    from nbp_async._base.option_fields import OptionField, option_fields
    from nbp_async._base.secret import Secret
    from nbp_async._calls.batch import Batch
    from nbp_async._calls.plan import Plan
    from nbp_async._calls.preview import Preview
    from nbp_async._calls.running import Running
    from nbp_async._calls.signals import on_signal
    from nbp_async._client.account import Account
    from nbp_async._client.account_file import read_accounts
    from nbp_async._client.batch_run import BatchRun
    from nbp_async._client.batch_status import BatchStatus, RunJobs, read_run_jobs
    from nbp_async._client.client import Client
    from nbp_async._client.client_options import ClientOptions
    from nbp_async._client.fetch_options import FetchOptions, RecoverOptions
    from nbp_async._client.fetch_run import fetch_run
    from nbp_async._client.merge_runs import MergeReport, merge_runs
    from nbp_async._client.options import CallOptions, ImageOptions
    from nbp_async._client.recover_run import recover_run
    from nbp_async._client.run import Run
    from nbp_async._client.run_control import RunControl
    from nbp_async._client.run_many import run_many
    from nbp_async._client.run_tickets import Ticket, TicketStatus
    from nbp_async._client.submit_options import SubmitOptions
    from nbp_async._client.sync_client import SyncClient, SyncStream
    from nbp_async._journal.journal_copy import copy_journal
    from nbp_async._journal.merged_items import BoughtTwice
    from nbp_async._journal.reader import Report, read_run
    from nbp_async._journal.rebuild import RebuildReport, rebuild_run
    from nbp_async._journal.run_queue import Purse, QueueCounts
    from nbp_async._journal.shared_journal import RunLimits
    from nbp_async._models.bill import AccountBill, Bill
    from nbp_async._models.events import Listener
    from nbp_async._models.outcomes import (
        Attempt,
        FailedLines,
        Failure,
        Image,
        Job,
        Outcome,
        Prompt,
        Timings,
        Via,
    )
    from nbp_async._models.rows import Row, row_of
    from nbp_async._models.settings import AutoLimit, Limits, Rate, Retry, Spend, Timeouts
    from nbp_async._prompt_files.prompt_file import PromptFile, read_prompts
    from nbp_async._stores.store_address import parse_out
    from nbp_async._vendors.api_keys import (
        check_key,
        endpoint_from_env,
        key_from_env,
        key_variable,
        key_warning,
    )
    from nbp_async._vendors.catalog import Model, models
    from nbp_async._vendors.prices import Prices
    from nbp_async._vendors.profiles import PROFILES, DialectName, Profile, find_profile
    from nbp_async._vendors.services import TaskTable
    from nbp_async._vendors.sizes import Canvas, canvas_for
    from nbp_async._webhooks.schemes import SchemeName
    from nbp_async._webhooks.webhook import Webhook
    from nbp_async.display.progress import Progress

_ROOMS = {
    "Client": "_client.client",
    "AutoLimit": "_models.settings",
    "Limits": "_models.settings",
    "Rate": "_models.settings",
    "Retry": "_models.settings",
    "Timeouts": "_models.settings",
    "Listener": "_models.events",
    "fetch_run": "_client.fetch_run",
    "FetchOptions": "_client.fetch_options",
    "Plan": "_calls.plan",
    "copy_journal": "_journal.journal_copy",
    "read_run": "_journal.reader",
    "Report": "_journal.reader",
    "BoughtTwice": "_journal.merged_items",
    "merge_runs": "_client.merge_runs",
    "MergeReport": "_client.merge_runs",
    "rebuild_run": "_journal.rebuild",
    "recover_run": "_client.recover_run",
    "RecoverOptions": "_client.fetch_options",
    "RebuildReport": "_journal.rebuild",
    "Preview": "_calls.preview",
    "Progress": "display.progress",
    "Running": "_calls.running",
    "Row": "_models.rows",
    "Spend": "_models.settings",
    "Attempt": "_models.outcomes",
    "Batch": "_calls.batch",
    "BatchRun": "_client.batch_run",
    "BatchStatus": "_client.batch_status",
    "Bill": "_models.bill",
    "Failure": "_models.outcomes",
    "Image": "_models.outcomes",
    "Job": "_models.outcomes",
    "Outcome": "_models.outcomes",
    "Prompt": "_models.outcomes",
    "Timings": "_models.outcomes",
    "Model": "_vendors.catalog",
    "models": "_vendors.catalog",
    "Prices": "_vendors.prices",
    "Usage": "_base.http",
    "DialectName": "_vendors.profiles",
    "Profile": "_vendors.profiles",
    "PROFILES": "_vendors.profiles",
    "Purse": "_journal.run_queue",
    "QueueCounts": "_journal.run_queue",
    "Run": "_client.run",
    "RunControl": "_client.run_control",
    "RunLimits": "_journal.shared_journal",
    "run_many": "_client.run_many",
    "SubmitOptions": "_client.submit_options",
    "Ticket": "_client.run_tickets",
    "TicketStatus": "_client.run_tickets",
    "SyncClient": "_client.sync_client",
    "SyncStream": "_client.sync_client",
    "TaskTable": "_vendors.services",
    "Webhook": "_webhooks.webhook",
    "Canvas": "_vendors.sizes",
    "canvas_for": "_vendors.sizes",
    "check_key": "_vendors.api_keys",
    "endpoint_from_env": "_vendors.api_keys",
    "key_from_env": "_vendors.api_keys",
    "key_variable": "_vendors.api_keys",
    "key_warning": "_vendors.api_keys",
    "FailedLines": "_models.outcomes",
    "Via": "_models.outcomes",
    "find_profile": "_vendors.profiles",
    "on_signal": "_calls.signals",
    "parse_out": "_stores.store_address",
    "PromptFile": "_prompt_files.prompt_file",
    "read_prompts": "_prompt_files.prompt_file",
    "read_run_jobs": "_client.batch_status",
    "row_of": "_models.rows",
    "RunJobs": "_client.batch_status",
    "SchemeName": "_webhooks.schemes",
    "Secret": "_base.secret",
    "Account": "_client.account",
    "read_accounts": "_client.account_file",
    "AccountBill": "_models.bill",
    "CallOptions": "_client.options",
    "ClientOptions": "_client.client_options",
    "ImageOptions": "_client.options",
    "option_fields": "_base.option_fields",
    "OptionField": "_base.option_fields",
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
    return f"{__name__}.{_ROOMS.get(name, '_base.errors')}"


def _signed(thing: object) -> object:
    """The thing, named in tracebacks and help by the address that people import it from."""
    if getattr(thing, "__module__", "").startswith(__name__):
        thing.__module__ = __name__
    return thing


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
