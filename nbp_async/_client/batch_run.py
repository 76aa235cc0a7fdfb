"""The batch jobs of a run, from any machine that has its folder: no prompts, no call that waits."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio import to_thread

from nbp_async._base.errors import ConfigError
from nbp_async._batch_api.batch_client import BatchClient
from nbp_async._batch_api.batch_delivery import BatchDelivery
from nbp_async._batch_api.batch_ledger import JobRecord
from nbp_async._batch_api.run_jobs import cancel_jobs, check_jobs, fetch_jobs
from nbp_async._calls.batch import Batch
from nbp_async._client.batch_status import (
    BatchStatus,
    RunJobs,
    is_at_vendor,
    read_run_jobs,
    trusted_profile,
)
from nbp_async._client.client import Client
from nbp_async._client.client_options import BatchRunOptions, SharedOptions, keywords_of
from nbp_async._client.fetch_run import home_of
from nbp_async._client.keyword_options import takes
from nbp_async._client.options import CallOptions
from nbp_async._flow.call_state import CallState
from nbp_async._journal.base import JOURNAL
from nbp_async._journal.compatibility import refuse_foreign
from nbp_async._models.outcomes import Outcome
from nbp_async._vendors.api_keys import endpoint_from_env, key_from_env
from nbp_async._vendors.profiles import Profile, find_profile

_PRINT = re.compile("[0-9a-f]{16}")  # stands for a key, where the account has no name


class BatchRun:
    """The batch jobs of a run: how they stand, what they made, and their end.

    ```python
    async with BatchRun("catalogue/") as run:
        for job in await run.jobs():
            print(job.name, job.state, job.done)
        batch = await run.fetch()
    ```

    Endpoint and account are in the run's journal: a folder that was copied to another machine
    goes on there, with a key of the same account.

    Raises (where it is entered):
        ConfigError: No key, or nobody but the journal says where it is to be sent. Nothing was
            sent.
        JournalError: There is no run with batch jobs, or another account's. Nothing was sent.
    """

    @takes(BatchRunOptions)
    def __init__(self, where: str | Path, options: BatchRunOptions) -> None:
        """`where` is the run's folder, or its journal. Nothing is read or opened yet."""
        self._where = where
        self._options = options
        self._environ = os.environ if options.environ is None else options.environ
        self._client: Client | None = None
        self._path = Path(where)

    async def jobs(self) -> list[BatchStatus]:
        """Ask how each job stands, in the order in which they were made. Nothing is changed.

        Another process may work on the run meanwhile. A job that cannot be asked for is "unknown".
        """
        client = self._batch_client()
        jobs = await to_thread.run_sync(read_run_jobs, self._where)
        asked = [record for record in jobs.records if is_at_vendor(record)]
        observed = await check_jobs(client, asked)
        return jobs.statuses(dict(zip(_names(asked), observed, strict=True)))

    async def fetch(self, on_outcome: Callable[[Outcome], object] | None = None) -> Batch:
        """Bring the images of all jobs that have ended; buys nothing, and waits for nothing.

        Args:
            on_outcome: Called with each outcome as it comes; it must not block.

        Returns:
            The outcomes of what had none before. What stays at the vendor is a Failure with a
            TaskOpenError: fetch again. Safe to interrupt: what came is not brought twice.

        Raises:
            JournalError: The journal cannot be used, or another process works on the run
                (RunBusyError). Nothing was changed.
            StorageError: Images cannot be kept here. They stay at the vendor.
        """
        outcomes: list[Outcome] = []

        def deliver(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if on_outcome is not None:
                on_outcome(outcome)

        jobs = await to_thread.run_sync(read_run_jobs, self._where)
        home = await to_thread.run_sync(_home, jobs, self._options.out)
        call, delivery = self._parts(home)
        await fetch_jobs(delivery.client(call), delivery.options, call, deliver)
        return Batch(sorted(outcomes, key=lambda outcome: outcome.index))

    async def cancel(self) -> list[BatchStatus]:
        """Ask the vendor to begin nothing more of the jobs that are open.

        What is rendered by then is charged, at most `most` of each job; `fetch` brings it.
        A process that works on the run goes on creating jobs: stop it first.
        """
        client = self._batch_client()
        jobs = await to_thread.run_sync(read_run_jobs, self._where)
        asked = [record for record in jobs.records if is_at_vendor(record)]
        observed = await cancel_jobs(client, asked)
        return jobs.statuses(dict(zip(_names(asked), observed, strict=True)))

    async def __aenter__(self) -> Self:
        jobs = await to_thread.run_sync(read_run_jobs, self._where)
        profile = self._profile(jobs.last)
        key = self._options.api_key or key_from_env(self._environ, profile)
        shared = keywords_of(self._options, SharedOptions)
        account = jobs.report.owner.removeprefix(f"{profile.name}:")
        if self._options.account is None and not _PRINT.fullmatch(account):
            shared["account"] = account
        self._path = jobs.report.path
        self._client = Client(profile, key, **shared)
        try:
            call, _ = self._parts(None)
            assert call.past is not None, "a batch has a journal"
            await to_thread.run_sync(refuse_foreign, self._path, call.past.account)
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _profile(self, record: JobRecord) -> Profile:
        if self._options.endpoint is not None:
            profile = find_profile(self._options.single or "google")
        else:
            profile = trusted_profile(record.endpoint, endpoint_from_env(self._environ))
        same = bool(record.endpoint) and profile.base_url == _base_of(record)
        return replace(profile, name=record.vendor if same else profile.name, batches=True)

    def _parts(self, home: str | Path | None) -> tuple[CallState, BatchDelivery]:
        if self._client is None:
            raise ConfigError("Use BatchRun with `async with`.")
        options = CallOptions(via="batch", journal=self._path, out=home)
        return self._client._open().batch_call(options)  # noqa: SLF001  its own client

    def _batch_client(self) -> BatchClient:
        call, delivery = self._parts(None)
        return delivery.client(call)


def _base_of(record: JobRecord) -> str:
    return find_profile(record.endpoint).base_url


def _home(jobs: RunJobs, out: str | Path | None) -> str | Path:
    if jobs.report.path.name == JOURNAL:
        return jobs.last.store or jobs.report.folder
    return out or jobs.last.store or home_of(jobs.report)


def _names(records: list[JobRecord]) -> list[str]:
    return [record.name for record in records]
