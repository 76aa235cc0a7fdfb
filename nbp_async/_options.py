"""The options of a client and of a call, typed: a misspelt one is an error in the editor."""

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypedDict

from nbp_async._config import Limits, Retry, Timeouts
from nbp_async._events import Listener
from nbp_async._journal.base import Journal
from nbp_async._models import FailedLines, Via
from nbp_async._sinks.base import Sink
from nbp_async._transports.base import Transport
from nbp_async._webhooks.settings import Webhook


class Ask(TypedDict, total=False):
    """Options of one call.

    Attributes:
        size, aspect_ratio, model: For prompts that name none; see `Prompt`.
        via: How the answers reach us. "held" (default where the endpoint has it) holds each call
            open until the image is there; "poll" submits a task and looks at it now and then,
            with no connection held meanwhile, where the endpoint takes tasks (`Profile.tasks`);
            "batch" hands jobs to the vendor's batch API, for half the price and within a day, and
            needs a run with a journal;
            "webhook" does so too, and looks as soon as the service calls back (`Client(webhook=)`).
        out: A folder, a store of yours ("s3://bucket/prefix", oss://, gs:// or az://, which is
            opened with what the environment holds) or a Sink, that gets each image as soon as it
            is there; None (default) keeps images in memory, and above `Limits.max_memory` in
            temporary files.
        max_cost: US dollars that no attempt may go beyond, earlier calls of the run and what may
            have been billed included; None (default) for no limit.
    """

    size: str | None
    aspect_ratio: str | None
    model: str | None
    via: Via | None
    out: str | Path | Sink | None
    max_cost: Decimal | str | float | None


class RunAsk(Ask, total=False):
    """Options of a call that makes many images, and can be done again where it ended.

    Attributes:
        journal: A file for a journal that is not in the folder `out`, or False for none; None
            (default) has one where `out` is a folder, and none where it is a store.
        resend_ambiguous: Send again what may have been billed; needs `max_cost`.
        retry_failed: Send again what was billed and brought no image, or whose file is gone.
        verify: Compare the hash of each file that is there, not only its size.
        wait: With `via="batch"`: wait for the results (default); False ends the call as soon as
            all jobs are created, and the same call made again brings what they made.
        failed_lines: With `via="batch"`: what becomes of lines that cost nothing and brought
            nothing, those of an expired job among them. "batch" (default) sends them in another
            job, three in all; "held" makes them by held calls, at the full price; "keep" leaves
            them failures.
        progress: Show in a Jupyter notebook how it goes (default); elsewhere nothing is shown. The
            environment variable NBP_PROGRESS=0 turns it off for all calls.
    """

    journal: str | Path | bool | Journal | None
    resend_ambiguous: bool
    retry_failed: bool
    verify: bool
    wait: bool
    failed_lines: FailedLines
    progress: bool


class ClientOptions(TypedDict, total=False):
    """The arguments of `Client` besides endpoint and key."""

    model: str | None
    limits: Limits | None
    timeouts: Timeouts | None
    retry: Retry | None
    transport: Literal["aiohttp", "httpx"] | Transport
    listeners: Sequence[Listener]
    link_hosts: Collection[str] | None
    allow_private: bool | None
    ca: str | Path | None
    account: str | None
    webhook: Webhook | None
    rng: Callable[[], float] | None
